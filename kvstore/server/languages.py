"""Which languages are spoken on the port, and by what a client's first bytes tell its own.

Law: a language is one row of `LANGUAGES`, and nothing else need know it. The first row goes
whose language may have begun so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from kvstore import api
from kvstore.server.client_state import ClientState
from kvstore.server.codec import Codec, Switch
from kvstore.server.context import Context
from kvstore.server.resp_codec import RespCodec


class Language(NamedTuple):
    """One row.

    * `begins`: whether these are the first bytes of it; None if that takes more of them.
    * `codec` makes one for a client at an address, who may be a newcomer: then it may only be
      a peer.
    """

    name: str
    begins: Callable[[bytes], bool | None]
    codec: Callable[[ClientState, Context, str, bool], Codec]


LANGUAGES: Final = (Language("resp", lambda _first: True, RespCodec),)


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
        address: str,
        is_newcomer: bool,
    ) -> None:
        self._languages = languages
        self._client = (state, context, address, is_newcomer)
        self._first = b""
        self._is_thrifty = False
        self.is_empty = True

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
        self.is_empty = not self._first

    def next(self) -> Switch | None:
        """The codec that goes on, None while the bytes are too few to tell."""
        if not self._first:
            return None
        for language in self._languages:
            begins = language.begins(self._first)
            if begins is None:
                return None
            if begins:
                codec = language.codec(*self._client)
                codec.feed(self._first, is_thrifty=self._is_thrifty)
                return Switch(codec)
        raise AssertionError("the last language takes whatever comes")

    def give_up(self, _failure: api.Failure) -> bytes:
        """Nothing can be said in a language that is not known."""
        self._first, self.is_empty = b"", True
        return b""
