"""Redis commands become the requests that they mean, and results the replies of Redis."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.wire import commands
from kvstore.wire.commands import COMMANDS, CommandError

LIMITS = Limits(value_bytes_max=1_000)
LONGEST_KEY = b"k" * api.KEY_BYTES_MAX


def words(line: str) -> list[bytes]:
    return [word.encode() for word in shlex.split(line)]


def parse(line: str | list[bytes]) -> api.Request:
    args = words(line) if isinstance(line, str) else line
    return commands.parse(COMMANDS[args[0].upper()], args)


def error_of(line: str) -> str:
    with pytest.raises(CommandError) as caught:
        parse(line)
    return str(caught.value)


def reply(line: str, result: api.Result, version: int = 2) -> bytes:
    request = parse(line)
    return commands.render_for(COMMANDS[words(line)[0].upper()], request)(result, version)


# --- Requests -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("GET k", api.Get((b"k",))),
        ("get k", api.Get((b"k",))),
        ("GeT ''", api.Get((b"",))),
        ("MGET a b a", api.Get((b"a", b"b", b"a"))),
        ("EXISTS a a", api.Get((b"a", b"a"), with_values=False)),
        ("STRLEN k", api.Get((b"k",))),
        ("DEL a b", api.Delete((b"a", b"b"))),
        ("SET k v", api.Put(b"k", b"v")),
        ("SET k ''", api.Put(b"k", b"")),
        ("SET k v NX", api.Put(b"k", b"v", api.When.ABSENT)),
        ("SET k v xx", api.Put(b"k", b"v", api.When.PRESENT)),
        ("SET k v NX nx", api.Put(b"k", b"v", api.When.ABSENT)),
        ("SET k v XX GET XX", api.Put(b"k", b"v", api.When.PRESENT, None, True)),
        ("SET k v GET", api.Put(b"k", b"v", return_previous=True)),
        ("SET k v GET GET", api.Put(b"k", b"v", return_previous=True)),
        ("SET k v NX GET", api.Put(b"k", b"v", api.When.ABSENT, None, True)),
        ("SET k v get xx", api.Put(b"k", b"v", api.When.PRESENT, None, True)),
        ("SET k v IFEQ old", api.Put(b"k", b"v", api.When.EQUAL, b"old")),
        ("SET k v IFEQ NX", api.Put(b"k", b"v", api.When.EQUAL, b"NX")),
        ("SET k v ifeq '' GET", api.Put(b"k", b"v", api.When.EQUAL, b"", True)),
        ("SET k v GET IFEQ GET", api.Put(b"k", b"v", api.When.EQUAL, b"GET", True)),
        ("MSET a 1 b 2 a 3", api.PutMany(((b"a", b"1"), (b"b", b"2"), (b"a", b"3")))),
        ("INCR k", api.Increment(b"k", 1)),
        ("DECR k", api.Increment(b"k", -1)),
        ("INCRBY k -5", api.Increment(b"k", -5)),
        ("DECRBY k 5", api.Increment(b"k", -5)),
        ("DECRBY k -9223372036854775807", api.Increment(b"k", (1 << 63) - 1)),
        ("INCRBY k 0", api.Increment(b"k", 0)),
        ("INCRBY k 9223372036854775807", api.Increment(b"k", (1 << 63) - 1)),
        ("INCRBY k -9223372036854775808", api.Increment(b"k", -(1 << 63))),
        ("DBSIZE", api.Count()),
    ],
)
def test_a_command_is_the_request_that_it_means(line: str, request_: api.Request) -> None:
    assert parse(line) == request_
    assert api.complaint_about(request_, LIMITS) is None


# --- Errors -------------------------------------------------------------------------------

WRONG_ARITY = [
    "GET", "GET a b", "SET", "SET k", "DEL", "EXISTS", "MGET", "MSET", "MSET a", "MSET a 1 b",
    "INCR", "INCR a b", "INCRBY a", "INCRBY a 1 2", "DECR", "DECR a b", "DECRBY a",
    "DECRBY a 1 2", "STRLEN", "STRLEN a b", "DBSIZE a",
]  # fmt: skip


@pytest.mark.parametrize("line", WRONG_ARITY)
def test_a_wrong_number_of_arguments_is_refused_in_redis_words(line: str) -> None:
    name = line.split()[0].lower()
    assert error_of(line) == f"ERR wrong number of arguments for '{name}' command"


def test_every_command_is_among_those_tried_with_a_wrong_number_of_arguments() -> None:
    assert {line.split()[0].encode() for line in WRONG_ARITY} == set(COMMANDS)


@pytest.mark.parametrize(
    "options",
    [
        "nx xx", "xx nx", "nx ifeq a", "ifeq a nx", "ifeq a xx", "ifeq a ifeq b", "ifeq",
        "get ifeq", "foo", "v2", "nx foo", "''",
    ],
)  # fmt: skip
def test_options_of_set_that_make_no_sense_are_a_syntax_error(options: str) -> None:
    assert error_of(f"SET k v {options}") == "ERR syntax error"


@pytest.mark.parametrize(
    "options", ["EX 10", "px 10", "EXAT 1", "PXAT 1", "KEEPTTL", "NX EX 10", "EX", "GET px 1"]
)
def test_expiry_is_refused_by_name(options: str) -> None:
    text = error_of(f"SET k v {options}")
    assert text.startswith("ERR ")
    assert "expire" in text


@pytest.mark.parametrize("name", ["INCRBY", "DECRBY"])
@pytest.mark.parametrize(
    "number",
    ["x", "''", "1.5", "+1", "-0", "01", "-01", "' 1'", "'1 '", "1_0", "0x1", "\u0661", "1e3", "-",
     "9223372036854775808", "-9223372036854775809", "99999999999999999999999", "'1\n'"],
)  # fmt: skip
def test_only_plain_signed_64_bit_integers_are_integers(name: str, number: str) -> None:
    assert error_of(f"{name} k {number}") == "ERR value is not an integer or out of range"


def test_the_one_integer_that_cannot_be_negated_is_an_overflow() -> None:
    assert error_of("DECRBY k -9223372036854775808") == "ERR decrement would overflow"


@pytest.mark.parametrize(
    "line",
    [
        [b"GET", LONGEST_KEY + b"k"],
        [b"SET", LONGEST_KEY + b"k", b"v"],
        [b"DEL", b"a", LONGEST_KEY + b"k"],
        [b"EXISTS", b"a", LONGEST_KEY + b"k"],
        [b"MGET", b"a", LONGEST_KEY + b"k"],
        [b"MSET", b"a", b"1", LONGEST_KEY + b"k", b"2"],
        [b"INCR", LONGEST_KEY + b"k"],
        [b"STRLEN", LONGEST_KEY + b"k"],
    ],
)
def test_a_key_beyond_the_limit_is_refused_with_the_limit(line: list[bytes]) -> None:
    assert api.complaint_about(parse(line), LIMITS) == "key has 481 bytes, the limit is 480"


@pytest.mark.parametrize(
    "line",
    [
        [b"SET", b"k", b"x" * 1_001],
        [b"SET", b"k", b"v", b"IFEQ", b"x" * 1_001],
        [b"MSET", b"k", b"x" * 1_001],
    ],
)
def test_a_value_beyond_the_limit_is_refused_with_the_limit(line: list[bytes]) -> None:
    complaint = api.complaint_about(parse(line), LIMITS)
    assert complaint is not None
    assert "the limit is 1000" in complaint


def test_the_longest_key_and_value_are_taken() -> None:
    assert api.complaint_about(parse([b"SET", LONGEST_KEY, b"x" * 1_000]), LIMITS) is None


# --- Replies ------------------------------------------------------------------------------

RECORD = api.KeyValue(b"k", b"v\r\n", 1, 2, 2)


@pytest.mark.parametrize(
    ("line", "result", "resp2", "resp3"),
    [
        ("GET k", api.GetResult(1, (RECORD,)), b"$3\r\nv\r\n\r\n", None),
        ("GET k", api.GetResult(1, (None,)), b"$-1\r\n", b"_\r\n"),
        ("MGET a b", api.GetResult(1, (RECORD, None)), b"*2\r\n$3\r\nv\r\n\r\n$-1\r\n",
         b"*2\r\n$3\r\nv\r\n\r\n_\r\n"),
        ("EXISTS k k k a", api.GetResult(1, (RECORD,) * 3 + (None,)), b":3\r\n", None),
        ("STRLEN k", api.GetResult(1, (RECORD,)), b":3\r\n", None),
        ("STRLEN k", api.GetResult(1, (None,)), b":0\r\n", None),
        ("SET k v", api.PutResult(1, True), b"+OK\r\n", None),
        ("SET k v NX", api.PutResult(1, False), b"$-1\r\n", b"_\r\n"),
        ("SET k v NX", api.PutResult(1, True), b"+OK\r\n", None),
        ("SET k v GET", api.PutResult(1, True, RECORD), b"$3\r\nv\r\n\r\n", None),
        ("SET k v GET", api.PutResult(1, True), b"$-1\r\n", b"_\r\n"),
        ("SET k v NX GET", api.PutResult(1, False, RECORD), b"$3\r\nv\r\n\r\n", None),
        ("SET k v XX GET", api.PutResult(1, False), b"$-1\r\n", b"_\r\n"),
        ("MSET a 1", api.PutResult(1, True), b"+OK\r\n", None),
        ("DEL a b", api.DeleteResult(1, 2), b":2\r\n", None),
        ("INCR k", api.IncrementResult(1, -(1 << 63)), b":-9223372036854775808\r\n", None),
        ("DECRBY k 2", api.IncrementResult(1, -2), b":-2\r\n", None),
        ("DBSIZE", api.CountResult(1, 123_456), b":123456\r\n", None),
    ],
)  # fmt: skip
def test_a_result_is_rendered_as_redis_would(
    line: str, result: api.Result, resp2: bytes, resp3: bytes | None
) -> None:
    assert reply(line, result, 2) == resp2
    assert reply(line, result, 3) == (resp2 if resp3 is None else resp3)


@pytest.mark.parametrize("code", list(api.FailureCode))
def test_a_failure_is_an_error_reply_that_begins_with_its_code(code: api.FailureCode) -> None:
    failure = api.Failure(code, "no\r\n+OK")
    assert commands.render_failure(failure) == f"-{code.value} no  +OK\r\n".encode()


# --- The registry -------------------------------------------------------------------------


def test_names_are_keys_in_upper_case() -> None:
    assert {name.decode().lower() for name in COMMANDS} == {spec.name for spec in COMMANDS.values()}
    assert all(name == name.upper() for name in COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_says_truly_whether_it_writes(name: bytes) -> None:
    spec = COMMANDS[name]
    args: list[Any] = [name, b"1", b"1", b"1", b"1"]
    while len(args) not in spec.lengths or (name in (b"MSET", b"SET") and len(args) > 3):
        args.pop()
    writes = isinstance(commands.parse(spec, args), api.COMMANDS)
    assert ("write" in spec.flags) == writes
    assert ("readonly" in spec.flags) != writes


@pytest.mark.parametrize(
    ("name", "arity", "keys"),
    [
        ("get", 2, (1, 1, 1)), ("set", -3, (1, 1, 1)), ("del", -2, (1, -1, 1)),
        ("exists", -2, (1, -1, 1)), ("mget", -2, (1, -1, 1)), ("mset", -3, (1, -1, 2)),
        ("incr", 2, (1, 1, 1)), ("incrby", 3, (1, 1, 1)), ("decr", 2, (1, 1, 1)),
        ("decrby", 3, (1, 1, 1)), ("strlen", 2, (1, 1, 1)), ("dbsize", 1, (0, 0, 0)),
    ],
)  # fmt: skip
def test_shapes_are_those_that_redis_tells_by_command_info(
    name: str, arity: int, keys: tuple[int, int, int]
) -> None:
    spec = COMMANDS[name.upper().encode()]
    assert (spec.name, spec.arity, spec.keys) == (name, arity, keys)
