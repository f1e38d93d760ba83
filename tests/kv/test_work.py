"""What queries and entries cost is counted, and a page of a scan costs no more than it may."""

from __future__ import annotations

import msgspec
import pytest

from kvstore import api
from kvstore.kv.machine import SCAN_STEPS_MAX

from .test_machine import Machine

KEYS = [b"%060d" % n for n in range(3_000)]
SLOW = b"*" + b"[^x]" * 50 + b"y"


@pytest.fixture(scope="module")
def machine() -> Machine:
    machine = Machine(reply_bytes_max=1 << 30)
    for key in KEYS:
        machine.put(key, b"v")
    return machine


def scan(machine: Machine, request: api.Scan) -> tuple[api.ScanResult, int]:
    before = machine.machine.steps
    page = machine.machine.query(request)
    assert isinstance(page, api.ScanResult)
    return page, machine.machine.steps - before


def test_a_pattern_narrows_a_page_while_it_is_read(machine: Machine) -> None:
    page, _ = scan(machine, api.Scan(limit=100, pattern=b"*7"))
    assert [item.key for item in page.items] == [key for key in KEYS[:100] if key.endswith(b"7")]
    assert page.next_start == KEYS[100], "the limit is of the keys that are looked at"


def test_a_page_ends_when_its_work_is_done_though_it_is_empty(machine: Machine) -> None:
    page, steps = scan(machine, api.Scan(limit=10_000, pattern=SLOW))
    assert page.items == ()
    assert page.next_start is not None
    assert page.next_start < KEYS[200], "a slow pattern lets it look at few keys"
    assert steps < SCAN_STEPS_MAX + 1_000


def test_a_page_in_reverse_costs_no_more_and_ends_likewise(machine: Machine) -> None:
    page, steps = scan(machine, api.Scan(limit=10_000, pattern=SLOW, reverse=True))
    assert page.items == ()
    assert page.next_start is not None
    assert page.next_start > KEYS[-200]
    assert steps < SCAN_STEPS_MAX + 1_000
    _, steps = scan(machine, api.Scan(limit=1, reverse=True))
    assert steps < 20, "the last key is found without a walk to it"


@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
def test_pages_that_end_early_lead_to_the_end(machine: Machine, reverse: bool) -> None:
    request = api.Scan(limit=10_000, pattern=b"*[0-9][0-9]5", reverse=reverse)
    pages, found = 1, 0
    while True:
        page, _ = scan(machine, request)
        found += len(page.items)
        if page.next_start is None:
            break
        request = msgspec.structs.replace(request, start=page.next_start)
        pages += 1
        assert pages < 100
    assert found == len(KEYS) // 10


def test_records_cost_by_their_size() -> None:
    machine = Machine(reply_bytes_max=1 << 30)
    for n in range(30):
        machine.put(b"%d" % n, bytes(1 << 20))
    page, steps = scan(machine, api.Scan(limit=30, with_values=False))
    assert 1 <= len(page.items) < 30
    assert steps < SCAN_STEPS_MAX + 2_000
    before = machine.machine.steps
    machine.machine.query(api.Get((b"1", b"2")))
    assert machine.machine.steps - before > 2_000


@pytest.mark.parametrize(
    "command",
    [api.Delete(tuple(KEYS)), api.PutMany(tuple((key, b"") for key in KEYS))],
    ids=["delete", "put many"],
)
def test_a_write_of_many_keys_costs_by_their_number(command: api.Write) -> None:
    machine = Machine()
    machine.run(command)
    assert machine.machine.steps > 5 * len(KEYS)


def test_small_writes_cost_as_well() -> None:
    """Else a turn would apply as many as there are."""
    machine = Machine()
    for number in range(100):
        machine.put(b"%d" % number, b"v")
    assert machine.machine.steps >= 100
