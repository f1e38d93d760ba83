"""The checker of client histories: it knows good ones from bad ones, and agrees with brute force.

Law: brute force shares nothing with the checker. It tries every order of every choice of
unknown operations, on the production state machine; so the checker's own model, too, is
held against the one that it judges.
"""

from __future__ import annotations

import pytest

from kvstore import api
from kvstore.sim.checkers.linearizability import check_history
from kvstore.sim.history import Operation
from kvstore.sim.words import describe

from .histories import (
    ABSENT,
    BAD,
    BUSY,
    FROM_A_TO_B,
    GOOD,
    NO_INTEGER,
    UNKNOWN,
    K,
    get,
    lost,
    operation,
    put,
    put_if,
)


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_a_history_that_an_order_explains_passes(history: list[Operation]) -> None:
    assert check_history(history) == []


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_a_history_that_no_order_explains_is_a_finding(history: list[Operation]) -> None:
    assert len(check_history(history)) == 1


# --- What it says -------------------------------------------------------------------------


def test_keys_are_judged_apart() -> None:
    other = Operation(1, 2, 3, api.Get((b"other",)), api.GetResult(0, (None,)))
    findings = check_history([put(1, 0, 1, b"a"), other, get(1, 4, 5, None)])
    assert [finding.splitlines()[0] for finding in findings] == [
        "key k: no order explains what clients saw in 2 operations"
    ]


def test_a_finding_tells_where_no_order_goes_on() -> None:
    history = [
        operation(3, 120, 140.2, api.Put(K, b"a"), api.PutResult(7, True)),
        lost(5, 125, api.Put(K, b"c"), until_ms=2_625),
        operation(2, 150, 151.25, api.Increment(K, 4), NO_INTEGER),
        operation(4, 160, 170, api.Get((K,)), api.GetResult(8, (api.KeyValue(K, b"b", 8, 8, 1),))),
        put(1, 180, 190, b"d"),
        lost(6, 130, api.Get((K,))),
        operation(6, 131, 132, api.Get((K,)), UNKNOWN),
    ]
    (finding,) = check_history(history)
    assert finding.splitlines() == [
        "key k: no order explains what clients saw in 4 operations",
        "  the longest order found explains 2 of them, and ends",
        "    client 3 [120.0 .. 140.2 ms] put k = 'a' -> revision 7",
        "    client 2 [150.0 .. 151.2 ms] increment k by 4"
        " -> refused, ERR value is not an integer or out of range",
        "  so k is 'a', and none of these can come next",
        "    client 4 [160.0 .. 170.0 ms] get k -> 'b' of revision 8, revision 8",
        "  with or without 1 whose outcome is unknown, the latest",
        "    client 5 [125.0 .. 2625.0 ms] put k = 'c' -> outcome unknown",
    ]


def test_a_finding_shows_the_clients_own_values() -> None:
    """Though the search took one for the other, as nobody told them apart."""
    (finding,) = check_history([put(1, 0, 1, b"a"), put(1, 2, 3, b"b"), get(1, 4, 5, b"c")])
    assert "so k is 'b'" in finding


def test_a_long_order_is_cut_in_a_finding() -> None:
    history = [put(1, 2 * n, 2 * n + 1, b"%d" % n) for n in range(50)]
    (finding,) = check_history([*history, get(1, 200, 201, None)])
    lines = finding.splitlines()
    assert lines[1] == "  the longest order found explains 50 of them, and ends"
    assert lines[13] == f"    {describe(history[-1])}"
    assert len(lines) == 2 + 12 + 2


@pytest.mark.parametrize(
    ("request_", "result", "line"),
    [
        (ABSENT, api.PutResult(3, False), "put k = 'new' if absent -> not written, revision 3"),
        (
            FROM_A_TO_B,
            api.PutResult(3, True, api.KeyValue(K, b"a", 1, 2, 2)),
            "put k = 'b' if it is 'a' -> revision 3, previous 'a' of revision 2",
        ),
        (
            FROM_A_TO_B,
            api.Repeated(3, False),
            "put k = 'b' if it is 'a' -> not written, revision 3, told again",
        ),
        (
            api.Delete((K, b"\xff")),
            api.DeleteResult(3, 1),
            "delete k \\xff -> deleted 1, revision 3",
        ),
        (api.Increment(K, -2), api.IncrementResult(3, 40), "increment k by -2 -> 40, revision 3"),
        (api.Get((K,)), api.GetResult(3, (None,)), "get k -> absent, revision 3"),
        (
            api.Get((K,), with_values=False),
            api.GetResult(3, (api.KeyValue(K, b"", 1, 2, 2),)),
            "get without values k -> '' of revision 2, revision 3",
        ),
        (
            api.PutMany(((K, b"a"), (b"l", b"b"))),
            api.PutResult(4, True),
            "put k = 'a', l = 'b' -> revision 4",
        ),
        (api.Get((K,)), BUSY, "get k -> refused, BUSY too many requests"),
        (api.Get((K,)), UNKNOWN, "get k -> outcome unknown"),
    ],
)
def test_an_operation_is_one_readable_line(
    request_: api.Request, result: api.Result, line: str
) -> None:
    assert describe(operation(1, 0, 1, request_, result)) == f"client 1 [0.0 .. 1.0 ms] {line}"


@pytest.mark.parametrize(
    "request_",
    [
        api.Scan(),
        api.Count(),
        api.HandOver(),
        api.Once(7, 1, api.Put(K, b"a")),
    ],
)
def test_requests_that_do_not_name_their_keys_are_not_judged(request_: api.Request) -> None:
    with pytest.raises(ValueError, match="does not name them"):
        check_history([lost(1, 0, request_)])


# --- Bounds -------------------------------------------------------------------------------


def hard_history(writes: int) -> list[Operation]:
    """Unknown increments of all sizes, to reach a sum that is out of their reach by one."""
    unknown = [lost(n, n, api.Increment(K, 2 * 3**n)) for n in range(writes)]
    return [*unknown, get(99, 100, 101, b"%d" % (3**writes))]


def test_a_search_that_is_too_long_is_a_finding_and_never_a_pass() -> None:
    history = hard_history(12)
    (finding,) = check_history(history, steps_max=500)
    assert finding.startswith("key k: not decided within 500 steps whether an order explains")


def test_a_decided_search_does_not_say_undecided() -> None:
    (finding,) = check_history(hard_history(6), steps_max=10_000)
    assert "no order explains" in finding


def test_long_histories_need_no_recursion() -> None:
    history = [put(1, 2 * n, 2 * n + 1, b"%d" % n) for n in range(3_000)]
    assert check_history(history) == []


def rounds_with_a_useless_unknown_write(rounds: int) -> list[Operation]:
    """In each, two writes fit in one order by themselves, and in the other with the unknown one."""
    history = []
    for n in range(rounds):
        old, new, at = b"old %d" % n, b"new %d" % n, 10 * n
        history += [
            put(1, at, at + 1, old),
            put_if(2, at + 2, at + 9, api.Put(K, new, api.When.EQUAL, old), True),
            put(1, at + 3, at + 9, new),
            lost(3, at + 4, api.Put(K, old)),
        ]
    return history


CHEAP = {
    "reads at one time": (50, [get(n, 0, 90, None) for n in range(16)]),
    "writes at one time": (10_000, [put(n, 0, 90, b"%d" % n) for n in range(8)]),
    "unknown writes that nobody saw": (
        1_000,
        [lost(n, n, api.Put(K, b"lost %d" % n)) for n in range(60)]
        + [put(99, 60 + n, 60.5 + n, b"%d" % n) for n in range(30)],
    ),
    "unknown writes that were seen": (
        2_000,
        [lost(n, n, api.Put(K, b"lost %d" % n)) for n in range(40)]
        + [get(99, 50 + n, 50.5 + n, b"lost %d" % (7 * n % 40)) for n in range(40)],
    ),
    "unknown writes that ask for the same": (
        1_000,
        [lost(n, n, api.Increment(K, 1)) for n in range(24)] + [get(99, 50, 51, b"12")],
    ),
    "unknown writes that might have been spent": (1_000, rounds_with_a_useless_unknown_write(9)),
    "an unknown write of what is there": (4, [put(1, 0, 1, b"a"), lost(2, 0, api.Put(K, b"a"))]),
    "an unknown write before a known one": (
        5,
        [lost(1, 0, api.Put(K, b"a")), put(2, 0, 1, b"b"), get(2, 2, 3, b"b")],
    ),
}
"""What could take 2^n steps, and the steps that must do."""


@pytest.mark.parametrize(("steps_max", "history"), CHEAP.values(), ids=CHEAP)
def test_a_search_takes_few_steps(steps_max: int, history: list[Operation]) -> None:
    """Most of all where there is nothing to find, and every way must be gone."""
    assert check_history(history, steps_max) == []
    (finding,) = check_history([*history, get(99, 100, 101, b"nowhere")], steps_max)
    assert "no order explains" in finding
