"""Data that are known to differ from the majority's: what a node does, and does no more, with them.

Law: from the moment it knows, nobody hears anything of these data, and the knowledge is durable
before anything else is, where there is room for it. Only a snapshot ends it. The log is as
good as any: the node goes on to vote, and to take entries.

It must not know how data are compared, nor who finds that they differ.
"""

from __future__ import annotations

from typing import Final

from kvstore import api
from kvstore.raft.core import Raft
from kvstore.raft.divergence_events import DataDiffer, DifferingDataReplaced, LoneDataDiffer
from kvstore.raft.events import Event
from kvstore.server import refusals
from kvstore.storage.base import Divergence, StateStore

_RECORD_BYTES: Final = 64 << 10
"""A commit of a single record takes no more. Where not even so much is left, it waits."""


class OwnDivergence:
    """What is held against the data of one node.

    * `known`: None as long as they are trusted. Then the log has its base, or lost it.
    """

    def __init__(self, raft: Raft, state_store: StateStore) -> None:
        self._raft = raft
        self._state_store = state_store
        self.known = state_store.divergence
        self._is_said = False
        """In this life of the node."""
        if self.known is not None:
            raft.lose_base(state_store.applied().last_applied)

    def begin(self, divergence: Divergence, last_applied: int) -> list[Event]:
        """The data differ, and were applied up to there by now; what to say of it."""
        raft = self._raft
        if self.known is not None:
            return []
        if not raft.log.configuration.voters_besides(raft.id):
            return [LoneDataDiffer(raft.current_term, divergence.index)]
        self.known, self._is_said = divergence, False
        raft.lose_base(last_applied)
        return self._go_on(divergence)

    def wake(self) -> list[Event]:
        """A turn begins: see whether it is over; what to say of it."""
        divergence = self.known
        if divergence is None:
            return []
        if self._raft.log.lacks_base:
            return self._go_on(divergence)
        self.known = None
        return [DifferingDataReplaced(self._raft.current_term, divergence.index)]

    def _go_on(self, divergence: Divergence) -> list[Event]:
        store, was_said, self._is_said = self._state_store, self._is_said, True
        left_bytes = store.room_bytes() + store.owed_bytes()
        if store.divergence is None and left_bytes >= _RECORD_BYTES:
            store.record_divergence(divergence)
        return [] if was_said else [DataDiffer(self._raft.current_term, divergence.index)]

    @property
    def refusal(self) -> api.Failure:
        """Why this node, whose log lacks its base, answers nothing."""
        if self.known is None:
            return refusals.NO_DATA
        return refusals.state_differs(self._raft.id, self.known.index)
