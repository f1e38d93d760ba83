"""Whom the client asks: the leader, another node, nobody at all."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from scripted_node import (
    INVALID,
    NO_LEADER,
    OK,
    ClosedPort,
    Misbehave,
    ScriptedNode,
    Step,
    not_leader,
)

import kvstore
from kvstore import Client, ConfigError, NotLeaderError, RefusedError, UnreachableError, api

from .answers import FOO, FOUND, STATUS

# --- Following the leader -----------------------------------------------------------------


def test_a_redirect_is_followed_to_a_node_that_was_not_listed_and_told() -> None:
    with ScriptedNode(OK, OK) as leader, ScriptedNode(not_leader(leader.address)) as follower:
        told: list[tuple[str, str]] = []
        redirects = Client([follower.address], on_redirect=lambda a, b: told.append((a, b)))
        with redirects as client:
            assert client.put("k", "v") == OK
            assert told == [(follower.address, leader.address)]
            # The leader is remembered: the second put goes there at once.
            assert client.put("k", "v") == OK
        assert len(follower.requests) == 1
        assert len(leader.requests) == 2


def test_without_following_the_first_redirect_is_an_error() -> None:
    with (
        ScriptedNode(OK) as leader,
        ScriptedNode(not_leader(leader.address)) as follower,
        Client([follower.address, leader.address], follow=False) as client,
    ):
        with pytest.raises(NotLeaderError, match=f"^NOTLEADER .* at {leader.address}") as caught:
            client.put("k", "v")
        assert caught.value.leader == leader.address
        assert leader.requests == []


def test_a_leader_that_cannot_be_read_as_an_address_is_not_followed() -> None:
    with (
        ScriptedNode(OK) as other,
        ScriptedNode(not_leader("::nonsense")) as follower,
        Client([follower.address, other.address]) as client,
    ):
        assert client.put("k", "v") == OK


@pytest.mark.usefixtures("skipped_pauses")
def test_two_nodes_that_name_each_other_are_left_alone_between_rounds() -> None:
    with ScriptedNode() as a, ScriptedNode() as b:
        a.extend(*[not_leader(b.address)] * 200)
        b.extend(*[not_leader(a.address)] * 200)
        told: list[tuple[str, str]] = []
        redirects = Client([a.address], on_redirect=lambda x, y: told.append((x, y)))
        with redirects as client, pytest.raises(NotLeaderError, match="gave up after 5000 ms"):
            client.put("k", "v")
        # 5 s hold at most 102 rounds with pauses of 10, 20, 40, 50, 50, ... ms at least, and a
        # round is one each.
        assert 2 <= len(a.requests) <= 103
        assert told == [(a.address, b.address)]


@pytest.mark.usefixtures("skipped_pauses")
def test_a_named_leader_that_is_gone_is_reported_with_the_refusal() -> None:
    with ClosedPort() as dead, ScriptedNode() as follower:
        follower.extend(*[not_leader(dead.address)] * 200)
        with (
            Client([follower.address]) as client,
            pytest.raises(NotLeaderError) as caught,
        ):
            client.put("k", "v")
        assert dead.address in str(caught.value)
        assert "connection refused" in str(caught.value)


def test_what_answers_without_leading_is_not_taken_for_the_leader() -> None:
    with (
        ScriptedNode(Misbehave.HANG_UP) as first,
        ScriptedNode(STATUS) as second,
        Client([first.address, second.address]) as client,
    ):
        assert client.status() == STATUS
        first.extend(OK)
        assert client.put("k", "v") == OK
        assert second.requests == [api.Status()]


@pytest.mark.usefixtures("skipped_pauses")
def test_a_node_that_answers_again_is_not_reported_as_broken() -> None:
    with (
        ScriptedNode(Misbehave.HANG_UP, *[NO_LEADER] * 200) as node,
        Client([node.address]) as client,
        pytest.raises(RefusedError) as caught,
    ):
        client.get("foo")
    assert "closed" not in str(caught.value)


# --- Nothing there ------------------------------------------------------------------------


@pytest.mark.usefixtures("skipped_pauses")
def test_nothing_reachable_names_every_node() -> None:
    with (
        ClosedPort() as a,
        ClosedPort() as b,
        Client([a.address, b.address]) as client,
        pytest.raises(UnreachableError, match="within 5000 ms") as caught,
    ):
        client.put("k", "v")
    for node in (a, b):
        assert f"{node.address}: cannot connect: connection refused" in str(caught.value)


def test_a_query_that_nobody_answers_is_unreachable() -> None:
    with (
        ScriptedNode(Misbehave.SILENCE) as node,
        Client([node.address], timeout_ms=100) as client,
        pytest.raises(UnreachableError, match="no reply came in time"),
    ):
        client.get("foo")


def test_the_timeout_bounds_all_attempts_together() -> None:
    with ScriptedNode(*[Misbehave.SILENCE] * 9) as a, ScriptedNode(*[Misbehave.SILENCE] * 9) as b:
        started = time.monotonic()
        with (
            Client([a.address, b.address], timeout_ms=300) as client,
            pytest.raises(UnreachableError),
        ):
            client.get("foo")
        assert 0.25 < time.monotonic() - started < 3


# --- Stale reads and status ---------------------------------------------------------------


def test_a_stale_read_says_readonly_once_and_on_its_own_connection() -> None:
    script: list[Step] = [b"+OK\r\n", FOUND, FOUND, FOUND]
    with ScriptedNode(*script) as node, Client([node.address]) as client:
        client.get("foo", stale=True)
        client.get("foo", stale=True)
        client.get("foo")
        get = api.Get((b"foo",))
        assert node.requests == [[b"READONLY"], get, get, get]
        assert node.connections == 2


def test_a_stale_read_stays_with_the_asked_node_and_not_with_the_leader() -> None:
    with ScriptedNode(OK) as leader, ScriptedNode(not_leader(leader.address)) as asked:
        asked.extend(b"+OK\r\n", FOUND)
        with Client([asked.address]) as client:
            client.put("k", "v")
            assert client.get("foo", stale=True) == FOO
        assert len(leader.requests) == 1


@pytest.mark.parametrize("from_any", [False, True])
def test_who_answers_a_read_without_leading_is_not_taken_for_the_leader(from_any: bool) -> None:
    with ScriptedNode(OK, OK) as leader, ScriptedNode(not_leader(leader.address)) as asked:
        asked.extend(*[] if from_any else [b"+OK\r\n"], FOUND)
        with Client([asked.address], reads_from_any=from_any) as client:
            client.put("k", "1")
            assert client.get("foo", stale=not from_any) == FOO
            were_asked = len(asked.requests)
            client.put("k", "2")
        assert len(asked.requests) == were_asked
        assert len(leader.requests) == 2


def test_a_node_without_readonly_is_passed_over() -> None:
    with (
        ScriptedNode(b"-ERR unknown command\r\n", FOUND) as old,
        ScriptedNode(b"+OK\r\n", FOUND) as node,
        Client([old.address, node.address]) as client,
    ):
        assert client.get("foo", stale=True) == FOO
        assert old.requests == [[b"READONLY"]]


def test_a_command_cannot_be_stale() -> None:
    with Client() as client, pytest.raises(ValueError, match="stale"):
        client.execute(api.Put(b"k", b"v"), stale=True)


def test_status_of_an_address_asks_that_node_alone() -> None:
    with (
        ScriptedNode(STATUS) as node,
        ScriptedNode(STATUS) as other,
        ClosedPort() as dead,
        Client([other.address]) as client,
    ):
        assert client.status(node.address) == STATUS
        assert other.requests == []
        with pytest.raises(UnreachableError, match=f"{dead.address}: cannot connect"):
            client.status(dead.address)
        assert client.status() == STATUS


def test_status_of_a_node_that_refuses_or_hangs_is_an_error() -> None:
    with (
        ScriptedNode(INVALID, Misbehave.SILENCE) as node,
        Client([node.address], timeout_ms=20_000) as client,
    ):
        with pytest.raises(RefusedError):
            client.status(node.address)
        client._timeout_ms = 100
        with pytest.raises(UnreachableError, match="no reply"):
            client.status(node.address)


# --- Making one ---------------------------------------------------------------------------


def test_a_lone_string_is_a_list_of_addresses_and_not_of_characters() -> None:
    with ScriptedNode(OK) as node, Client(node.address) as client:
        assert client.put("k", "v") == OK


@pytest.mark.parametrize("addresses", [[], ["host:"], ["::1"], [""]])
def test_bad_addresses_are_refused_when_the_client_is_made(addresses: list[str]) -> None:
    with pytest.raises(ConfigError):
        Client(addresses)


@pytest.mark.parametrize("timeout_ms", [0, -1, 3_600_001])
def test_a_timeout_out_of_range_is_refused(timeout_ms: int) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        Client(timeout_ms=timeout_ms)


def test_a_closed_client_connects_again() -> None:
    with ScriptedNode(OK, OK) as node, Client([node.address]) as client:
        client.put("k", "1")
        client.close()
        client.put("k", "2")
        assert node.connections == 2


def test_importing_the_package_stays_light() -> None:
    code = "import sys, kvstore; print(*(m for m in ('hiredis', 'msgspec') if m in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
    with pytest.raises(AttributeError, match="nothing"):
        kvstore.nothing  # noqa: B018
