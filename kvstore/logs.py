"""structlog set-up: one line for people or one JSON object for machines, per event.

Law: the text of an event is rendered verbatim, and one event is one line (only a
traceback adds more, in text): scripts look for events by their text, or in JSON by their
`code`. A log that cannot be written never stops a node.

This module must not know what is logged. It reads the wall clock, for time stamps
alone; nothing else may take time from here.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TextIO

import structlog
from structlog.typing import FilteringBoundLogger, Processor

from kvstore.config.sources import LOG_FORMATS
from kvstore.printable import printable

_DIM: Final = "\x1b[2m"
_RESET: Final = "\x1b[0m"
_LEVEL_COLOURS: Final = {
    "debug": "\x1b[34m",
    "info": "\x1b[32m",
    "warning": "\x1b[33m",
    "error": "\x1b[31m",
    "critical": "\x1b[31;1m",
}
_FIRST: Final = ("timestamp", "level", "event", "code", "node")
_PLAIN_VALUE: Final = re.compile(r"[^\s\"'=]+")


def configure(
    log_format: str = "text", stream: TextIO | None = None, node_id: int | None = None
) -> None:
    """Send all events from now on to `stream` (standard error) as `text` or `json` lines.

    `node_id`: whose they are, unless their logger knows better. Text is coloured only on a
    terminal, and not when NO_COLOR is set.
    """
    if log_format not in LOG_FORMATS:
        raise ValueError(f"unknown log format {log_format!r}")
    target = sys.stderr if stream is None else stream
    colours = target.isatty() and not os.environ.get("NO_COLOR")
    renderer: Processor = _JsonLine() if log_format == "json" else _TextLine(colours)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            _add_time,
            partial(_add_node, node_id),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Lines(target),
        # Loggers are made when modules are imported, before the format is known.
        cache_logger_on_first_use=False,
    )


def are_json() -> bool:
    """Whether lines are JSON, as they were configured last."""
    return isinstance(structlog.get_config()["processors"][-1], _JsonLine)


def logger_for(node_id: int | None = None) -> FilteringBoundLogger:
    """A logger that puts `[node N] ` before the text of each event.

    Every event has a `code`, which stays as it is whatever becomes of its words.
    """
    logger: FilteringBoundLogger = structlog.get_logger(_node_id=node_id)
    return logger


def _add_time(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    event["timestamp"] = now.replace("+00:00", "Z")
    return event


def code_of(kind: type) -> str:
    """The code of what has a class of its own: `became_follower` of BecameFollower."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", kind.__name__.removesuffix("Error")).lower()


def _add_node(
    default: int | None, _logger: object, _method: str, event: MutableMapping[str, Any]
) -> Mapping[str, Any]:
    node_id = event.pop("_node_id", None) or default
    event["node"] = node_id
    if node_id is not None:
        event["event"] = f"[node {node_id}] {event['event']}"
    # Else what comes from outside could forge lines, or colour the terminal.
    event["event"] = printable(str(event["event"]))
    return event


class _TextLine:
    """Renders `2026-11-23T20:15:40.123Z info [node 1] became follower  term=2`.

    The code is left out: the words say it.
    """

    def __init__(self, colours: bool) -> None:
        self._colours = colours

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        level = event.pop("level")
        words = [
            self._paint(_DIM, event.pop("timestamp")),
            self._paint(_LEVEL_COLOURS.get(level, ""), level),
            event.pop("event"),
        ]
        traceback = event.pop("exception", None)
        for name in ("code", "node"):
            event.pop(name, None)
        line = " ".join(words)
        pairs = [f"{self._paint(_DIM, name + '=')}{_value(event[name])}" for name in sorted(event)]
        if pairs:
            line += "  " + " ".join(pairs)
        return f"{line}\n{traceback}" if traceback else line

    def _paint(self, colour: str, text: str) -> str:
        return f"{colour}{text}{_RESET}" if self._colours and colour else text


class _JsonLine:
    """Renders one JSON object: when, how bad, what, its code, whose; then its own fields."""

    def __call__(self, _logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
        first = {name: event.pop(name, None) for name in _FIRST}
        return json.dumps({**first, **event}, default=_text, ensure_ascii=True)


class _Lines:
    """Writes lines. What a broken pipe or a full disk refuses is dropped: see the law."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            return

    debug = info = warning = error = critical = exception = msg


def _value(value: object) -> str:
    text = _text(value)
    return text if _PLAIN_VALUE.fullmatch(text) and text.isprintable() else json.dumps(text)


def _text(value: object) -> str:
    """Bytes from outside may be anything; text must come out all the same."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
