"""What nodes begin with in a world whose logs do not begin with the first entry of all.

Law: all of them begin after one entry, which is committed, and with what it left. A directory that
takes the place of a lost one begins so too, as nobody has what was before.
"""

from __future__ import annotations

from kvstore.kv.view import Applied
from kvstore.raft.types import LogStart

FIRST = LogStart()
"""Most logs begin with the first entry of all."""


def state_as_of(start: LogStart) -> Applied:
    """An empty key space: all that was written is deleted again.

    If each term had an entry, that entry changed nothing, and all others did.
    """
    return Applied(last_applied=start.index, revision=max(start.index - start.term, 0))
