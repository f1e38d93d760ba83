"""How much a command changes in the data, at most, as known before it is applied.

Law: pure, and never too little: whatever keys a command meets, guards and conditions
hold, and sessions end. It must not know what a change costs.
"""

from __future__ import annotations

from typing import Final

from kvstore import api
from kvstore.kv.record import HISTORY_BYTES
from kvstore.kv.sessions import EXPIRED_AT_ONCE
from kvstore.kv.view import Footprint, TableFootprint

_SESSION_BYTES: Final = 128
"""A session's key and record, without the answer that is kept."""


def footprint(logged: api.Logged, rules: api.SessionRules) -> Footprint:
    """That of an entry's command."""
    if not isinstance(logged, api.Stamped):
        return Footprint(_of_write(logged))
    one_session = TableFootprint(1, _SESSION_BYTES + rules.result_bytes_max, EXPIRED_AT_ONCE + 1)
    if isinstance(logged.command, api.OpenSession):
        return Footprint(sessions=one_session)
    return Footprint(_of_write(logged.command.write), one_session)


def _of_write(write: api.Write) -> TableFootprint:
    extent = api.COMMAND_ROW_OF[type(write)].extent(write)
    put_bytes = extent.put_bytes + HISTORY_BYTES * extent.puts
    return TableFootprint(extent.puts, put_bytes, extent.deletes)
