"""Findings can be read, whatever clients asked for: large values and long lists are cut."""

from __future__ import annotations

import pytest

from kvstore import api
from kvstore.sim.checkers.linearizability import check_history
from kvstore.sim.checkers.revisions import check_revisions
from kvstore.sim.checkers.steadiness import unfit_answers
from kvstore.sim.history import Operation
from kvstore.sim.words import describe, said, shown

from .still import judged

LARGE = b"1.29" + bytes(300_000)
OTHER = b"2.30" + bytes(60_000)
RECORD = api.KeyValue(b"red", LARGE, 1, 1, 1)
CUT = "1.29\\x00\\x00\\x00"
"""How a large value begins, wherever it is shown."""


def operation(
    invoked_ms: float, request: api.Request, result: api.Result | None, client: int = 1
) -> Operation:
    return Operation(client, invoked_ms, invoked_ms + 1.0, request, result)


def items(value: bytes) -> tuple[api.KeyValue]:
    return (api.KeyValue(b"red", value, 1, 1, 1),)


WRITE = operation(0.0, api.Put(b"red", LARGE), api.PutResult(1, True))
READ = operation(2.0, api.Get((b"red",)), api.GetResult(1, items(OTHER)))
LATER = operation(
    4.0,
    api.Put(b"red", OTHER, api.When.EQUAL, LARGE, True),
    api.PutResult(2, True, RECORD),
)
MISSED = operation(6.0, api.Delete((b"red",) * 3_000), api.DeleteResult(2, 0))
LOST = operation(8.0, api.Once(7, 1, api.Put(b"red", LARGE)), None)
PAGE = operation(9.0, api.Scan(b""), api.ScanResult(1, items(OTHER), None))
HISTORY = [WRITE, READ, LATER, MISSED]

FINDINGS = {
    "linearizability": lambda: check_history(HISTORY),
    "revisions": lambda: check_revisions([*HISTORY, READ]),
    "serializability": lambda: judged({b"red": RECORD}, READ, PAGE),
    "steadiness": lambda: unfit_answers([LOST]),
}


@pytest.mark.parametrize("check", FINDINGS.values(), ids=FINDINGS)
def test_large_values_are_cut_in_a_finding(check: object) -> None:
    assert callable(check)
    lines = "\n".join(check()).splitlines()
    assert any(CUT in line and "…" in line for line in lines)
    assert max(map(len, lines)) < 500


def test_of_many_keys_and_records_the_first_are_told() -> None:
    many = (RECORD,) * 3_000
    for one in (
        MISSED,
        operation(0.0, api.Get((b"red",) * 3_000), api.GetResult(1, many)),
        operation(0.0, api.Scan(b""), api.ScanResult(1, many, None)),
    ):
        assert "and 2,990 more" in describe(one)
        assert len(describe(one)) < 2_000


@pytest.mark.parametrize("value", [b"", b"a", b"it's", b'"', b"\x00\xff", b"a" * 40])
def test_what_is_short_is_shown_whole(value: bytes) -> None:
    assert shown(value) == repr(value)[1:]
    assert said(value) == repr(value)
    assert said(api.Put(b"k", value)) == repr(api.Put(b"k", value))
