"""Requests come out of the parser whole and in order, however their bytes arrived."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kvstore.config.limits import Limits
from kvstore.errors import ProtocolError
from kvstore.wire import resp

Request = list[bytes]

REQUESTS: list[Request] = [
    [b"SET", b"key", b"value"],
    [b"PING"],
    [b"SET", b"\r\n", b"*1\r\n$4\r\nPING\r\n"],
    [b"GET", b""],
    [b"SET", b"long", b"x\r\n" * 300],
    [b"ECHO", bytes(range(256))],
    [b"MGET", *(b"k%d" % n for n in range(70))],
    [b"PING"],
]
STREAM = b"".join(resp.command(*request) for request in REQUESTS)


def parse(pieces: Iterable[bytes], limits: Limits | None = None) -> tuple[list[Request], str]:
    """Every request of the pieces, taken after each, and the text of the error that ended it."""
    parser = resp.RequestParser(resp.Bounds.of_client(limits or Limits()))
    requests: list[Request] = []
    try:
        for piece in pieces:
            parser.feed(piece)
            while (request := parser.next_command()) is not None:
                requests.append(request)
    except ProtocolError as error:
        return requests, str(error)
    return requests, ""


def bytewise(data: bytes) -> list[bytes]:
    return [data[n : n + 1] for n in range(len(data))]


def refusal(data: bytes, limits: Limits | None = None) -> str:
    """The error that `data` meets, which must not depend on how it was cut."""
    whole = parse([data], limits)
    assert parse(bytewise(data), limits) == whole
    return whole[1]


# --- However the bytes are cut ------------------------------------------------------------


def test_one_piece_gives_every_request_in_order() -> None:
    assert parse([STREAM]) == (REQUESTS, "")


def test_a_stream_cut_in_two_anywhere_gives_the_same_requests() -> None:
    for at in range(len(STREAM)):
        assert parse([STREAM[:at], STREAM[at:]]) == (REQUESTS, ""), at


def test_a_long_request_cut_near_its_edges_gives_the_same_requests() -> None:
    requests = [[b"PING"], [b"SET", b"long", b"\r\n" * 9_000, b"GET"], [b"PING"]]
    stream = b"".join(resp.command(*request) for request in requests)
    for at in [*range(60), *range(len(stream) - 60, len(stream))]:
        assert parse([stream[:at], stream[at:]]) == (requests, ""), at
        assert parse([stream[:at], *bytewise(stream[at : at + 70]), stream[at + 70 :]]) == (
            requests,
            "",
        ), at


def test_single_bytes_give_the_same_requests() -> None:
    assert parse(bytewise(STREAM)) == (REQUESTS, "")


def test_a_truncated_stream_gives_only_what_is_whole_and_no_error() -> None:
    ends = list(itertools.accumulate(len(resp.command(*request)) for request in REQUESTS))
    for length in range(len(STREAM)):
        whole = sum(end <= length for end in ends)
        assert parse([STREAM[:length]]) == (REQUESTS[:whole], "")


def test_a_long_pipeline_gives_every_request_wherever_the_search_for_them_ends() -> None:
    """Short requests are searched piece by piece, and a piece may end with a request."""
    for size in range(41):
        requests = [[b"ECHO", b"x" * size]] * (20_000 // (size + 20))
        stream = b"".join(resp.command(*request) for request in requests)
        for first in ([], [[b"PING"]]):
            head = b"".join(resp.command(*request) for request in first)
            assert parse([head + stream]) == (first + requests, ""), size
            assert parse([head, stream[:7], stream[7:]]) == (first + requests, ""), size


requests_strategy = st.lists(st.lists(st.binary(max_size=1100), min_size=1, max_size=5), max_size=6)


@given(requests_strategy, st.lists(st.integers(1, 700), min_size=1, max_size=30))
def test_any_requests_in_any_pieces_come_back(requests: list[Request], sizes: list[int]) -> None:
    data = b"".join(resp.command(*request) for request in requests)
    pieces, position = [], 0
    for size in itertools.cycle(sizes):
        if position >= len(data):
            break
        pieces.append(data[position : position + size])
        position += size
    assert parse(pieces) == (requests, "")


@given(st.binary(max_size=200))
def test_garbage_gives_requests_or_a_protocol_error_and_nothing_else(data: bytes) -> None:
    assert parse([data]) == parse(bytewise(data))


@given(
    st.lists(
        st.sampled_from([b"*", b"$", b"-", b"0", b"1", b"3", b"\r\n", b"\n", b"\r", b"ab"])
        | st.sampled_from([b"*1\r\n", b"$1\r\n", b"*1\r\n$4\r\nPING\r\n"])
    )
)
@example([b"*", b"1", b"\r\n", b"\r\n"])
@example([b"*1\r\n", resp.command(b"PING")])
def test_almost_requests_are_judged_alike_however_they_are_cut(parts: list[bytes]) -> None:
    """A request within another one is no request."""
    data = b"".join(parts)
    assert parse([data]) == parse(bytewise(data)) == parse(parts)


def test_bytes_may_be_fed_while_requests_still_wait_to_be_taken() -> None:
    parser = resp.RequestParser(resp.Bounds.of_client(Limits()))
    taken = []
    for start in range(0, len(STREAM), 100):
        parser.feed(STREAM[start : start + 100])
        if start % 300 == 0:
            taken.append(parser.next_command())
    while (request := parser.next_command()) is not None:
        taken.append(request)
    assert [request for request in taken if request is not None] == REQUESTS


def test_an_empty_piece_changes_nothing() -> None:
    pieces = [piece for byte in bytewise(STREAM) for piece in (byte, b"")]
    assert parse(pieces) == (REQUESTS, "")


# --- Inline requests ----------------------------------------------------------------------


def test_an_inline_request_is_the_words_of_a_line() -> None:
    assert parse([b"  SET\ta   b \r\nPING\n"]) == ([[b"SET", b"a", b"b"], [b"PING"]], "")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"SET 'a b' \"c\\x41\\n\"", [b"SET", b"a b", b"cA\n"]),
        (b'SET a ""', [b"SET", b"a", b""]),
        (b'SET a b"c d"', [b"SET", b"a", b"bc d"]),
        (b"SET a 'it\\'s' ", [b"SET", b"a", b"it's"]),
        (b"SET a 'b\\n'", [b"SET", b"a", b"b\\n"]),
        (b'SET a "\\"\\\\\\q\\xzz\\t"', [b"SET", b"a", b'"\\qxzz\t']),
        (b"SET a b\\nc", [b"SET", b"a", b"b\\nc"]),
        (b"SET \x0ba b\x0bc\x0c", [b"SET", b"a", b"b\x0bc\x0c"]),
        (b'SET a\x0b "b"\x0b', [b"SET", b"a\x0b", b"b"]),
    ],
)
def test_quotes_and_escapes_are_those_of_redis(line: bytes, words: Request) -> None:
    assert parse([line + b"\r\n"]) == ([words], "")


@pytest.mark.parametrize("line", [b'SET "a', b"SET 'a", b'SET "a"b', b"SET 'a\\'", b'SET a "b\\"'])
def test_unbalanced_quotes_are_refused(line: bytes) -> None:
    assert refusal(line + b"\r\n") == "Protocol error: unbalanced quotes in request"


def test_inline_requests_and_arrays_may_follow_each_other() -> None:
    data = b"PING\r\n" + resp.command(b"GET", b"a") + b"GET b\n" + resp.command(b"PING")
    expected = [[b"PING"], [b"GET", b"a"], [b"GET", b"b"], [b"PING"]]
    assert parse([data]) == (expected, "")
    assert parse(bytewise(data)) == (expected, "")


@pytest.mark.parametrize("nothing", [b"*0\r\n", b"*-1\r\n", b"\r\n", b"\n", b"   \r\n"])
def test_empty_requests_are_skipped(nothing: bytes) -> None:
    assert parse([nothing * 3 + b"PING\r\n" + nothing]) == ([[b"PING"]], "")


def test_a_key_with_a_slash_is_not_mistaken_for_http() -> None:
    assert parse([b"GET /config/a\r\n"]) == ([[b"GET", b"/config/a"]], "")


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/1.1", b"POST /v3/kv HTTP/1.1", b"HEAD /x HTTP/1.0", b"PUT /a HTTP/1.1"],
)
def test_a_web_client_is_told_what_this_port_speaks(line: bytes) -> None:
    assert "this port speaks the Redis protocol" in refusal(line + b"\r\nHost: x\r\n\r\n")


def test_an_inline_request_up_to_4_kib_is_taken() -> None:
    word = b"x" * ((4 << 10) - 10)
    assert parse([b"ECHO " + word + b"\r\n"]) == ([[b"ECHO", word]], "")


@pytest.mark.parametrize("end", [b"", b"\r\n"])
def test_a_longer_inline_request_is_refused_with_or_without_its_end(end: bytes) -> None:
    whole = parse([b"x" * ((4 << 10) + 1) + end])
    assert whole == ([], "Protocol error: too big inline request")


def test_a_line_that_never_ends_is_refused_when_it_comes_byte_by_byte() -> None:
    pieces = itertools.repeat(b"x", (4 << 10) + 1)
    assert parse(pieces) == ([], "Protocol error: too big inline request")


# --- Refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header", [b"*a\r\n", b"*1 \r\n", b"* 1\r\n", b"*+1\r\n", b"*1_0\r\n", b"*\r\n", b"*1.5\r\n",
               b"*2147483648\r\n", b"*9223372036854775808\r\n", b"*--1\r\n",
               b"*\xd9\xa1\r\n", b"*03\r\n", b"*-0\r\n"],
)  # fmt: skip
def test_an_absurd_number_of_arguments_is_refused(header: bytes) -> None:
    assert refusal(header) == "Protocol error: invalid multibulk length"


@pytest.mark.parametrize("count", [65_537, 1_048_577, 2_147_483_647])
def test_more_arguments_than_are_taken_are_no_reason_to_hang_up(count: int) -> None:
    assert parse([b"*%d\r\n" % count, b"$1\r\nk\r\n" * 9]) == ([], "")


def test_the_largest_number_of_arguments_is_taken() -> None:
    request = [b"MGET"] * Limits().request_arguments_max
    assert parse([resp.command(*request)]) == ([request], "")


@pytest.mark.parametrize(
    "header", [b"$a\r\n", b"$-1\r\n", b"$ 3\r\n", b"$+3\r\n", b"$3 \r\n", b"$1_0\r\n", b"$\r\n",
               b"$999999999999999999\r\n", b"$9223372036854775808\r\n", b"$03\r\n"],
)  # fmt: skip
def test_an_absurd_bulk_length_is_refused_before_its_bytes_arrive(header: bytes) -> None:
    assert refusal(b"*1\r\n" + header).startswith("Protocol error: ")


def test_a_negative_bulk_length_is_refused_in_redis_words() -> None:
    assert refusal(b"*1\r\n$-1\r\n") == "Protocol error: invalid bulk length"


@pytest.mark.parametrize("byte", [b"x", b"*", b":", b"+"])
def test_an_argument_that_is_no_bulk_string_is_refused(byte: bytes) -> None:
    text = refusal(b"*1\r\n" + byte + b"3\r\nabc\r\n")
    assert text == f"Protocol error: expected '$', got '{byte.decode()}'"


def test_a_byte_that_cannot_be_printed_is_named_all_the_same() -> None:
    text = refusal(b"*1\r\n\x00\r\n")
    assert text.startswith("Protocol error: expected '$', got ")
    assert text.isprintable()


def test_headers_without_an_end_are_refused() -> None:
    assert refusal(b"*" + b"1" * 40) == "Protocol error: too big mbulk count string"
    assert refusal(b"*1\r\n$" + b"1" * 40) == "Protocol error: too big bulk count string"


@pytest.mark.parametrize("size", [3, 2000])
def test_a_bulk_string_must_end_where_it_said(size: int) -> None:
    data = b"*1\r\n$%d\r\n" % size + b"x" * (size + 1) + b"\r\n"
    assert refusal(data).startswith("Protocol error: ")


def test_a_request_of_the_largest_size_is_taken_and_a_larger_one_refused() -> None:
    limits = Limits(request_bytes_max=300_000)
    fits = [b"SET", b"k", b"x" * 299_996]
    assert parse([resp.command(*fits)], limits) == ([fits], "")
    exceeds = resp.command(b"SET", b"k", b"x" * 299_997)
    assert parse([exceeds], limits) == (
        [],
        "the request has 300001 bytes or more, the limit is 300000; ask for less at once",
    )


@pytest.mark.parametrize("name", [b"KV", b"kv"])
def test_a_typed_request_may_be_long_however_its_name_is_written(name: bytes) -> None:
    """Its one argument is the whole request."""
    limits = Limits(value_bytes_max=10_000, request_bytes_max=30_000)
    request = [name, bytes(20_000)]
    assert parse([resp.command(*request)], limits) == ([request], "")


def test_many_short_arguments_count_towards_the_size_of_a_request() -> None:
    limits = Limits(request_bytes_max=300_000)
    requests, text = parse([resp.command(b"MGET", *[b"x" * 500] * 601)], limits)
    assert requests == []
    assert "the limit is 300000" in text


def test_the_size_is_that_of_one_request_and_not_of_all() -> None:
    limits = Limits(request_bytes_max=300_000)
    request = [b"SET", b"k", b"x" * 170_000]
    assert parse([resp.command(*request) * 5], limits) == ([request] * 5, "")
    assert parse(bytewise(resp.command(*request) * 5), limits) == ([request] * 5, "")


@pytest.mark.parametrize("offence", [b"*x\r\n", b"*1\r\n$-1\r\n", b"*1\r\n:1\r\n"])
def test_requests_before_an_offence_come_out_before_the_error(offence: bytes) -> None:
    requests, text = parse([STREAM + offence + STREAM])
    assert requests == REQUESTS
    assert text.startswith("Protocol error: ")


@pytest.mark.parametrize("offence", [b"*x\r\n", b"*1\r\n$-1\r\n", b"*1\r\n:1\r\n"])
def test_after_an_offence_nothing_comes_out_any_more(offence: bytes) -> None:
    parser = resp.RequestParser(resp.Bounds.of_client(Limits()))
    parser.feed(offence + b"PING\r\n" + STREAM)
    for _ in range(3):
        with pytest.raises(ProtocolError):
            parser.next_command()
        parser.feed(STREAM)


# --- What a request costs -----------------------------------------------------------------


def peak_memory_bytes(act: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_claimed_length_costs_nothing_before_its_bytes_arrive() -> None:
    claims = [b"*65536\r\n", b"*2\r\n$60000000\r\nabc", b"*3\r\n$3\r\nSET\r\n$67108863\r\n"]
    for claim in claims:
        assert peak_memory_bytes(lambda claim=claim: parse([claim])) < 1 << 16


def test_a_trickled_value_costs_a_small_multiple_of_its_bytes() -> None:
    size = 40_000
    head = b"*1\r\n$%d\r\n" % size
    pieces = (bytes(2) for _ in range(size // 2))
    peak = peak_memory_bytes(lambda: parse(itertools.chain([head], pieces)))
    assert peak < 6 * size


KEPT = {
    "tiny requests": resp.command(b"PING") * 200,
    "empty arguments": resp.command(b"GET", b"") * 200,
    "many arguments": resp.command(b"MGET", *[b"k"] * 60) * 9,
    "a request under way": b"*4000\r\n" + b"$1\r\nk\r\n" * 3_000,
    "a long value under way": b"*2\r\n$4\r\nECHO\r\n$60000\r\n" + bytes(50_000),
    "short requests before a long one": resp.command(b"GET", b"k") * 90
    + b"*1\r\n$9000\r\n"
    + bytes(8_000),
}


@pytest.mark.parametrize("data", KEPT.values(), ids=KEPT.keys())
@pytest.mark.parametrize("size", [100, 140, 4 << 10, 64 << 10])
@pytest.mark.parametrize("pieces", [1, 5, 1_000])
def test_what_is_kept_is_booked_by_the_memory_that_it_takes(
    data: bytes, size: int, pieces: int
) -> None:
    """After each piece and each request, whatever was parsed ahead, of however many pieces."""
    # What the interpreter keeps of code that runs for the first time is nobody's request.
    for _ in held_bytes_while_parsing(data, size, pieces):
        pass
    tracemalloc.start()
    try:
        for held_bytes in held_bytes_while_parsing(data, size, pieces):
            bound = 1.25 * held_bytes + (4 << 10)
            # Quick to tell, and no less: what other threads of this process made is in it.
            if tracemalloc.get_traced_memory()[0] > bound:
                assert kept_bytes() <= bound
    finally:
        tracemalloc.stop()


def kept_bytes() -> int:
    """The memory of what was made here and in the parser since tracing began, and is there yet."""
    here = [tracemalloc.Filter(True, file) for file in (resp.__file__, __file__)]
    made = tracemalloc.take_snapshot().filter_traces(here)
    return sum(statistic.size for statistic in made.statistics("filename"))


@pytest.mark.parametrize("size", [100, 4 << 10, 64 << 10])
def test_when_memory_is_short_nothing_is_parsed_ahead(size: int) -> None:
    parser = resp.RequestParser(resp.Bounds.of_client(Limits()))
    requests = []
    for start in range(0, len(STREAM), size):
        parser.feed(STREAM[start : start + size], is_thrifty=True)
        while (request := parser.next_command(is_thrifty=True)) is not None:
            requests.append(request)
            assert not parser.ready
    assert requests == REQUESTS


def held_bytes_while_parsing(data: bytes, size: int, pieces: int) -> Iterator[int]:
    """Requests are taken when so many pieces were fed, and at the end."""
    parser = resp.RequestParser(resp.Bounds.of_client(Limits()))
    for number, start in enumerate(range(0, len(data), size), 1):
        parser.feed(data[start : start + size])
        yield parser.held_bytes
        if number % pieces == 0 or start + size >= len(data):
            while parser.next_command() is not None:
                yield parser.held_bytes
            yield parser.held_bytes


def test_an_idle_connection_keeps_nothing_of_its_last_request() -> None:
    parser = resp.RequestParser(resp.Bounds.of_client(Limits()))
    frame = resp.command(b"KV", b"x" * 8_000_000)
    tracemalloc.start()
    try:
        for start in range(0, len(frame), 1 << 16):
            parser.feed(frame[start : start + (1 << 16)])
            request = parser.next_command()
        assert request is not None
        del request
        assert parser.next_command() is None
        assert tracemalloc.get_traced_memory()[0] < 1 << 16
    finally:
        tracemalloc.stop()


def test_a_large_value_in_small_pieces_arrives_whole_and_is_not_copied_again_and_again() -> None:
    value = b"\r\n$5" * (6 << 20)
    frame = resp.command(b"SET", b"k", value)
    pieces = [frame[start : start + (1 << 12)] for start in range(0, len(frame), 1 << 12)]
    started = time.process_time()
    assert parse(pieces, Limits.for_values(len(value))) == ([[b"SET", b"k", value]], "")
    # Linear: 0.1 s. A copy of all for each piece: 75 GB of copying.
    assert time.process_time() - started < 4
