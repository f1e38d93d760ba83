"""Iterations by SCAN, held against what their pages say."""

from __future__ import annotations

import msgspec
import pytest

from kvstore import api
from kvstore.sim.checkers.cursors import Page, check_cursors
from kvstore.sim.history import Operation
from kvstore.wire.scan import ScanArguments

from .still import judged


def page(
    cursor: int, start: bytes | None, keys: bytes, end: bytes | None, told: int, life: int = 1
) -> Page:
    items = tuple(api.KeyValue(bytes((key,)), b"", 1, 1, 1) for key in keys)
    result = api.ScanResult(7, items, end)
    shown = tuple(bytes((key,)) for key in keys)
    return Page(1, life, ScanArguments(cursor), api.Scan(start), result, told, shown)


def unknown(cursor: int, life: int = 1) -> Page:
    return Page(1, life, ScanArguments(cursor))


FIRST, SECOND, LAST = (
    page(0, b"", b"ab", b"c", 5),
    page(5, b"c", b"c", b"d", 6),
    page(6, b"d", b"", None, 0),
)
GOOD = {
    "an iteration": [FIRST, SECOND, LAST],
    "a page that is asked for again": [FIRST, SECOND, page(5, b"c", b"c", b"d", 7), LAST],
    "two iterations": [FIRST, page(0, b"", b"ab", b"c", 8), SECOND, page(8, b"c", b"", None, 0)],
    "a node that was started anew": [
        FIRST,
        unknown(5, life=2),
        page(0, b"", b"a", b"b", 5, life=2),
    ],
}
BAD = {
    "keys are left out": [FIRST, page(5, b"d", b"d", None, 0)],
    "keys are shown twice": [FIRST, page(5, b"", b"ab", b"c", 6)],
    "a cursor is forgotten": [FIRST, unknown(5)],
    "an iteration ends too early": [msgspec.structs.replace(FIRST, cursor=0)],
    "an iteration has no end": [FIRST, SECOND, msgspec.structs.replace(LAST, cursor=9)],
    "other keys are told": [msgspec.structs.replace(FIRST, keys=(b"a",))],
    "a cursor that nobody told is known": [page(99, b"c", b"", None, 0)],
}


@pytest.mark.parametrize("pages", GOOD.values(), ids=GOOD)
def test_cursors_that_lead_on_pass(pages: list[Page]) -> None:
    assert check_cursors(pages) == []


@pytest.mark.parametrize("pages", BAD.values(), ids=BAD)
def test_cursors_that_lead_elsewhere_are_found(pages: list[Page]) -> None:
    assert len(check_cursors(pages)) == 1


@pytest.mark.parametrize(("keys", "is_right"), [(b"b", True), (b"", False), (b"ab", False)])
def test_a_page_holds_what_matches_its_pattern(keys: bytes, is_right: bool) -> None:
    there = {key: api.KeyValue(key, b"", 1, 1, 1) for key in (b"a", b"b")}
    result = api.ScanResult(7, tuple(there[bytes((key,))] for key in keys), None)
    shown = Operation(1, 0, 1, api.Scan(pattern=b"[b-z]"), result)
    assert (judged(there, shown) == []) is is_right
