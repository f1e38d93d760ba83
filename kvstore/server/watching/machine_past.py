"""The history that the state machine keeps, as watches read it.

Law: what is not kept any more is not made up: below the floor nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable

from kvstore.kv.machine import StateMachine
from kvstore.server.watching.catch_up import Row, Slice
from kvstore.server.watching.piece import Position


class MachinePast:
    """The past of one node's state machine."""

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine

    @property
    def floor(self) -> int:
        """The first revision of which all changes can be told."""
        return self._machine.floor

    @property
    def revision(self) -> int:
        """The newest that is applied."""
        return self._machine.revision

    def events(
        self, position: Position, steps_max: int, is_wanted: Callable[[bytes], bool]
    ) -> Slice:
        """Those from `position` on, of keys that are wanted, for so much work."""
        found = self._machine.events(position, steps_max, is_wanted)
        rows = [
            Row((one.revision, place), change)
            for one in found.revisions
            for place, change in zip(one.places, one.changes, strict=True)
        ]
        return Slice(rows, found.position)
