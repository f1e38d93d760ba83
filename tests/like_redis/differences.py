"""Why this store replies differently from Redis, where it does.

Law: the README lists exactly these, in these words; each has a script that shows it.
"""

from __future__ import annotations

from .cases import Difference

AUTH = Difference("No users and passwords: AUTH is unknown, and HELLO with AUTH is refused.")
COMMANDS = Difference("Commands and subcommands that are not listed above are unknown.")
CONFIG = Difference("CONFIG GET knows the settings that clients ask for, and nothing sets them.")
CURSORS = Difference("SCAN refuses a cursor that this node has not given out, or has forgotten.")
DATABASES = Difference("There is only database 0.")
ENTRIES = Difference("COMMAND tells of these commands alone, and COMMAND DOCS in words of our own.")
EXPIRY = Difference("No expiry: SET with EX, PX, EXAT, PXAT or KEEPTTL is refused.")
FIELDS = Difference("INFO and CLIENT LIST leave out what is not counted here.")
FRAMES = Difference("An argument that does not end where it said it would is a protocol error.")
HTTP = Difference("A web browser is told that this port does not speak HTTP.")
INLINE = Difference("A line of words (an inline request) has at most 4 KiB.")
NULS = Difference("An option with a NUL byte in it is unknown; Redis reads only as far as that.")
PATTERNS = Difference(
    "A pattern has at most 512 bytes in SCAN, 128 in COMMAND LIST and 32 in CONFIG GET."
)
SHARD = Difference(
    "CLUSTER, READONLY and READWRITE work, as the nodes are one shard: HELLO says standalone."
)
SIZES = Difference("Keys, values and numbers of arguments are bounded, see the limits below.")
TRANSACTIONS = Difference(
    "No transactions: MULTI is refused, and so are data commands up to EXEC or DISCARD."
)
