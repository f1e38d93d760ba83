"""The typed command carries every request and result, and nothing beyond the limits."""

from __future__ import annotations

from typing import Any

import hiredis
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_node import status_of

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.errors import ProtocolError
from kvstore.wire import resp, typed

LIMITS = Limits(value_bytes_max=1_000, request_keys_max=50, scan_keys_max=100)
LONGEST_KEY = b"k" * api.KEY_BYTES_MAX
TOO_LONG_KEY = LONGEST_KEY + b"k"
LONGEST_VALUE = b"v" * 1_000
TOO_LONG_VALUE = LONGEST_VALUE + b"v"

REQUESTS: list[api.Request] = [
    api.Put(b"k", b"v"),
    api.Put(b"", b""),
    api.Put(LONGEST_KEY, LONGEST_VALUE),
    api.Put(b"k", b"v", api.When.EQUAL, LONGEST_VALUE, return_previous=True),
    api.Put(b"k", b"v", api.When.ABSENT),
    api.Put(b"k", b"v", api.When.PRESENT),
    api.PutMany(((b"a", b"1"), (b"b", b"2"))),
    api.Delete((b"a", LONGEST_KEY)),
    api.Increment(b"k", -(1 << 63)),
    api.Increment(b"k", (1 << 63) - 1),
    api.Put(b"k", b"v", guard=api.Guard(LONGEST_KEY, api.REVISION_MAX)),
    api.PutMany(((b"a", b"1"),), guard=api.Guard(b"", 0)),
    api.Delete((b"a",), guard=api.Guard(b"lock", 17)),
    api.Increment(b"k", 1, guard=api.Guard(b"lock", 17)),
    api.DeleteRange(b"k", LONGEST_KEY, 50, return_previous=True),
    api.DeleteRange(b"k", guard=api.Guard(b"lock", 17)),
    api.Txn(
        (api.Compare(b"k", api.CompareTarget.VALUE, api.Relation.LESS, value=b"v"),),
        (api.Put(b"k", b"v"), api.Txn((), (api.Get((b"k",)),), guard=None)),
        (api.DeleteRange(b"k", b"\0"),),
        guard=api.Guard(b"lock", 17),
    ),
    api.Once(1, 1, api.Txn((), (), (api.Put(b"k", b"v"),))),
    api.OpenSession(),
    api.Once(1, 1, api.Put(b"k", b"v")),
    api.Once(api.REVISION_MAX, api.REVISION_MAX, api.Increment(b"k", 1, guard=api.Guard(b"l", 1))),
    api.Get((b"a", b"b"), with_values=False),
    api.Get((LONGEST_KEY,) * 50),
    api.Scan(LONGEST_KEY, b"k", 100),
    api.Scan(limit=1),
    api.Scan(b"", b"k", 100, reverse=True),
    api.Count(),
    api.Status(),
    api.FetchBackup(),
    api.FetchBackup(api.REVISION_MAX, 262_144),
    api.CheckReplicas(),
    api.CheckReplicas(api.REVISION_MAX),
    api.Members(),
    api.AddMember(65_535, "h" * 300, api.REVISION_MAX),
    api.PromoteMember(4, 0),
    api.RemoveMember(4),
    api.MoveMember(4, "h:1", 17),
    api.ReplaceMember(4, "h:1", 17),
]
RECORD = api.KeyValue(b"k", b"\xff\r\n", 3, 7, 2)
RESULTS: list[api.Result] = [
    api.PutResult(7, True, RECORD),
    api.PutResult(7, False),
    api.DeleteResult(8, 2),
    api.DeleteResult(8, 1, (RECORD,)),
    api.TxnResult(8, True, (api.TxnResult(8, False, ()), api.GetResult(8, (None, RECORD)))),
    api.IncrementResult(9, -5),
    api.GuardFailed(9, 0),
    api.SessionResult(17),
    api.Repeated(9, False),
    api.GetResult(9, (RECORD, None)),
    api.ScanResult(9, (RECORD,), b"next"),
    api.CountResult(9, 4),
    api.BackupPiece(7, 262_144, b"\xff" * 1_000, 0xFFFFFFFF, 9, 8, 1, 2, is_last=False),
    api.MembersResult("c", 1, 0, True, 9, (api.Member(1, "h:1", api.MemberRole.VOTER, True, 9),)),
    api.ChangeResult(9),
    api.CheckResult(9, True, True, {1: "ab", 2: "ab", 3: "cd"}, (3,), (4,), (5,)),
    api.Failure(api.FailureCode.NOT_LEADER, "not leader, try node 2", "127.0.0.1:9002"),
    api.Failure(api.FailureCode.UNKNOWN, "outcome unknown"),
    status_of(1, voted_for=None, sync_last_ms=None, sync_p99_ms=None, leader_ms=None),
]


def decode(payload: bytes) -> api.Request | api.Failure:
    call = typed.decode_call(payload, LIMITS)
    return call if isinstance(call, api.Failure) else call.request


def payload_of(request: api.Request) -> bytes:
    return msgspec.msgpack.encode(api.Call(request))


@pytest.mark.parametrize("request_", REQUESTS)
def test_every_request_comes_back_as_it_was(request_: api.Request) -> None:
    parser = resp.RequestParser(resp.Bounds.of_client(Limits()))
    parser.feed(typed.encode_call(api.Call(request_)))
    args = parser.next_command()
    assert args is not None
    assert args[0] == b"KV"
    assert decode(args[1]) == request_


@pytest.mark.parametrize("result", RESULTS)
def test_every_result_failures_included_comes_back_in_its_envelope(result: api.Result) -> None:
    reader = hiredis.Reader()
    reply = api.Reply("c", node_id=2, term=3, revision=9, result=result)
    reader.feed(typed.encode_reply(reply))
    assert typed.decode_reply(reader.gets()) == reply


def test_a_call_carries_its_lowest_term_and_its_cluster() -> None:
    call = api.Call(api.Count(), min_term=api.REVISION_MAX, cluster_id="c" * 64)
    assert typed.decode_call(msgspec.msgpack.encode(call), LIMITS) == call


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (api.Call(api.Count(), min_term=-1), "term"),
        (api.Call(api.Count(), min_term=api.REVISION_MAX + 1), "term"),
        (api.Call(api.Count(), cluster_id="c" * 65), "64"),
    ],
)
def test_an_envelope_beyond_a_limit_is_refused_with_the_limit(call: api.Call, words: str) -> None:
    failure = typed.decode_call(msgspec.msgpack.encode(call), LIMITS)
    assert isinstance(failure, api.Failure)
    assert failure.code is api.FailureCode.INVALID
    assert words in failure.message


def test_a_request_cannot_bring_the_time_with_it() -> None:
    stamped = api.Stamped(1 << 40, api.OpenSession())
    payload = msgspec.msgpack.encode([stamped, 0, ""])
    assert isinstance(typed.decode_call(payload, LIMITS), api.Failure)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (api.Put(TOO_LONG_KEY, b""), "480"),
        (api.Put(b"k", TOO_LONG_VALUE), "1000"),
        (api.Put(b"k", b"", api.When.EQUAL, TOO_LONG_VALUE), "1000"),
        (api.Put(b"k", b"", api.When.EQUAL, None), "EQUAL"),
        (api.Put(b"k", b"", api.When.ABSENT, b"x"), "EQUAL"),
        (api.Put(b"k", b"", api.When.ALWAYS, b"x"), "EQUAL"),
        (api.PutMany(((b"k", b""), (TOO_LONG_KEY, b""))), "480"),
        (api.PutMany(((b"a", b""), (b"b", TOO_LONG_VALUE))), "1000"),
        (api.PutMany(((b"a", b""),) * 51), "50"),
        (api.Delete((b"a", TOO_LONG_KEY)), "480"),
        (api.Delete((b"a",) * 51), "50"),
        (api.Increment(TOO_LONG_KEY, 1), "480"),
        (api.Increment(b"k", 1 << 63), "64-bit"),
        (api.Put(b"k", b"", guard=api.Guard(TOO_LONG_KEY, 1)), "the guard's key has 481"),
        (api.Put(b"k", b"", guard=api.Guard(b"k", -1)), "guard's revision"),
        (api.Delete((b"k",), guard=api.Guard(b"k", api.REVISION_MAX + 1)), "guard's revision"),
        (api.Once(0, 1, api.Put(b"k", b"")), "session"),
        (api.Once(1, 0, api.Put(b"k", b"")), "sequence"),
        (api.Once(1, api.REVISION_MAX + 1, api.Put(b"k", b"")), "sequence"),
        (api.Once(1, 1, api.Put(TOO_LONG_KEY, b"")), "480"),
        (api.Once(1, 1, api.Put(b"k", b"", guard=api.Guard(b"k", -1))), "guard's revision"),
        (api.Get((b"a", TOO_LONG_KEY)), "480"),
        (api.Get((b"a",) * 51), "50"),
        (api.Scan(start=TOO_LONG_KEY), "480"),
        (api.Scan(prefix=TOO_LONG_KEY), "480"),
        (api.Scan(limit=0), "100"),
        (api.Scan(limit=-1), "100"),
        (api.Scan(limit=101), "100"),
    ],
)
def test_a_request_beyond_a_limit_is_refused_with_the_limit(
    request_: api.Request, words: str
) -> None:
    failure = decode(payload_of(request_))
    assert isinstance(failure, api.Failure)
    assert failure.code is api.FailureCode.INVALID
    assert words in failure.message


@pytest.mark.parametrize(
    "value",
    [
        None,
        "put",
        [],
        ["put"],
        ["no such request"],
        ["put", b"k"],
        ["put", "k", "v"],
        ["put", b"k", b"v", 9],
        ["put", b"k", b"v", 0, None, False, 0, 1],
        ["put", b"k", b"v", 0, None, False, 0, [b"lock", "17"]],
        ["once", 1, 1, ["get", [b"k"]]],
        ["once", 1, 1, ["once", 1, 1, ["increment", b"k", 1]]],
        ["once", 1, 1, ["opensession"]],
        ["delete", b"k"],
        ["increment", b"k", 1.5],
        ["increment", b"k", True],
        ["scan", b"", b"", "10"],
        {"key": b"k"},
    ],
)
def test_a_malformed_request_is_a_failure(value: Any) -> None:
    failure = decode(msgspec.msgpack.encode([value]))
    assert isinstance(failure, api.Failure)
    assert failure.code is api.FailureCode.INVALID


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_truncated_request_is_a_failure(request_: api.Request) -> None:
    payload = payload_of(request_)
    for length in range(len(payload)):
        assert isinstance(decode(payload[:length]), api.Failure)


@pytest.mark.parametrize(
    "payload",
    [
        b"\x92\xa1\xff\x90",
        b"\x92\xa6delete\xdd\xff\xff\xff\xff",
        b"\x92\xa6delete\xc6\xff\xff\xff\xff",
        b"\x91" * 5_000,
        b"\xc1",
    ],
)
def test_hostile_bytes_are_a_failure(payload: bytes) -> None:
    assert isinstance(decode(payload), api.Failure)


@given(st.binary(max_size=100))
def test_garbage_is_a_request_or_a_failure_and_raises_nothing(payload: bytes) -> None:
    decode(payload)


@given(st.binary(max_size=100))
def test_a_reply_of_garbage_is_a_protocol_error(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        typed.decode_reply(payload)


def test_a_reply_that_is_not_utf8_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        typed.decode_reply(b"\x92\xa1\xff\x90")


keys = st.binary(max_size=api.KEY_BYTES_MAX)


@given(keys, st.binary(max_size=1_000), st.sampled_from(api.When), st.booleans())
def test_puts_round_trip(key: bytes, value: bytes, when: api.When, previous: bool) -> None:
    expected = value[::-1] if when is api.When.EQUAL else None
    put = api.Put(key, value, when, expected, previous)
    assert decode(payload_of(put)) == put


@given(st.lists(keys, max_size=50))
def test_lists_of_keys_round_trip(many: list[bytes]) -> None:
    for request in (api.Get(tuple(many)), api.Delete(tuple(many))):
        assert decode(payload_of(request)) == request


@pytest.mark.parametrize("write", [one for one in REQUESTS if isinstance(one, api.WRITES)])
def test_a_write_under_a_session_keeps_as_much_room_for_its_reply(write: api.Write) -> None:
    bound = api.ROW_OF[type(write)].place_bytes(write, LIMITS)
    assert api.ROW_OF[api.Once].place_bytes(api.Once(1, 1, write), LIMITS) == bound
    assert bound >= LIMITS.value_bytes_max or not getattr(write, "return_previous", False)


# --- Other versions (decision 38) -------------------------------------------------------------


@pytest.mark.parametrize("result", RESULTS)
def test_a_result_of_a_newer_node_is_read_as_far_as_it_is_known(result: api.Result) -> None:
    """As `kvstore status` does while a cluster is upgraded."""
    reply = api.Reply("c1", 2, 7, 12, result)
    fields = msgspec.msgpack.decode(msgspec.msgpack.encode(reply))
    fields[4].append("more of the result")
    longer = msgspec.msgpack.encode([*fields, "more of the envelope"])
    assert typed.decode_reply(longer) == reply


@pytest.mark.parametrize("request_", REQUESTS)
def test_of_a_request_nothing_is_ignored(request_: api.Request) -> None:
    """A condition, unread, would be none."""
    call = msgspec.msgpack.decode(msgspec.msgpack.encode(api.Call(request_)))
    longer = [[[*call[0], "if"], *call[1:]], [*call, "if"]]
    for value in longer:
        refused = typed.decode_call(msgspec.msgpack.encode(value), LIMITS)
        assert isinstance(refused, api.Failure)
        assert refused.code is api.FailureCode.INVALID
