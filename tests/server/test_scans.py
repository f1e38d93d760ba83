"""Scans of clients: where one goes on, and how many cursors are kept for whom."""

from __future__ import annotations

from kvstore.server.scan_cursors import ScanCursors
from kvstore.wire.resp import command

from .line import Line


def test_scan_goes_on_where_its_cursor_stands(line: Line) -> None:
    keys = [b"key%02d" % n for n in range(25)]
    pairs = [part for key in keys for part in (key, b"v")]
    line.ask(command(b"MSET", *pairs))
    seen: list[bytes] = []
    cursor = b"0"
    for _ in range(3):
        lines = line.ask(command(b"SCAN", cursor, b"COUNT", b"10")).split(b"\r\n")
        cursor, seen = lines[2], seen + lines[5::2]
    assert cursor == b"0"
    assert [key for key in seen if key] == keys


def test_a_forgotten_cursor_is_an_error_and_not_an_end(line: Line) -> None:
    assert line.ask(command(b"SCAN", b"12345")).startswith(b"-ERR this node has forgotten")


def cursor_of(reply: bytes) -> bytes:
    return reply.split(b"\r\n")[2]


def test_a_long_scan_leaves_the_cursors_of_others_alone(line: Line) -> None:
    line.ask(command(b"MSET", *[part for n in range(1_200) for part in (b"key%04d" % n, b"v")]))
    other = cursor_of(line.ask(command(b"SCAN", b"0", b"COUNT", b"5")))
    cursor, before = b"0", b"0"
    for _ in range(1_100):
        before, cursor = cursor, cursor_of(line.ask(command(b"SCAN", cursor, b"COUNT", b"1")))
    assert b"key0005" in line.ask(command(b"SCAN", other, b"COUNT", b"5"))
    assert b"key1099" in line.ask(command(b"SCAN", before, b"COUNT", b"1")), "a call is repeated"
    assert len(line.context.cursors) < 10


def test_who_begins_many_scans_loses_its_own_cursors(line: Line) -> None:
    line.ask(command(b"MSET", b"a", b"1", b"b", b"2", b"c", b"3"))
    other = cursor_of(line.ask(command(b"SCAN", b"0", b"COUNT", b"1")))
    line.connect_anew()
    first = cursor_of(line.ask(command(b"SCAN", b"0", b"COUNT", b"1")))
    for _ in range(100):
        line.ask(command(b"SCAN", b"0", b"COUNT", b"1"))
    assert line.ask(command(b"SCAN", first)).startswith(b"-ERR this node has forgotten")
    assert b"$1\r\nb\r\n" in line.ask(command(b"SCAN", other)), "on another connection, too"
    assert len(line.context.cursors) <= 65


def test_all_cursors_are_bounded_and_who_has_most_loses_one() -> None:
    cursors = ScanCursors(cursors_max=5)
    [alone] = [cursors.remember(b"alone", 0, client=1)]
    for n in range(20):
        cursors.remember(b"%d" % n, 0, client=2)
    assert len(cursors) == 5
    assert cursors.start_key(alone) == b"alone"
