"""The writes of one client of which nobody knows whether they are still to take effect.

Law: a number is here from before its write is sent until it is certain that no copy can take
effect any more. So whatever ends a request, an interrupt included, nothing has to be noted in time:
a number whose request is over is in doubt. The next write of the client, under whichever session,
settles it first.

What settles a number is that it, or a higher one of its session, was carried out: the number of a
write in doubt is given to a write that changes nothing, unless it was used by then. Whoever does
that, and how often, it is the same.

It rests on steps that no thread and no signal can divide (those of a `dict`). This module must
not know how a request is sent.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Number(NamedTuple):
    """Under which a write goes."""

    session: int
    sequence: int


class UnderWay(Protocol):
    """A request that may be over."""

    is_over: bool


class Doubts:
    """The numbers of one client's sessions, each with the request that it was taken for."""

    def __init__(self) -> None:
        self._numbers: dict[Number, UnderWay] = {}

    def begin(self, number: Number, request: UnderWay) -> None:
        """It is about to be sent. What settles the last number before it settles those before."""
        before = sorted(self._of(number.session))
        self._numbers[number] = request
        for settled_with_the_last in before[:-1]:
            self.end(settled_with_the_last)

    def end(self, number: Number) -> None:
        """No copy of the write that it was taken for will take effect any more."""
        self._numbers.pop(number, None)

    def end_through(self, last: Number) -> None:
        """The session is as far as this number, or is no more."""
        for number in self._of(last.session):
            if number <= last:
                self.end(number)

    def of_others(self, session: int | None) -> list[Number]:
        """Those in doubt, but for those of a session whose own next write will settle them."""
        numbers = self._numbers.copy()
        return [
            number
            for number, request in numbers.items()
            if request.is_over and number.session != session
        ]

    def _of(self, session: int) -> list[Number]:
        return [number for number in self._numbers.copy() if number.session == session]
