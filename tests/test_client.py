"""What the client retries, what it never retries, and what it tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
from scripted_node import (
    BUSY,
    INVALID,
    NO_LEADER,
    OK,
    UNKNOWN,
    ClosedPort,
    Misbehave,
    ScriptedNode,
    Step,
    bulk,
    not_leader,
)

import kvstore
from kvstore import (
    Client,
    ConfigError,
    NotLeaderError,
    OutcomeUnknownError,
    ProtocolError,
    RefusedError,
    UnreachableError,
    api,
)

FOO = api.KeyValue(b"foo", b"bar", create_revision=1, mod_revision=2, version=2)
FOUND = api.GetResult(revision=2, items=(FOO,))
STATUS = api.StatusResult(
    node_id=1,
    cluster_id="c",
    incarnation="i",
    role="leader",
    term=1,
    voted_for=1,
    leader_id=1,
    leader_address="127.0.0.1:9001",
    commit_index=3,
    last_applied=3,
    last_log_index=3,
    revision=2,
    keys=1,
    members={1: "127.0.0.1:9001"},
    match_index={1: 3},
)


# --- Requests and answers -----------------------------------------------------------------


def test_text_is_sent_as_utf8_and_bytes_untouched() -> None:
    with ScriptedNode(OK, OK) as node, Client([node.address]) as client:
        assert client.put("clé", "é") == OK
        client.put(b"\x00\xff", b"\r\n\x00")
        assert node.requests == [
            api.Put("clé".encode(), "é".encode()),
            api.Put(b"\x00\xff", b"\r\n\x00"),
        ]
        assert node.connections == 1


def test_each_condition_is_sent() -> None:
    refused = api.PutResult(revision=1, written=False)
    with ScriptedNode(refused, OK, OK) as node, Client([node.address]) as client:
        assert client.put("k", "v", if_absent=True).written is False
        client.put("k", "v", if_present=True)
        client.put("k", "v", if_value="")
        assert node.requests == [
            api.Put(b"k", b"v", api.When.ABSENT),
            api.Put(b"k", b"v", api.When.PRESENT),
            api.Put(b"k", b"v", api.When.EQUAL, b""),
        ]


def test_two_conditions_at_once_are_a_mistake_of_the_caller() -> None:
    with Client() as client, pytest.raises(ValueError, match="at most one"):
        client.put("k", "v", if_absent=True, if_value="")


def test_a_number_is_not_a_key() -> None:
    with Client() as client, pytest.raises(TypeError, match="int"):
        client.get(1)  # type: ignore[arg-type]


def test_get_returns_the_record_or_none() -> None:
    with (
        ScriptedNode(FOUND, api.GetResult(2, (None,))) as node,
        Client([node.address]) as client,
    ):
        assert client.get("foo") == FOO
        assert client.get("absent") is None


def test_get_many_keeps_the_order() -> None:
    answer = api.GetResult(2, (None, FOO))
    with ScriptedNode(answer) as node, Client([node.address]) as client:
        assert client.get_many(["absent", b"foo"]) == [None, FOO]
        assert node.requests == [api.Get((b"absent", b"foo"))]


def test_delete_increment_and_count_return_their_numbers() -> None:
    script: list[Step] = [
        api.DeleteResult(3, 1),
        api.IncrementResult(4, 42),
        api.CountResult(4, 7),
    ]
    with ScriptedNode(*script) as node, Client([node.address]) as client:
        assert client.delete("a", b"b").deleted == 1
        assert client.increment("n", -3) == 42
        assert client.count() == 7
        assert node.requests == [
            api.Delete((b"a", b"b")),
            api.Increment(b"n", -3),
            api.Count(),
        ]


def test_scan_asks_for_page_after_page() -> None:
    def record(key: bytes) -> api.KeyValue:
        return api.KeyValue(key, b"", 1, 1, 1)

    first = api.ScanResult(1, (record(b"a1"), record(b"a2")), next_start=b"a2\x00")
    second = api.ScanResult(2, (record(b"a3"),), next_start=None)
    with ScriptedNode(first, second) as node, Client([node.address]) as client:
        keys = [item.key for item in client.scan("a", with_values=False)]
        assert keys == [b"a1", b"a2", b"a3"]
        assert [r.start for r in node.requests if isinstance(r, api.Scan)] == [b"", b"a2\x00"]
        assert all(isinstance(r, api.Scan) and r.prefix == b"a" for r in node.requests)


def test_a_scan_that_does_not_advance_ends_with_an_error() -> None:
    stuck = api.ScanResult(1, (), next_start=b"")
    with (
        ScriptedNode(stuck) as node,
        Client([node.address]) as client,
        pytest.raises(ProtocolError),
    ):
        list(client.scan())


def test_a_large_answer_in_pieces_is_put_together() -> None:
    value = os.urandom(3 << 20)
    record = api.KeyValue(b"k", value, 1, 1, 1)
    with (
        ScriptedNode(api.GetResult(1, (record,))) as node,
        Client([node.address]) as client,
    ):
        assert client.get("k") == record


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


def test_two_nodes_that_name_each_other_are_left_alone_between_rounds() -> None:
    with ScriptedNode() as a, ScriptedNode() as b:
        a.extend(*[not_leader(b.address)] * 100)
        b.extend(*[not_leader(a.address)] * 100)
        told: list[tuple[str, str]] = []
        redirects = Client(
            [a.address], timeout_ms=400, on_redirect=lambda x, y: told.append((x, y))
        )
        with redirects as client, pytest.raises(NotLeaderError, match="gave up after 400 ms"):
            client.put("k", "v")
        # 400 ms hold 5 rounds with pauses of 20, 40, 80, 160, ... ms, and a round is one each.
        assert 2 <= len(a.requests) <= 6
        assert told == [(a.address, b.address)]


def test_a_named_leader_that_is_gone_is_reported_with_the_refusal() -> None:
    with ClosedPort() as dead, ScriptedNode() as follower:
        follower.extend(*[not_leader(dead.address)] * 100)
        with (
            Client([follower.address], timeout_ms=100) as client,
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


def test_a_node_that_answers_again_is_not_reported_as_broken() -> None:
    with (
        ScriptedNode(Misbehave.HANG_UP, *[NO_LEADER] * 100) as node,
        Client([node.address], timeout_ms=100) as client,
        pytest.raises(RefusedError) as caught,
    ):
        client.get("foo")
    assert "closed" not in str(caught.value)


# --- What is safe to retry ----------------------------------------------------------------


def test_a_refused_connection_is_retried_on_another_node() -> None:
    with ClosedPort() as dead, ScriptedNode(OK) as alive:
        with Client([dead.address, alive.address]) as client:
            assert client.put("k", "v") == OK
        assert len(alive.requests) == 1


def test_a_command_sent_in_part_is_retried_on_another_node() -> None:
    value = bytes(16 << 20)  # more than the kernel buffers between the two
    with ScriptedNode(Misbehave.RESET_EARLY) as broken, ScriptedNode(OK) as alive:
        with Client([broken.address, alive.address]) as client:
            assert client.put("k", value) == OK
        assert broken.requests == []
        assert alive.requests == [api.Put(b"k", value)]


def test_no_leader_is_retried_until_there_is_one() -> None:
    with ScriptedNode(NO_LEADER, NO_LEADER, OK) as node, Client([node.address]) as client:
        assert client.put("k", "v") == OK
        assert len(node.requests) == 3


def test_no_leader_to_the_end_is_a_refusal() -> None:
    with ScriptedNode(*[NO_LEADER] * 100) as node:
        with (
            Client([node.address], timeout_ms=100) as client,
            pytest.raises(RefusedError, match=r"^NOLEADER no leader") as caught,
        ):
            client.put("k", "v")
        assert type(caught.value) is RefusedError
        assert 2 <= len(node.requests) <= 4


def test_a_busy_leader_is_asked_again_and_nobody_else() -> None:
    with ScriptedNode(BUSY, BUSY, OK) as leader, ScriptedNode() as other:
        with Client([leader.address, other.address]) as client:
            assert client.put("k", "v") == OK
        assert other.requests == []
        leader.extend(*[BUSY] * 100)
        with (
            Client([leader.address], timeout_ms=100) as client,
            pytest.raises(RefusedError, match=r"^BUSY"),
        ):
            client.put("k", "v")


@pytest.mark.parametrize("answer", [INVALID, b"-ERR unknown command 'KV'\r\n"])
def test_an_invalid_request_is_refused_at_once(answer: Step) -> None:
    with ScriptedNode(answer) as node, ScriptedNode(OK) as other:
        with (
            Client([node.address, other.address]) as client,
            pytest.raises(RefusedError, match=r"^ERR "),
        ):
            client.put("k", "v")
        assert other.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        Misbehave.HANG_UP,
        b"$20\r\nhalf",
        b"?what\r\n",
        b":1\r\n",
        b"$1\r\n\xc1\r\n",
        bulk(api.CountResult(1, 1)),
        UNKNOWN,
        b"-WEIRD error\r\n",
    ],
    ids=["hang-up", "half", "not-resp", "integer", "not-msgpack", "other", "unknown", "weird"],
)
def test_a_query_without_a_proper_answer_is_asked_elsewhere(answer: Step) -> None:
    with ScriptedNode(answer) as broken, ScriptedNode(FOUND) as alive:
        with Client([broken.address, alive.address], timeout_ms=1_000) as client:
            assert client.get("foo") == FOO
        assert len(broken.requests) == 1


def test_a_query_does_not_spend_all_its_time_on_a_silent_node() -> None:
    with (
        ScriptedNode(Misbehave.SILENCE) as paused,
        ScriptedNode(FOUND) as alive,
        Client([paused.address, alive.address], timeout_ms=600) as client,
    ):
        assert client.get("foo") == FOO


def test_an_idle_connection_that_was_closed_is_replaced_before_sending() -> None:
    # A node restarts between two puts: the second must not end as unknown.
    with ScriptedNode(OK) as node, Client([node.address]) as client:
        client.put("k", "1")
        for connection in node._open:
            connection.shutdown(2)
        assert node.hung_up.wait(5)
        node.extend(OK)
        assert client.put("k", "2") == OK
        assert node.connections == 2


# --- What is never retried ----------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        Misbehave.HANG_UP,
        Misbehave.SILENCE,
        b"$20\r\nhalf",
        b"?what\r\n",
        b":1\r\n",
        b"$1\r\n\xc1\r\n",
        bulk(api.CountResult(1, 1)),
        UNKNOWN,
        b"-UNKNOWN timed out\r\n",
        b"-WEIRD error\r\n",
    ],
    ids=[
        "hang-up",
        "silence",
        "half",
        "not-resp",
        "integer",
        "not-msgpack",
        "other",
        "unknown",
        "unknown-resp",
        "weird",
    ],
)
def test_a_command_that_was_sent_and_not_answered_is_unknown_and_not_retried(answer: Step) -> None:
    with ScriptedNode(answer, OK) as node, ScriptedNode(OK) as other:
        with (
            Client([node.address, other.address], timeout_ms=300) as client,
            pytest.raises(OutcomeUnknownError, match=f"put was sent to {node.address}"),
        ):
            client.put("k", "v")
        assert len(node.requests) == 1
        assert other.requests == []


@pytest.mark.parametrize("command", ["put", "delete", "increment", "put_many"])
def test_no_kind_of_command_is_sent_twice(command: str) -> None:
    requests: dict[str, api.Request] = {
        "put": api.Put(b"k", b"v"),
        "delete": api.Delete((b"k",)),
        "increment": api.Increment(b"k", 1),
        "put_many": api.PutMany(((b"k", b"v"),)),
    }
    with ScriptedNode(Misbehave.HANG_UP) as node, ScriptedNode() as other:
        with (
            Client([node.address, other.address], timeout_ms=300) as client,
            pytest.raises(OutcomeUnknownError),
        ):
            client.execute(requests[command])
        assert len(node.requests) + len(other.requests) == 1


def test_a_late_reply_is_never_taken_for_the_next_request() -> None:
    late: list[Step] = [Misbehave.SILENCE, api.PutResult(2, True)]
    with ScriptedNode(*late) as node, Client([node.address], timeout_ms=200) as client:
        with pytest.raises(OutcomeUnknownError):
            client.put("k", "1")
        assert client.put("k", "2").revision == 2
        assert node.connections == 2


def test_an_interrupted_request_leaves_no_reply_behind() -> None:
    def interrupt() -> api.Result:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.05)  # the reply is late by nature, whatever the client does meanwhile
        return api.PutResult(1, True)

    with ScriptedNode(interrupt) as node, Client([node.address]) as client:
        with pytest.raises(KeyboardInterrupt):
            client.put("k", "1")
        node.extend(api.PutResult(2, True))
        assert client.put("k", "2").revision == 2


def test_a_command_that_was_sent_may_take_all_the_time_there_is() -> None:
    def late() -> api.Result:
        time.sleep(1.2)  # longer than half of the timeout, which is what a query would wait
        return OK

    with (
        ScriptedNode(late) as node,
        ScriptedNode() as other,
        Client([node.address, other.address], timeout_ms=2_000) as client,
    ):
        assert client.put("k", "v") == OK


# --- Nothing there ------------------------------------------------------------------------


def test_nothing_reachable_names_every_node() -> None:
    with (
        ClosedPort() as a,
        ClosedPort() as b,
        Client([a.address, b.address], timeout_ms=100) as client,
        pytest.raises(UnreachableError, match="within 100 ms") as caught,
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
        Client([node.address], timeout_ms=100) as client,
    ):
        with pytest.raises(RefusedError):
            client.status(node.address)
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
