"""What a connection asks of a language: bytes into requests, and results into bytes.

Law: a codec touches no socket. What it reads, it hands on as a value: a request for the node with
the way to write its answer, words that are the answer, or the news that somebody else goes on
from here. A connection needs to know no more than this; another language is another codec, and
a row of `LANGUAGES` in `languages.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import msgspec

from kvstore import api
from kvstore.server.asked import Asked
from kvstore.server.stream import Stream


class Submission(Asked, frozen=True, gc=False, kw_only=True):
    """What the node is to be asked, and how its result is written as a reply."""

    write: Callable[[api.Result], bytes]


class Said(msgspec.Struct, frozen=True, gc=False):
    """A reply that is there at once; `is_last`: the client is hung up on behind it."""

    reply: bytes
    is_last: bool = False


class Upgrade(msgspec.Struct, frozen=True):
    """What follows is no client's: `by` takes the stream over."""

    by: Callable[[Stream], None]


class Switch(msgspec.Struct, frozen=True):
    """What follows is another language, and `codec` has what was read of it."""

    codec: Codec


Heard: TypeAlias = Submission | Said | Switch | Upgrade


class Codec(Protocol):
    """One language, as one client speaks it.

    * What it costs is booked in the `steps` of the client's state.
    """

    is_empty: bool
    """Whether nothing is held of requests."""

    @property
    def held_bytes(self) -> int:
        """The memory that is taken by what was fed and has not been returned."""
        ...

    @property
    def is_in_request(self) -> bool:
        """Whether a request has begun that is not whole."""
        ...

    @property
    def under_way(self) -> str:
        """What `next` was last at, for a log."""
        ...

    def feed(self, data: bytes, *, is_thrifty: bool) -> None:
        """Take bytes as they arrived; `is_thrifty`: nothing ahead of time, as memory is short."""
        ...

    def next(self) -> Heard | None:
        """What the next whole request comes to, None if it is not whole yet."""
        ...

    def give_up(self, failure: api.Failure) -> bytes:
        """Forget what is held of requests; what the client is told instead."""
        ...
