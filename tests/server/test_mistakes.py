"""A mistake in the answer to one client ends that connection, and never the node."""

from __future__ import annotations

import importlib.metadata

import pytest
import structlog

import kvstore
from kvstore import api
from kvstore.errors import DamagedStateError
from kvstore.kv.machine import QUERIES, WRITES
from kvstore.raft.safety import SafetyViolationError
from kvstore.server import info_command
from kvstore.version import version
from kvstore.wire import commands
from kvstore.wire.resp import command

from .line import Line


def fail(*_args: object) -> bytes:
    raise KeyError("a mistake")


def assert_only_one_was_hung_up_on(line: Line, log: list[dict[str, object]]) -> None:
    assert line.is_closed
    [event] = [event for event in log if event["log_level"] == "error"]
    assert event["exc_info"], "the event carries the traceback"
    line.connect_anew()
    assert line.ask(command(b"PING")) == b"+PONG\r\n"
    assert line.ask(command(b"SET", b"k", b"2"), command(b"GET", b"k")) == b"+OK\r\n$1\r\n2\r\n"


def test_a_builtin_that_fails_ends_its_connection(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(info_command, "_info_sections", fail)
    with structlog.testing.capture_logs() as log:
        line.ask(command(b"INFO"))
    assert_only_one_was_hung_up_on(line, log)


def test_a_reply_that_cannot_be_rendered_ends_its_connection(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = commands.COMMANDS[b"INCR"]
    monkeypatch.setitem(
        commands.COMMANDS, b"INCR", type(broken)(**{**_fields(broken), "render": fail})
    )
    with structlog.testing.capture_logs() as log:
        line.ask(command(b"INCR", b"n"), command(b"PING"))
    assert line.node.machine.revision == 2, "the write itself was carried out"
    assert_only_one_was_hung_up_on(line, log)


def _fields(spec: commands.Spec) -> dict[str, object]:
    return {name: getattr(spec, name) for name in spec.__struct_fields__}


def test_a_query_that_fails_ends_its_connection(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(QUERIES, api.Count, fail)
    with structlog.testing.capture_logs() as log:
        line.ask(command(b"DBSIZE"))
    assert_only_one_was_hung_up_on(line, log)


@pytest.mark.parametrize("error", [DamagedStateError("lost"), SafetyViolationError("broken")])
def test_what_tells_of_the_disk_or_of_consensus_ends_the_node(
    line: Line, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def damaged(_machine: object, _query: object) -> api.Result:
        raise error

    monkeypatch.setitem(QUERIES, api.Count, damaged)
    with pytest.raises(type(error)):
        line.ask(command(b"DBSIZE"))


def test_an_entry_that_cannot_be_applied_ends_the_node(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replica might apply it: this is nothing of one client."""
    monkeypatch.setitem(WRITES, api.Increment, fail)
    with pytest.raises(KeyError):
        line.ask(command(b"INCR", b"n"))


def test_a_version_is_told_without_the_metadata_of_the_package(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_name: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    version.cache_clear()
    monkeypatch.setattr(importlib.metadata, "version", missing)
    try:
        assert b"kvstore_version:unknown" in line.ask(command(b"INFO"))
        assert kvstore.__version__ == "unknown"
    finally:
        version.cache_clear()
