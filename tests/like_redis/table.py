"""The whole table."""

from __future__ import annotations

from kvstore.server.builtins import BUILTINS
from kvstore.wire.commands import COMMANDS

from . import connection, data, protocol, server
from .cases import same

TOLD = [*data.CASES, *connection.CASES, *server.CASES, *protocol.CASES]
_SCRIPTS = {case.script for case in TOLD}
_NAMES = sorted({name.decode() for name in (*COMMANDS, *BUILTINS)} - {"KV", "RAFT"})
_WORDS = ["a", "b", "c", "d", "e", "f"]
ARITIES = [
    case
    for name in _NAMES
    for count in range(len(_WORDS) + 1)
    for case in same(" ".join((name, *_WORDS[:count])))
    if case.script not in _SCRIPTS
]
"""Every command with any number of arguments."""
CASES = [*TOLD, *ARITIES]
