"""Pages that show something else than what was there must be found out."""

from __future__ import annotations

import pytest

from kvstore import api
from kvstore.sim.history import Operation

from .still import judged

KEYS = (b"", b"a", b"a1", b"b")
THERE = {key: api.KeyValue(key, b"of " + key, 1, 1, 1) for key in KEYS}


def findings(scan: api.Scan, keys: tuple[bytes, ...], next_start: bytes | None) -> list[str]:
    page = api.ScanResult(1, tuple(THERE[key] for key in keys), next_start)
    return judged(THERE, Operation(1, 0.0, 1.0, scan, page))


@pytest.mark.parametrize(
    ("scan", "keys", "next_start"),
    [
        (api.Scan(), KEYS, None),
        (api.Scan(limit=2), (b"", b"a"), b"a1"),
        (api.Scan(b"a", prefix=b"a"), (b"a", b"a1"), None),
        (api.Scan(b"b", prefix=b"a"), (), None),
        (api.Scan(reverse=True), KEYS[::-1], None),
        (api.Scan(limit=3, reverse=True), (b"b", b"a1", b"a"), b""),
        (api.Scan(b"", reverse=True), (b"",), None),
        (api.Scan(b"a0", reverse=True), (b"a", b""), None),
        (api.Scan(b"b", prefix=b"a", reverse=True), (b"a1", b"a"), None),
        (api.Scan(reverse=True), (), b"b"),
    ],
)
def test_a_page_that_shows_what_was_there_is_right(
    scan: api.Scan, keys: tuple[bytes, ...], next_start: bytes | None
) -> None:
    assert findings(scan, keys, next_start) == []


@pytest.mark.parametrize(
    ("scan", "keys", "next_start"),
    [
        (api.Scan(), KEYS[::-1], None),
        (api.Scan(), KEYS[1:], None),
        (api.Scan(), (), b""),
        (api.Scan(b"a"), (), b"a"),
        (api.Scan(limit=1), (b"", b"a"), b"a1"),
        (api.Scan(reverse=True), KEYS, None),
        (api.Scan(reverse=True), (b"b", b"a1"), None),
        (api.Scan(reverse=True), (b"b",), b"a"),
        (api.Scan(b"a1", reverse=True), KEYS[::-1], None),
        (api.Scan(b"a1", reverse=True), (), b"a1"),
        (api.Scan(b"a", reverse=True), (b"a",), b"b"),
        (api.Scan(limit=1, reverse=True), (b"b", b"a1"), b"a"),
    ],
)
def test_a_page_that_is_wrong_is_a_finding(
    scan: api.Scan, keys: tuple[bytes, ...], next_start: bytes | None
) -> None:
    assert len(findings(scan, keys, next_start)) == 1
