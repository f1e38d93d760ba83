"""What happened in a simulated run, as values in the order in which it happened.

Law: a trace reports and decides nothing; it holds all that a film, a diagram or a
model needs to tell the run again. Times are simulated ms since its start.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from kvstore import api
from kvstore.raft.events import Event
from kvstore.raft.messages import Message
from kvstore.raft.types import HardState, LogStart, Role


class _Record(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    at_ms: float


class Started(_Record, frozen=True):
    """A node starts from what its disk holds; `commit_index` is what it knows by that."""

    node: int
    hard_state: HardState
    last_index: int
    commit_index: int


class Crashed(_Record, frozen=True):
    """A node ends without notice; `lost_entries` it had taken, but not on its disk."""

    node: int
    why: str
    lost_entries: int


class Paused(_Record, frozen=True):
    """A node stands still (SIGSTOP, a stalled machine); its sockets still fill."""

    node: int


class Resumed(_Record, frozen=True):
    """A node goes on where it stood still."""

    node: int


class Sent(_Record, frozen=True):
    """A message leaves its sender; `number` names this one sending."""

    number: int
    message: Message


class Delivered(_Record, frozen=True):
    """A message arrives; one that the network duplicated arrives twice."""

    number: int


class Dropped(_Record, frozen=True):
    """A message is lost."""

    number: int
    why: str


class Persisted(_Record, frozen=True):
    """An update is on a node's disk: first the truncation, then entries of these terms."""

    node: int
    hard_state: HardState | None
    truncate_from: int | None
    first_index: int
    terms: tuple[int, ...]


class Noted(_Record, frozen=True):
    """The core of a node reports an event: its role, a vote, a truncation."""

    node: int
    event: Event


class Committed(_Record, frozen=True):
    """A node learns that entries up to `index` are committed."""

    node: int
    term: int
    index: int


class Invoked(_Record, frozen=True):
    """A client sends a request to a node; `number` names the operation."""

    client: int
    number: int
    node: int
    request: api.Request


class Returned(_Record, frozen=True):
    """The client has its answer; None when it stopped waiting."""

    client: int
    number: int
    result: api.Result | None


class LinksChanged(_Record, frozen=True):
    """From now on these (sender, recipient) links lose everything, and all others work."""

    cut: tuple[tuple[int, int], ...]


class Disturbed(_Record, frozen=True):
    """A fault of the plan strikes, in words; `node` is None where it strikes all."""

    node: int | None
    what: str


Record: TypeAlias = (
    Started
    | Crashed
    | Paused
    | Resumed
    | Sent
    | Delivered
    | Dropped
    | Persisted
    | Noted
    | Committed
    | Invoked
    | Returned
    | LinksChanged
    | Disturbed
)


class ModelStep(msgspec.Struct, frozen=True):
    """One step of one node, and how it stands afterwards, for the formal model.

    * `action`: start, receive (`message`), tick, propose, persist or crash.
    * `log`: the terms of all entries, durable ones first; those before it are dropped, or never
      were there: it begins after `start`, and on disk after `durable_start`.
    * persist makes all that stands here durable; start and crash return to that.
    """

    node: int
    action: str
    message: Message | None
    role: Role
    term: int
    voted_for: int | None
    start: LogStart
    log: tuple[int, ...]
    durable_index: int
    durable_start: LogStart
    commit_index: int
