"""The checks of histories find what they are there to find."""

from __future__ import annotations

import dataclasses

from .cluster import Status
from .history import Outcome, Sample, Write, check_samples, check_writes, outcome_of

WRITE = Write("k", "v", 1, 1.0, 2.0, Outcome.OK, "OK")
STATUS = Status("follower", 2, 3, 3, 10, 10)


def addition(began: float, ended: float, returned: int | None) -> Write:
    outcome = Outcome.UNKNOWN if returned is None else Outcome.OK
    return Write("c", "", 1, began, ended, outcome, "", counter=True, returned=returned)


def sample(node_id: int = 1, starts: int = 1, **changes: object) -> Sample:
    return Sample(node_id, starts, dataclasses.replace(STATUS, **changes))  # type: ignore[arg-type]


def test_an_acknowledged_write_must_be_there() -> None:
    assert check_writes([WRITE], {"k": "v"}) == []
    assert "missing" in check_writes([WRITE], {})[0]


def test_a_refused_write_must_never_show() -> None:
    refused = dataclasses.replace(WRITE, outcome=Outcome.REFUSED)
    assert check_writes([refused], {}) == []
    assert "refused write is visible" in check_writes([refused], {"k": "v"})[0]


def test_an_unknown_write_may_be_there_or_not() -> None:
    unknown = dataclasses.replace(WRITE, outcome=Outcome.UNKNOWN)
    assert check_writes([unknown], {}) == []
    assert check_writes([unknown], {"k": "v"}) == []


def test_values_and_keys_that_nobody_wrote_are_found() -> None:
    assert "never written" in check_writes([WRITE], {"k": "other"})[0]
    assert check_writes([], {"x": "y"}) == ["x was never written"]


def test_a_counter_lies_between_acknowledged_and_possible_additions() -> None:
    group = [addition(1, 2, 1), addition(3, 4, None)]
    assert check_writes(group, {"c": "1"}) == []
    assert check_writes(group, {"c": "2"}) == []
    assert "must be from 1 to 2" in check_writes(group, {"c": "3"})[0]
    assert "must be from 1 to 2" in check_writes(group, {})[0]


def test_two_additions_never_return_the_same_sum() -> None:
    findings = check_writes([addition(1, 9, 1), addition(2, 9, 1)], {"c": "2"})
    assert findings == ["c: two additions returned 1"]


def test_sums_follow_the_order_of_time_where_additions_do_not_overlap() -> None:
    assert "went back from 2" in check_writes([addition(1, 2, 2), addition(3, 4, 1)], {"c": "2"})[0]
    assert check_writes([addition(1, 4, 2), addition(3, 4, 1)], {"c": "2"}) == []


def test_terms_never_go_back() -> None:
    assert check_samples([sample(term=2), sample(term=3, voted_for=None)]) == []
    assert "term went back" in check_samples([sample(term=3), sample(term=2, starts=2)])[0]


def test_a_vote_is_neither_changed_nor_forgotten_within_a_term() -> None:
    assert check_samples([sample(voted_for=None), sample(voted_for=1)]) == []
    for later in (2, None):
        findings = check_samples([sample(voted_for=1), sample(voted_for=later, starts=2)])
        assert "vote changed" in findings[0]


def test_the_commit_index_goes_back_only_with_a_restart() -> None:
    assert check_samples([sample(), sample(commit_index=0, starts=2)]) == []
    assert "commit index went back" in check_samples([sample(), sample(commit_index=9)])[0]


def test_a_term_has_one_leader() -> None:
    two = [sample(1, role="leader"), sample(2, role="leader")]
    assert check_samples(two) == ["two leaders in term 2: 1 and 2"]
    assert check_samples([two[0], sample(2, role="leader", term=3)]) == []


def test_only_a_promise_that_nothing_changed_is_a_refusal() -> None:
    assert outcome_of("NOTLEADER not leader, try node 2 at x") is Outcome.REFUSED
    assert outcome_of("NOLEADER no leader is known") is Outcome.REFUSED
    assert outcome_of("UNKNOWN outcome unknown") is Outcome.UNKNOWN
    assert outcome_of("ERR what") is Outcome.UNKNOWN
