"""Why a server ends, and what Python says meanwhile: in the format that was asked for."""

from __future__ import annotations

import json
import sys
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from kvstore import logs
from kvstore.cli.last_words import LastWords
from kvstore.errors import DamagedError


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def records(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


JSON = ["serve", "--log-format", "json"]


def test_an_error_is_a_line_in_either_format(capsys: pytest.CaptureFixture[str]) -> None:
    error = DamagedError("data/n1: it is damaged")
    with LastWords(JSON, {}) as last_words:
        last_words.say(type(error), str(error))
    (record,) = records(capsys)
    assert (record["level"], record["code"]) == ("critical", "damaged")
    assert record["event"] == "data/n1: it is damaged"
    with LastWords(["serve"], {}) as last_words:
        last_words.say(type(error), str(error))
    assert capsys.readouterr().err == "error: data/n1: it is damaged\n"


@pytest.mark.parametrize("words", [["serve"], JSON])
def test_whatever_a_path_holds_it_stays_one_line(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with LastWords(words, {}) as last_words:
        last_words.say(DamagedError, "data\nforged: a\x1b[2J\u202eb\udcff is damaged")
    told = capsys.readouterr().err
    said = json.loads(told)["event"] if words == JSON else told.removeprefix("error: ").rstrip()
    assert told.count("\n") == 1
    assert said == r"data\nforged: a\x1b[2J\u202eb\xff is damaged"


def test_an_error_has_the_format_that_was_configured_since(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A pipe says how the log is wanted only once all settings are gathered."""
    with LastWords(["serve"], {}) as last_words:
        logs.configure("json")
        last_words.say(DamagedError, "data/n1: it is damaged")
    (record,) = records(capsys)
    assert record["code"] == "damaged"


def test_what_python_would_print_is_a_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise ValueError("in a thread")

    class Careless:
        def __del__(self) -> None:
            raise ValueError("in a finalizer")

    before = threading.excepthook, sys.unraisablehook, warnings.showwarning
    with LastWords(JSON, {}), warnings.catch_warnings():
        warnings.simplefilter("always")
        thread = threading.Thread(target=fail)
        thread.start()
        thread.join()
        Careless()
        warnings.warn("old ways", DeprecationWarning, stacklevel=1)
    of_thread, of_finalizer, warning = records(capsys)
    assert of_thread["code"] == of_finalizer["code"] == "uncaught"
    assert "ValueError: in a thread" in of_thread["exception"]
    assert "ValueError: in a finalizer" in of_finalizer["exception"]
    assert (warning["code"], warning["event"]) == ("python_warning", "DeprecationWarning: old ways")
    assert (threading.excepthook, sys.unraisablehook, warnings.showwarning) == before


def test_a_mistake_of_its_own_comes_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with LastWords(JSON, {}) as last_words:
        try:
            raise KeyError("nobody thought of it")
        except KeyError as error:
            last_words.crashed(error)
    (record,) = records(capsys)
    assert (record["level"], record["code"]) == ("critical", "crashed")
    assert "nobody thought of it" in record["event"]
    assert "Traceback" in record["exception"]
