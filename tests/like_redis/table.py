"""The whole table."""

from __future__ import annotations

from kvstore.server.builtins import BUILTINS
from kvstore.wire.commands import COMMANDS

from . import connection, data, protocol, server
from .cases import same

TOLD = [*data.CASES, *connection.CASES, *server.CASES, *protocol.CASES]
_SCRIPTS = {case.script for case in TOLD}
_ROWS = [row for row in (*COMMANDS.values(), *BUILTINS.values()) if row.name not in ("kv", "raft")]
_NAMES = [
    *(row.name for row in _ROWS),
    *(
        part.name.replace("|", " ")
        for row in BUILTINS.values()
        for part in row.subcommands.values()
    ),
]
_WORDS = ["a", "b", "c", "d", "e", "f"]
ARITIES = [
    case
    for name in _NAMES
    for count in range(len(_WORDS) + 1)
    for case in same(" ".join((name.upper(), *_WORDS[:count])))
    if case.script not in _SCRIPTS
]
"""Every command and subcommand, with any number of arguments."""
CASES = [*TOLD, *ARITIES]
