"""What every checker is: one theorem, watched over all nodes of a world at once.

Law: a checker looks and never touches. It raises `ViolationError` at the first step
that breaks its theorem, in words that name nodes, terms and indexes.
"""

from __future__ import annotations

import enum
from typing import ClassVar, Final, NoReturn, Protocol, get_args

from kvstore import api
from kvstore.errors import StorageError
from kvstore.raft.messages import Message
from kvstore.raft.types import DurableUpdate, HardState, LogStart
from kvstore.raft.versions import Versions
from kvstore.server.node import Node
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import FIRST
from kvstore.storage.base import Identity, StateStore


class Part(enum.IntFlag):
    """What can change of a node from one step to the next."""

    ROLE = enum.auto()
    """Its term, its role, or its vote."""
    LOG = enum.auto()
    """Where its log ends, or up to where that is durable."""
    COMMITTED = enum.auto()
    APPLIED = enum.auto()
    ALL = ROLE | LOG | COMMITTED | APPLIED


class ViolationError(Exception):
    """A theorem does not hold."""

    def __init__(self, theorem: str, finding: str) -> None:
        super().__init__(f"{theorem}: {finding}")
        self.theorem = theorem


class WatchedLog(Protocol):
    """What a crash at this moment would leave for certain, and what of it is damaged."""

    identity: Identity
    hard_state: HardState
    start: LogStart
    terms: Indexed[int]
    unreadable: set[int]


class WatchedState(StateStore, Protocol):
    """The data.

    * `changed_at`: as of which entries it was read otherwise than it is.
    """

    changed_at: set[int]


class WatchedDisk(Protocol):
    """A machine's disk."""

    @property
    def log(self) -> WatchedLog: ...

    @property
    def state(self) -> WatchedState: ...

    @property
    def certain_index(self) -> int:
        """Up to which entry a start would find the data."""
        ...


class Watched(Protocol):
    """A machine, as checkers see it; they ask for its node only while it runs."""

    id: int
    session_rules: api.SessionRules
    drift: float
    """By how much the clock of any machine of its world may be wrong, of 1."""

    @property
    def speaks(self) -> Versions:
        """Which versions its release speaks."""
        ...

    @property
    def now_ms(self) -> float:
        """The world's time, which no node sees."""
        ...

    @property
    def turn_ms(self) -> float:
        """When its turn at hand, or its last one, began, by its own clock."""
        ...

    @property
    def oldest_ticket_ms(self) -> float:
        """When it took the ticket that has waited for longest, by its own clock; else infinity."""
        ...

    @property
    def is_leading(self) -> bool:
        """Whether its node runs, and leads as far as it knows."""
        ...

    @property
    def running(self) -> Node:
        """Its node, while that runs."""
        ...

    @property
    def disk(self) -> WatchedDisk: ...


ALL_KINDS: Final[tuple[type[Message], ...]] = get_args(Message)


class Checker:
    """One theorem. Each method is a moment at which it may be broken.

    * `watches`: the parts of a node on which the theorem depends: it is told when one of them
      has changed.
    * `heeds`, `hears_of`: the kinds of messages of which it is told when they leave, and
      when they are taken.
    * `start`: after which the logs of all nodes begin. It is committed.
    """

    theorem: ClassVar[str]
    watches: ClassVar[Part] = Part.ALL
    heeds: ClassVar[tuple[type[Message], ...]] = ALL_KINDS
    hears_of: ClassVar[tuple[type[Message], ...]] = ALL_KINDS

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        self.members = members
        self.start = start

    def started(self, host: Watched) -> None:
        """A node has read its disk and runs."""

    def directory_changed(self, host: Watched) -> None:
        """The next start of a node is one with another directory, an empty or an old one."""

    def ended(self, host: Watched, error: StorageError) -> None:
        """A node has ended itself, as its disk failed it."""

    def changed(self, host: Watched) -> None:
        """One of the parts that it watches is another."""

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        """The update is durable."""

    def speaks(self, host: Watched, message: Message) -> None:
        """A message that it heeds leaves a node."""

    def hears(self, host: Watched, message: Message) -> None:
        """A message of which it hears was taken by a node."""

    def answers(self, host: Watched, request: api.Request, result: api.Result) -> None:
        """An answer to a client leaves a node."""

    def turned(self, host: Watched) -> None:
        """A turn is over, and all that it lets out has left."""

    def fail(self, finding: str) -> NoReturn:
        """The theorem is broken; a finding is put into words only then."""
        raise ViolationError(self.theorem, finding)
