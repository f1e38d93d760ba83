"""When the applied key space is made durable.

Law: now and then, if it changed; never where there is no room, as the log has it all. A restart
replays the log from the last one.
"""

from __future__ import annotations

import math

from kvstore.kv.machine import StateMachine
from kvstore.server.room import Room
from kvstore.storage.base import StateStore


class Checkpoints:
    """Those of one node."""

    def __init__(
        self, state_store: StateStore, machine: StateMachine, room: Room, interval_ms: float
    ) -> None:
        self._state_store = state_store
        self._machine = machine
        self._room = room
        self._interval_ms = interval_ms
        self._next_ms = 0.0
        self._last = machine.applied

    def tick(self, now_ms: float) -> None:
        """Make one when it is time."""
        if now_ms >= self._next_ms:
            self._next_ms = now_ms + self._interval_ms
            self.make()

    @property
    def due_ms(self) -> float:
        """By when the next turn must begin for one."""
        return self._next_ms if self._has_more else math.inf

    @property
    def _has_more(self) -> bool:
        """Whether more is applied than is durable, and worth to be."""
        return self._machine.applied != self._last and self._state_store.divergence is None

    def make(self) -> None:
        """Make the applied key space durable."""
        applied = self._machine.applied
        if self._has_more and self._room.allows_checkpoint:
            self._state_store.commit(applied)
            self._last = applied
