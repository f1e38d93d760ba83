"""How events become lines of the log: level, code, fields.

Law: a warning is what somebody should look at: writes are refused, leadership is lost though
nobody moved it, a node stood still. What a planned restart brings about is none. An error is a
mistake of this program, or of its machine, that the node outlives.
"""

from __future__ import annotations

from typing import Final

import msgspec
from structlog.typing import FilteringBoundLogger

from kvstore.logs import code_of
from kvstore.raft import divergence_events, events, snapshot_events, state_events

WARNINGS: Final = (
    events.Deposed,
    events.LostMajority,
    events.StoodStill,
    events.Stalled,
    events.HandoverFailed,
    events.CannotVouch,
    events.DirectoryLost,
    events.ShortOfRoom,
    events.WaitsForRoom,
    events.MessageIgnored,
    snapshot_events.CannotWriteSnapshot,
    snapshot_events.CannotTakeSnapshot,
    snapshot_events.SnapshotWasBad,
    state_events.StatesDisputed,
)
ERRORS: Final = (divergence_events.DataDiffer, divergence_events.LoneDataDiffer)


def write(log: FilteringBoundLogger, event: events.Event) -> None:
    """One line: the event's text, and its fields."""
    say = log.info
    if type(event) in WARNINGS:
        say = log.warning
    elif type(event) in ERRORS:
        say = log.error
    say(str(event), code=code_of(type(event)), **msgspec.structs.asdict(event))
