"""What requests cost to parse and peer messages to frame; run by hand, for the decision records.

    python -m tests.wire.bench_parser

Law: it prints the best of several runs, in microseconds, and asserts nothing.
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable

import hiredis

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.raft.messages import AppendEntries
from kvstore.raft.types import Entry, EntryKind
from kvstore.wire import commands, peer, resp

LIMITS = Limits()
SET = resp.command(b"SET", b"key:000000000042", b"x" * 100)
LONG_SET = resp.command(b"SET", b"key:000000000042", b"x" * 2_000)
LARGE_SET = resp.command(b"SET", b"k", b"x" * (63 << 20))
PIECE_BYTES = 64 << 10


def best_us(act: Callable[[], object], number: int) -> float:
    """Microseconds of one call, of processor time, in the quickest of seven rounds."""
    return min(timeit.repeat(act, number=number, repeat=7, timer=time.process_time)) / number * 1e6


def drain(parser: resp.RequestParser, data: bytes) -> None:
    parser.feed(data)
    while parser.next_command() is not None:
        pass


def drain_hiredis(reader: hiredis.Reader, data: bytes) -> None:
    reader.feed(data)
    while reader.gets() is not False:
        pass


def parse_in_pieces(data: bytes) -> None:
    parser = resp.RequestParser(resp.Bounds.of_client(LIMITS))
    for start in range(0, len(data), PIECE_BYTES):
        drain(parser, data[start : start + PIECE_BYTES])


def interpret(args: list[bytes]) -> None:
    spec = commands.COMMANDS[args[0].upper()]
    request = commands.parse(spec, args)
    api.complaint_about(request, LIMITS)
    commands.render_for(spec, request)


def parsers() -> None:
    own, other = resp.RequestParser(resp.Bounds.of_client(LIMITS)), hiredis.Reader()
    print("one request, us             ours   hiredis")  # noqa: T201
    for name, frame, depth in (
        ("SET, 100 bytes, alone", SET, 1),
        ("SET, 100 bytes, of 100", SET, 100),
        ("SET, 2000 bytes, alone", LONG_SET, 1),
        ("SET, 2000 bytes, of 100", LONG_SET, 100),
    ):
        data, number = frame * depth, 20_000 // depth
        ours = best_us(lambda data=data: drain(own, data), number) / depth
        theirs = best_us(lambda data=data: drain_hiredis(other, data), number) / depth
        print(f"{name:24} {ours:7.2f} {theirs:9.2f}")  # noqa: T201


def others() -> None:
    args = [b"SET", b"key:000000000042", b"x" * 100]
    entries = tuple(Entry(n, 1, EntryKind.COMMAND, b"x" * 100) for n in range(1, 257))
    message = AppendEntries(
        cluster_id="c1",
        sender=1,
        recipient=2,
        term=1,
        prev_log_index=0,
        prev_log_term=0,
        entries=entries,
        leader_commit=0,
    )
    parser = resp.RequestParser(resp.Bounds.of_client(LIMITS))
    parser.feed(peer.encode_message(message))
    frame_args = parser.next_command()
    assert frame_args is not None
    print("other work, us")  # noqa: T201
    for name, act, number in (
        ("SET to typed request", lambda: interpret(args), 20_000),
        ("AppendEntries, encode", lambda: peer.encode_message(message), 500),
        ("AppendEntries, decode", lambda: peer.decode_message(frame_args), 500),
        ("SET of 63 MiB in pieces", lambda: parse_in_pieces(LARGE_SET), 1),
    ):
        print(f"{name:24} {best_us(act, number):7.2f}")  # noqa: T201


if __name__ == "__main__":
    parsers()
    others()
