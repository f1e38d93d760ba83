"""Which languages are spoken on the port, and by what a client's first bytes tell its own.

Law: a language is one row of `LANGUAGES`, and nothing else need know it. The first row goes
whose language may have begun so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from kvstore import api
from kvstore.server import refusals
from kvstore.server.client_state import ClientState
from kvstore.server.codec import Codec, Said, Switch
from kvstore.server.context import Context
from kvstore.server.peer_codec import PeerCodec
from kvstore.server.resp_codec import RespCodec
from kvstore.wire.peer import begins_hello


class Language(NamedTuple):
    """One row.

    * `begins`: whether these are the first bytes of it; None if that takes more of them.
    * `codec` makes one for a client.
    * `is_of_peers`: it is spoken also where there are clients enough.
    """

    name: str
    begins: Callable[[bytes], bool | None]
    codec: Callable[[ClientState, Context], Codec]
    is_of_peers: bool = False


LANGUAGES: Final = (
    Language("hello", begins_hello, PeerCodec, is_of_peers=True),
    Language("resp", lambda _first: True, RespCodec),
)


class Opening:
    """The codec of who has just connected, until the first bytes tell the language.

    * `_first` is what came so far.
    """

    under_way = "its first bytes"

    def __init__(
        self,
        languages: Sequence[Language],
        state: ClientState,
        context: Context,
        is_newcomer: bool,
    ) -> None:
        self._languages = languages
        self._state = state
        self._context = context
        self._is_newcomer = is_newcomer
        self._first = b""
        self._is_thrifty = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing came."""
        return not self._first

    @property
    def held_bytes(self) -> int:
        """No more than it takes to tell."""
        return len(self._first)

    @property
    def is_in_request(self) -> bool:
        """Whether anything came."""
        return bool(self._first)

    def feed(self, data: bytes, *, is_thrifty: bool) -> None:
        """Take bytes as they arrived."""
        self._first += data
        self._is_thrifty = is_thrifty

    def next(self) -> Switch | Said | None:
        """The codec that goes on, None while the bytes are too few to tell."""
        if not self._first:
            return None
        for language in self._languages:
            begins = language.begins(self._first)
            if begins is None:
                return None
            if begins:
                return self._begin(language)
        raise AssertionError("the last language takes whatever comes")

    def _begin(self, language: Language) -> Switch | Said:
        codec = language.codec(self._state, self._context)
        first, self._first = self._first, b""
        codec.feed(first, is_thrifty=self._is_thrifty)
        if self._is_newcomer and not language.is_of_peers:
            self._context.traffic.note_rejected()
            return Said(codec.give_up(refusals.TOO_MANY_CLIENTS), is_last=True)
        return Switch(codec)

    def give_up(self, _failure: api.Failure) -> bytes:
        """Nothing can be said in a language that is not known."""
        self._first = b""
        return b""
