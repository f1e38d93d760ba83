"""What `kvstore watch` prints: a line an event, an object a revision, and where to go on."""

from __future__ import annotations

import json

import pytest
from scripted_node import ScriptedNode, bulk

from kvstore import api

from .shell import Run, record

EVENTS = (
    api.Event(b"a", record(b"a", b"1")),
    api.Event(b"b\n", None, record(b"b\n", b"\xff")),
)
TOLD = (
    bulk(api.WatchCreated(1, 5))
    + bulk(api.WatchEvents((1,), 6, EVENTS[:1], True))
    + bulk(api.WatchEvents((1,), 6, EVENTS[1:]))
    + bulk(api.WatchProgress(7))
    + bulk(api.WatchEvents((1,), 8, EVENTS[:1]))
)
FROM_5 = ("--revision", "5", "--limit", "2")


def test_a_line_is_an_event(run: Run) -> None:
    with ScriptedNode(TOLD) as node:
        ran = run("watch", "--prefix", "a", *FROM_5, "--to", node.address)
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.decode() == "6\tPUT\ta\t1\n6\tDELETE\tb\\n\t\n8\tPUT\ta\t1\n"
        [asked] = node.requests
    assert asked == api.CreateWatch(1, b"a", b"b", 5, needs_leader=True)


def test_what_was_there_before_stands_behind(run: Run) -> None:
    with ScriptedNode(TOLD) as node:
        words = ("watch", "--previous", "--progress", *FROM_5, "--to", node.address)
        ran = run(*words)
        [asked] = node.requests
    assert ran.out.decode().splitlines() == [
        "6\tPUT\ta\t1\t",
        "6\tDELETE\tb\\n\t\t\\xff",
        "7\tPROGRESS",
        "8\tPUT\ta\t1\t",
    ]
    assert isinstance(asked, api.CreateWatch)
    assert asked.with_previous


def test_with_json_a_line_is_a_revision(run: Run) -> None:
    with ScriptedNode(TOLD) as node:
        ran = run("watch", "a", "--json", *FROM_5, "--to", node.address)
    first, second = map(json.loads, ran.out.splitlines())
    numbers = {"create_revision": 1, "mod_revision": 2, "version": 3, "lease": 0}
    assert first == {
        "revision": 6,
        "events": [
            {"type": "put", "key": "a", "value": "1", **numbers},
            {
                "type": "delete",
                "key": "b\n",
                "previous": {"key": "b\n", "value_base64": "/w==", **numbers},
            },
        ],
    }
    assert second["revision"] == 8


@pytest.mark.parametrize("as_json", [False, True])
def test_what_is_not_kept_any_more_is_told_with_what_is(run: Run, as_json: bool) -> None:
    gone = api.Failure(api.FailureCode.COMPACTED, "begin at 9", compacted=9)
    with ScriptedNode(gone) as node:
        words = ("watch", "a", *FROM_5, "--to", node.address)
        ran = run(*words, *(["--json"] if as_json else []))
    assert ran.code == 3
    if as_json:
        error = json.loads(ran.out)["error"]
        assert (error["code"], error["floor"], error["retryable"]) == ("COMPACTED", 9, False)
    else:
        assert ran.err == "error: COMPACTED begin at 9\n"


def test_a_key_and_a_prefix_are_two_things(run: Run) -> None:
    ran = run("watch", "a", "--prefix", "b")
    assert ran.code == 2
    assert "either a KEY or --prefix" in ran.err
