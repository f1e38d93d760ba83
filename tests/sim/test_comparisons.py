"""States are compared in simulated worlds, and whoever names the wrong node is found out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from kvstore.raft.messages import CompareStates, CompareStatesReply
from kvstore.sim.checkers.checker import ViolationError, Watched
from kvstore.sim.checkers.comparisons import Comparisons
from kvstore.sim.run import run
from kvstore.sim.scenario import Scenario, only_faults, scenario

A, B = bytes(32), bytes([1]) * 32
SEEDS_MAX = 40


def test_states_are_compared_in_all_worlds_and_change_in_half_of_them() -> None:
    plans = [scenario(seed) for seed in range(200)]
    assert None not in {plan.check_every_ms for plan in plans}
    changing = [plan for plan in plans if any(f.kind == "changed record" for f in plan.faults)]
    assert 60 < len(changing) < 140


def with_changes_alone(plan: Scenario) -> Scenario:
    return only_faults(plan, [f.number for f in plan.faults if f.kind == "changed record"])


def test_a_record_that_changes_is_found_wherever_it_is() -> None:
    """In the calm of each run, and in storms where nothing else goes wrong."""
    reached: Counter[str] = Counter()
    for seed in range(SEEDS_MAX):
        report = run(with_changes_alone(scenario(seed)))
        assert report.violation is None, f"seed {seed}: {report.violation}"
        assert report.reached["data differ"] >= 1
        reached.update(report.reached)
        if reached["data differ"] > seed + 3:
            return
    raise AssertionError(f"storms come to too little: {reached}")


def test_a_plan_of_before_compares_nothing() -> None:
    plan = msgspec.structs.replace(with_changes_alone(scenario(3)), check_every_ms=None)
    report = run(plan)
    assert report.violation is None
    assert report.reached.get("states compared", 0) == 0


# --- The checker --------------------------------------------------------------------------


def host(node_id: int, changed_at: Set[int] = frozenset(), differs_at: int = 0) -> Watched:
    state = SimpleNamespace(changed_at=changed_at)
    node = SimpleNamespace(checking=SimpleNamespace(differs_at=differs_at))
    return cast(Any, SimpleNamespace(id=node_id, disk=SimpleNamespace(state=state), running=node))


def reply(node_id: int, digest: bytes) -> CompareStatesReply:
    return CompareStatesReply(
        cluster_id="c",
        sender=node_id,
        recipient=9,
        term=1,
        index=5,
        digest=digest,
        knows_verdict=False,
    )


def told(digest: bytes) -> CompareStates:
    return CompareStates(cluster_id="c", sender=9, recipient=1, term=1, index=5, digest=digest)


def watching() -> Comparisons:
    checker = Comparisons((1, 2, 3))
    checker.speaks(host(1), reply(1, A))
    return checker


def test_what_may_be_said_of_states_passes() -> None:
    checker = watching()
    checker.speaks(host(2), reply(2, A))
    checker.speaks(host(3, {5}), reply(3, B))
    checker.speaks(host(3), reply(3, b""))
    checker.speaks(host(1), told(b""))
    checker.speaks(host(1), told(A))
    checker.turned(host(2))
    checker.turned(host(3, {5}, differs_at=5))


def test_two_digests_of_what_is_the_same_are_found() -> None:
    with pytest.raises(ViolationError, match="node 2 tells another digest as of 5"):
        watching().speaks(host(2), reply(2, B))


def test_a_change_that_makes_no_other_digest_is_found() -> None:
    with pytest.raises(ViolationError, match="does not see as of 5 that a record has changed"):
        watching().speaks(host(2, {5}), reply(2, A))


def test_a_majority_for_what_nobody_holds_is_found() -> None:
    with pytest.raises(ViolationError, match="which no node has"):
        watching().speaks(host(1), told(B))


def test_a_node_that_is_named_for_nothing_is_found() -> None:
    checker = watching()
    checker.turned(host(3, {5}, differs_at=5))
    checker.turned(host(3, set(), differs_at=5))  # It has started again, and was told before.
    with pytest.raises(ViolationError, match="node 2 is named as of entry 5"):
        checker.turned(host(2, {4}, differs_at=5))
