"""What the state machine keeps of the past, as watches read it.

Law: what was not kept is not made up: below the floor nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable

from kvstore.kv.machine import StateMachine
from kvstore.server.watching.catch_up import Slice
from kvstore.server.watching.piece import Position


class MachinePast:
    """The past of one node's state machine, which keeps nothing but the present."""

    def __init__(self, machine: StateMachine) -> None:
        self._machine = machine

    @property
    def floor(self) -> int:
        """The first revision of which all changes can be told."""
        return self._machine.revision + 1

    @property
    def revision(self) -> int:
        """The newest that is applied."""
        return self._machine.revision

    def events(
        self, _position: Position, _steps_max: int, _is_wanted: Callable[[bytes], bool]
    ) -> Slice:
        """None: all that there are were told as they were applied."""
        return Slice((), (self._machine.revision + 1, 0))
