"""What comes back, in one form for all that are asked, with revisions as in `steps.py`."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from .steps import Step


class Why(enum.StrEnum):
    """Why nothing was done."""

    COMPACTED = "compacted"
    FUTURE = "future"
    INVALID = "invalid"
    LEASE_EXISTS = "lease exists"
    NO_LEASE = "no lease"


@dataclass(frozen=True)
class Refused:
    why: Why


@dataclass(frozen=True)
class Item:
    key: bytes
    value: bytes
    create: int
    mod: int
    version: int
    lease: int


@dataclass(frozen=True)
class Written:
    revision: int
    previous: Item | None = None


@dataclass(frozen=True)
class Deleted:
    revision: int
    deleted: int
    previous: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Found:
    revision: int
    items: tuple[Item, ...]
    more: bool
    count: int


@dataclass(frozen=True)
class Decided:
    """Of a transaction; a nested one has no revision of its own."""

    revision: int | None
    succeeded: bool
    results: tuple[Answer, ...]


@dataclass(frozen=True)
class Done:
    """Nothing more can be said of a compaction, or of a lease that was revoked."""

    revision: int


@dataclass(frozen=True)
class Granted:
    lease: int
    ttl_s: int


@dataclass(frozen=True)
class Lives:
    ttl_s: int
    keys: frozenset[bytes]


@dataclass(frozen=True)
class Known:
    leases: frozenset[int]


@dataclass(frozen=True)
class Event:
    """`item` None: the key was deleted."""

    revision: int
    key: bytes
    item: Item | None
    previous: Item | None


@dataclass(frozen=True)
class Happened:
    events: tuple[Event, ...]


Answer = Refused | Written | Deleted | Found | Decided | Done | Granted | Lives | Known | Happened


class Player(Protocol):
    """One that sequences are played to."""

    def begin(self) -> None:
        """Forget all keys, leases and revisions of before."""

    def ask(self, step: Step) -> Answer: ...


def play(player: Player, steps: tuple[Step, ...]) -> list[Answer]:
    """All answers to a sequence."""
    player.begin()
    return [player.ask(step) for step in steps]
