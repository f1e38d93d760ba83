"""Another language on the same port: one codec and one row, and nothing else of the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kvstore import api
from kvstore.server.client_state import ClientState
from kvstore.server.codec import Said, Service, Submission
from kvstore.server.languages import LANGUAGES, Language
from kvstore.wire.resp import command

from .accounts import check_accounts
from .line import Line


class LinesCodec:
    """`?key` reads and `!key value` writes, a line each; `.` ends the conversation."""

    under_way = "a line"

    def __init__(self, state: ClientState, _service: Service) -> None:
        self._input = b""
        self.is_empty = True

    @property
    def held_bytes(self) -> int:
        return len(self._input)

    @property
    def is_in_request(self) -> bool:
        return bool(self._input)

    def feed(self, data: bytes, *, is_thrifty: bool) -> None:
        self._input += data
        self.is_empty = not self._input

    def next(self) -> Submission | Said | None:
        line, end, rest = self._input.partition(b"\n")
        if not end:
            return None
        self._input, self.is_empty = rest, not rest
        words = line[1:].split(b" ")
        if line[:1] == b"?":
            return Submission(api.Get((words[0],)), write=self._show)
        if line[:1] == b"!" and len(words) == 2:
            return Submission(api.Put(words[0], words[1]), write=self._show)
        return Said(b"bye\n", is_last=True)

    def give_up(self, failure: api.Failure) -> bytes:
        self._input, self.is_empty = b"", True
        return self._show(failure)

    @staticmethod
    def _show(result: api.Result) -> bytes:
        if isinstance(result, api.GetResult):
            [item] = result.items
            return b"nothing\n" if item is None else item.value + b"\n"
        return b"done\n" if isinstance(result, api.PutResult) else b"failed\n"


def _begins(first: bytes) -> bool | None:
    """Its first line begins with two marks, so that one byte is too few to tell."""
    if first[:1] not in (b"?", b"!"):
        return False
    return None if len(first) < 2 else True


WITH_LINES = (Language("lines", _begins, LinesCodec), *LANGUAGES)


@pytest.fixture
def speaking() -> Iterator[Line]:
    """A server that knows one language more, and somebody who has connected to it."""
    line = Line()
    line.connect_anew(languages=WITH_LINES)
    yield line
    line.close()


def test_another_language_is_a_codec_and_a_row(speaking: Line) -> None:
    """What a connection does for every language holds: order, and reads of what was written."""
    assert speaking.ask(b"?k\n!k 7\n?k\n") == b"nothing\ndone\n7\n"
    check_accounts(speaking.context)
    assert speaking.ask(b"?k\n.\n?k\n") == b"7\nbye\n"
    assert speaking.is_closed


def test_the_languages_share_port_and_data(speaking: Line) -> None:
    assert speaking.ask(command(b"SET", b"k", b"8")) == b"+OK\r\n"
    speaking.connect_anew()
    assert speaking.ask(command(b"GET", b"k")) == b"$1\r\n8\r\n"


def test_a_language_is_told_by_as_many_bytes_as_it_takes(speaking: Line) -> None:
    assert speaking.ask(b"?") == b""
    check_accounts(speaking.context)
    assert speaking.ask(b"k\n") == b"nothing\n"


def test_requests_of_every_language_count_and_cost_alike(speaking: Line) -> None:
    served, counted = speaking.connection.served, speaking.context.commands_processed
    speaking.ask(b"?k\n" * 7)
    assert speaking.context.commands_processed - counted == 7
    assert speaking.connection.served - served >= 7 * 20


def test_who_comes_when_there_is_no_room_is_told_so_in_its_language() -> None:
    line = Line()
    line.connect_anew(is_newcomer=True, languages=WITH_LINES)
    try:
        assert line.ask(b"?k\n") == b"failed\n"
        assert line.is_closed
        assert line.node.machine.revision == 1
    finally:
        line.close()


def test_who_leaves_before_a_language_is_told_leaves_nothing(speaking: Line) -> None:
    speaking.client.sendall(b"!")
    speaking.client.close()
    for _ in range(3):
        speaking.turn()
    check_accounts(speaking.context)
    assert len(speaking.context.doorkeeper.connections) == 1, "only the one that came before"
