"""Links between nodes: what becomes of each message, and when it arrives.

Law: a message arrives as it was sent, or not at all; everything else may happen to
it. Links have directions, and each may be cut by itself.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

import msgspec

from kvstore.raft.messages import Message
from kvstore.sim.schedule import Schedule
from kvstore.sim.trace import Delivered, Dropped, LinksChanged, Record, Sent


class Conditions(msgspec.Struct, frozen=True):
    """The weather on all links. Probabilities are per message."""

    delay_min_ms: float = 0.2
    delay_max_ms: float = 2.0
    loss: float = 0.0
    duplication: float = 0.0
    straggling: float = 0.0
    """Chance that a message takes up to `straggling_max_ms`, and others overtake it."""
    straggling_max_ms: float = 1500.0

    def __str__(self) -> str:
        return (
            f"up to {self.delay_max_ms:.0f} ms, {self.loss:.0%} lost,"
            f" {self.duplication:.0%} twice, {self.straggling:.0%} late"
        )


FAIR = Conditions()


class Network:
    """All links of one world."""

    def __init__(
        self,
        schedule: Schedule,
        rng: random.Random,
        conditions: Conditions,
        deliver: Callable[[Message, int], str | None],
        record: Callable[[Record], None] | None,
    ) -> None:
        """`deliver` is told in which of its sender's lives a message was sent; why it is not
        taken, if so.
        """
        self._schedule = schedule
        self._rng = rng
        self._deliver = deliver
        self._record = record
        self._sent = 0
        self.conditions = conditions
        self.cut: frozenset[tuple[int, int]] = frozenset()
        """Links, as (sender, recipient), that lose everything."""
        self.late_until_ms = 0.0
        """When the last of the messages arrives that left in other weather than fair."""
        self.duplicated = 0
        self.lost = 0

    def send(self, message: Message, life: int) -> None:
        """Put a message, sent in this life of its sender, on its link."""
        self._sent += 1
        number, rng, weather = self._sent, self._rng, self.conditions
        if self._record:
            self._record(Sent(at_ms=self._schedule.now_ms, number=number, message=message))
        if weather.loss and rng.random() < weather.loss:
            self._lose(number, "lost")
            return
        self._carry(number, message, life)
        if weather.duplication and rng.random() < weather.duplication:
            self.duplicated += 1
            self._carry(number, message, life)

    def change_links(self, cut: Iterable[tuple[int, int]]) -> None:
        """From now on exactly these links lose what arrives through them."""
        self.cut = frozenset(cut)
        if self._record:
            self._record(LinksChanged(at_ms=self._schedule.now_ms, cut=tuple(sorted(self.cut))))

    def _carry(self, number: int, message: Message, life: int) -> None:
        rng, weather = self._rng, self.conditions
        least_ms = weather.delay_min_ms
        delay_ms = least_ms + (weather.delay_max_ms - least_ms) * rng.random()
        if weather.straggling and rng.random() < weather.straggling:
            delay_ms = rng.uniform(delay_ms, weather.straggling_max_ms)
        if weather is not FAIR:
            self.late_until_ms = max(self.late_until_ms, self._schedule.now_ms + delay_ms)
        self._schedule.after(delay_ms, lambda: self._arrive(number, message, life))

    def _arrive(self, number: int, message: Message, life: int) -> None:
        if self.cut and (message.sender, message.recipient) in self.cut:
            self._lose(number, "the link is cut")
            return
        if why := self._deliver(message, life):
            self._lose(number, why)
        elif self._record:
            self._record(Delivered(at_ms=self._schedule.now_ms, number=number))

    def _lose(self, number: int, why: str) -> None:
        self.lost += 1
        if self._record:
            self._record(Dropped(at_ms=self._schedule.now_ms, number=number, why=why))
