"""What nodes begin with in a world whose logs do not begin with the first entry of all.

Law: all of them begin after one entry, which is committed, and with what it left. A directory that
takes the place of a lost one begins with nothing, wherever the others do.
"""

from __future__ import annotations

import msgspec

from kvstore.kv.view import Applied
from kvstore.raft.types import LogStart
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState
from kvstore.storage.reading import Pair

FIRST = LogStart()
"""Most logs begin with the first entry of all."""


def state_as_of(start: LogStart) -> Applied:
    """An empty key space: all that was written is deleted again.

    If each term had an entry, that entry changed nothing, and all others did.
    """
    writes = max(start.index - start.term, 0)
    return Applied(last_applied=start.index, revision=Applied().revision + writes)


class Beginning(msgspec.Struct, frozen=True):
    """What is committed and applied before anything happens: up to `start`, with no session.

    * `records`: of all tables, as they are stored, in their order.
    """

    start: LogStart = FIRST
    applied: Applied = Applied()
    records: tuple[Pair, ...] = ()

    def new_state(self, name: str) -> MemoryState:
        """The state as of then, for who carries out the log once more."""
        state = MemoryState(Identity(0, name, 0, ""), self.applied)
        state.hold(self.records)
        return state


NOTHING = Beginning()
"""Of most worlds."""


def empty_as_of(start: LogStart) -> Beginning:
    """Nothing is there any more."""
    return Beginning(start, state_as_of(start))
