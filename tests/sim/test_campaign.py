"""`kvstore simulate` over many seeds: it goes on after a failure, and tells of all of them."""

from __future__ import annotations

import re

import pytest

from kvstore.cli.main import main
from kvstore.raft.types import Role
from kvstore.sim import world
from kvstore.sim.campaign import Failure, group
from kvstore.sim.checkers.checker import Checker, Watched


class NoThirdTerm(Checker):
    """Some seeds break this."""

    theorem = "no third term"

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        if raft.current_term >= 3:
            self.fail(f"node {host.id} is in term {raft.current_term}")


class NeverThree(Checker):
    """Others break this."""

    theorem = "node 3 never leads"

    def changed(self, host: Watched) -> None:
        is_leader = host.running.raft.role is Role.LEADER
        if host.id == 3 and is_leader:
            self.fail(f"node {host.id} leads")


class NobodyLeads(Checker):
    """All seeds break this, and without any fault."""

    theorem = "nobody leads"

    def changed(self, host: Watched) -> None:
        if host.running.raft.role is Role.LEADER:
            self.fail(f"node {host.id} leads")


def test_failures_are_grouped_by_theorem_the_most_frequent_first() -> None:
    groups = group(
        [
            Failure(9, "rare", "the only one"),
            Failure(5, "frequent", "a short one"),
            Failure(3, "frequent", "one that is longer"),
        ]
    )
    assert [one.theorem for one in groups] == ["frequent", "rare"]
    assert [failure.seed for failure in groups[0].failures] == [3, 5]
    assert groups[0].shortest == "a short one"


def test_a_campaign_goes_on_after_a_failure_and_tells_of_each_theorem(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(world, "STEPWISE", (NoThirdTerm, NeverThree))
    assert main(["simulate", "--seeds", "8", "--lines", "1"]) == 1
    told, at_once = capsys.readouterr()
    assert "8 seeds," in told
    broken = re.findall(r"^ +(\d+)  (no third term|node 3 never leads): node", told, re.MULTILINE)
    assert {theorem for _, theorem in broken} == {"no third term", "node 3 never leads"}
    assert sum(int(count) for count, _ in broken) > 2
    assert f"{sum(int(count) for count, _ in broken)} seeds break a promise" in told
    assert at_once.count("breaks a promise") == sum(int(count) for count, _ in broken)
    again = re.findall(r"^again: kvstore simulate (--seed \d+) --faults '(.*)'$", told, re.M)
    assert len(again) == 2, "the smallest story of the first of each"
    for seed, faults in again:
        assert f"   kvstore simulate {seed}\n" in told
        assert main(["simulate", *seed.split(), "--faults", faults, "--lines", "1"]) == 1


def test_a_story_leaves_out_the_faults_that_its_failure_does_not_need(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(world, "STEPWISE", (NobodyLeads,))
    assert main(["simulate", "--seed", "3", "--shrink", "--lines", "1"]) == 1
    told = capsys.readouterr().out
    assert "BROKEN  nobody leads" in told
    assert "  fault " not in told
