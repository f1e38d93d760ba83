"""What a log line looks like, because people and scripts read it."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from kvstore.logs import configure, logger_for


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise BrokenPipeError


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_text_line_has_utc_time_level_node_event_and_fields() -> None:
    stream = io.StringIO()
    configure("text", stream)
    logger_for(1).info("became follower", term=2)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info \[node 1\] became follower  term=2\n",
        stream.getvalue(),
    )
    stamp = datetime.fromisoformat(stream.getvalue().split()[0])
    assert abs((datetime.now(UTC) - stamp).total_seconds()) < 60


def test_the_time_is_utc_wherever_the_node_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    stream = io.StringIO()
    configure("text", stream)
    logger_for(1).info("x")
    monkeypatch.undo()
    time.tzset()
    stamp = datetime.fromisoformat(stream.getvalue().split()[0])
    assert stream.getvalue().split()[0].endswith("Z")
    assert abs((datetime.now(UTC) - stamp).total_seconds()) < 60


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_event_text_is_rendered_verbatim(log_format: str) -> None:
    stream = io.StringIO()
    configure(log_format, stream)
    logger_for(1).warning("stepping down: saw term 2 > my term 1")
    assert "[node 1] stepping down: saw term 2 > my term 1" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_a_json_line_is_one_object() -> None:
    stream = io.StringIO()
    configure("json", stream)
    logger_for(3).error('said "no"', term=7, why=b"\xff\n", peers=[1, 2], code="said_no")
    record = json.loads(stream.getvalue())
    first = ["timestamp", "level", "event", "code", "node"]
    assert list(record) == [*first, "term", "why", "peers"]
    assert (record["code"], record["node"]) == ("said_no", 3)
    assert record["event"] == '[node 3] said "no"'
    assert (record["level"], record["term"], record["peers"]) == ("error", 7, [1, 2])
    assert record["why"] == "\\xff\n"
    assert record["timestamp"].endswith("Z")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nothing_from_outside_can_forge_a_line(log_format: str) -> None:
    stream = io.StringIO()
    configure(log_format, stream)
    logger_for(1).info("odd\nline\x1b[31m", why="two\nlines", raw=b"a\x85b", empty="")
    assert stream.getvalue().count("\n") == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", stream.getvalue())


def test_a_value_that_is_not_one_plain_word_is_quoted() -> None:
    stream = io.StringIO()
    configure("text", stream)
    logger_for(1).info("x", a="two words", b="", c="one", d='"')
    assert stream.getvalue().endswith(' x  a="two words" b="" c=one d="\\""\n')


def test_in_text_the_code_and_the_node_are_said_by_the_words() -> None:
    stream = io.StringIO()
    configure("text", stream)
    logger_for(1).info("became follower", code="became_follower", term=2)
    assert stream.getvalue().endswith("Z info [node 1] became follower  term=2\n")


def test_a_node_may_be_known_before_any_logger_is_asked_for() -> None:
    stream = io.StringIO()
    configure("json", stream, node_id=4)
    logger_for().critical("ends", code="crashed")
    configure("json", stream)
    logger_for().critical("ends", code="crashed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["node"]) == ("[node 4] ends", 4)
    assert (second["event"], second["node"]) == ("ends", None)


def test_colours_are_for_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream, coloured in ((Terminal(), True), (io.StringIO(), False)):
        configure("text", stream)
        logger_for(1).info("became leader", term=1)
        assert ("\x1b[" in stream.getvalue()) is coloured
        assert "[node 1] became leader" in stream.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    configure("text", plain)
    logger_for(1).info("became leader")
    assert "\x1b[" not in plain.getvalue()


def test_json_has_no_colours_even_on_a_terminal() -> None:
    stream = Terminal()
    configure("json", stream)
    logger_for(1).info("became leader")
    assert json.loads(stream.getvalue())["level"] == "info"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_an_exception_keeps_its_traceback(log_format: str) -> None:
    stream = io.StringIO()
    configure(log_format, stream)
    try:
        raise ValueError("the disk is gone")
    except ValueError:
        logger_for(1).exception("stopped")
    assert "[node 1] stopped" in stream.getvalue().splitlines()[0]
    assert "ValueError: the disk is gone" in stream.getvalue()


def test_debug_events_are_not_written() -> None:
    stream = io.StringIO()
    configure("text", stream)
    logger_for(1).debug("noise")
    assert stream.getvalue() == ""


def test_a_logger_made_before_configuring_follows_the_configuration() -> None:
    logger = logger_for(5)
    first, second = io.StringIO(), io.StringIO()
    configure("text", first)
    logger.info("one")
    configure("json", second)
    logger.info("two")
    assert "[node 5] one" in first.getvalue()
    assert json.loads(second.getvalue())["event"] == "[node 5] two"


def test_a_log_that_cannot_be_written_does_not_stop_the_node() -> None:
    configure("text", Broken())
    logger_for(1).info("into the void")
    closed = io.StringIO()
    configure("text", closed)
    closed.close()
    logger_for(1).info("into the void")


def test_the_default_stream_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure()
    logger_for(1).info("hello")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.endswith("[node 1] hello\n")


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(ValueError, match="xml"):
        configure("xml")
