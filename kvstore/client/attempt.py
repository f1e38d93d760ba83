"""What a caller wants done next, and how an attempt comes to nothing.

Law: the two ways to fail are kept apart. `NotSent` is certain: the node never had all of the
request. `Unanswered` is not: the node may have carried it out.

A way is a request under way: it says step by step what to do, and is told what came of it
(`carry_out` of `links.py` does that with sockets and a clock, the simulator without,
`tests/client/test_asyncio.py` with an event loop). This
module must not know who decides, nor who acts.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple, TypeAlias

from kvstore import api
from kvstore.address import Address


class Attempt(NamedTuple):
    """Ask one node, once: the way is sent the reply, or thrown NotSent or Unanswered.

    `is_stale`: the node reads what it has applied. It must have all of the request by
    `send_until`, and answer by `reply_until`, by the caller's clock, in s.
    """

    node: Address
    is_stale: bool
    call: api.Call
    send_until: float
    reply_until: float


class HangUp(NamedTuple):
    """End the connection on which the last reply came: it was none to that request."""

    node: Address
    is_stale: bool


class Rest(NamedTuple):
    """Wait for a time that is drawn between these, in s, but not beyond `until`."""

    shortest_s: float
    longest_s: float
    until: float


Step: TypeAlias = Attempt | HangUp | Rest
Way: TypeAlias = Generator[Step, object, api.Result]
"""It is sent the reply to an attempt, as it is, and nothing of any worth after other steps."""


class Setback(Exception):  # noqa: N818 - a turn of events that the client handles, not an error
    """An attempt came to nothing. `is_silence`: its time was up, which says little of the node."""

    def __init__(self, reason: str, *, is_silence: bool = False) -> None:
        super().__init__(reason)
        self.is_silence = is_silence


class NotSent(Setback):
    """The node cannot have carried the request out: it never had all of it."""


class Full(NotSent):
    """The node has no free place for another client."""

    words = "ERR max number of clients reached"
    """How it says so, to whatever comes first on a connection: as Redis does."""

    def __init__(self) -> None:
        super().__init__("it has no free place for another client")


class Foreign(NotSent):
    """The node belongs to another cluster, and has refused."""


class Unanswered(Setback):
    """The node may have carried the request out, but its reply did not arrive."""
