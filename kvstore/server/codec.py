"""What a connection asks of a language: bytes into requests, and results into bytes.

Law: a codec touches no socket. What it reads, it hands on as a value: a request for the node with
the way to write its answer, words that are the answer, or the news that somebody else goes on
from here. A connection needs to know no more than this, and a codec of its server no more than
`Service`; another language is another codec, and a row of `LANGUAGES` in `languages.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol, TypeAlias

import msgspec

from kvstore import api
from kvstore.server.asked import Asked
from kvstore.server.scan_cursors import ScanCursors
from kvstore.server.stream import Stream
from kvstore.server.view import ServerView


class Service(ServerView, Protocol):
    """The server, as languages see it: what it tells of itself, and how it is written.

    * `envelope`: a result with who answers, and how far that node is.
    * `cursors`: the positions of SCAN, of all clients.
    """

    envelope: Callable[[api.Result], api.Reply]
    cursors: ScanCursors

    @property
    def is_input_full(self) -> bool:
        """Whether unfinished requests of all clients hold more than they may."""
        ...

    @property
    def is_output_full(self) -> bool:
        """Whether a reply that is not short must be refused: those of others fill the memory."""
        ...


class Submission(Asked, frozen=True, gc=False, kw_only=True):
    """What the node is to be asked, and how its result is written as a reply."""

    is_request: ClassVar = True

    write: Callable[[api.Result], bytes]


class Said(msgspec.Struct, frozen=True, gc=False):
    """A reply that is there at once; `is_last`: the client is hung up on behind it."""

    is_request: ClassVar = True

    reply: bytes
    is_last: bool = False


class Upgrade(msgspec.Struct, frozen=True):
    """What follows is no client's: `by` takes the stream over. Nothing was said before."""

    is_request: ClassVar = False

    by: Callable[[Stream], None]


class Switch(msgspec.Struct, frozen=True):
    """What follows is another language, and `codec` has what was read of it."""

    is_request: ClassVar = False

    codec: Codec


Heard: TypeAlias = Submission | Said | Switch | Upgrade


class Codec(Protocol):
    """One language, as one client speaks it.

    * What it costs beyond being a request is booked in the `steps` of the client's state.
    """

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held of requests."""
        ...

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
