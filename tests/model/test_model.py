"""Raft's model holds, its wrong versions do not, and what the code does is what it may do."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec
import pytest

from kvstore.raft.types import LogStart, Role
from kvstore.sim import recorded
from kvstore.sim.faults import Fault
from kvstore.sim.run import run
from kvstore.sim.trace import ModelStep

from .tlc import Verdict, check_model, missing, validate

STEPS = 250
SEEDS_TRIED = 20

pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        missing() is not None and "CI" not in os.environ,
        reason=f"the formal model is not checked: {missing()}",
    ),
]


def test_the_model_keeps_its_promises() -> None:
    broken, output = check_model("Raft")
    assert broken is None, output[-4000:]


@dataclass(frozen=True)
class WrongModel:
    name: str
    old: str
    new: str


WRONG_MODELS = [
    WrongModel(
        "does not persist its vote",
        "    /\\ disk' = [disk EXCEPT ![i] = mem[i]]",
        "    /\\ disk' = [disk EXCEPT ![i] = [mem[i] EXCEPT !.vote = Nobody]]",
    ),
    WrongModel(
        "votes twice",
        "    /\\ mem[i].vote \\in {Nobody, m.from}\n",
        "",
    ),
    WrongModel(
        "votes for a log that is behind",
        "        \\/ m.lastTerm > lastTerm\n",
        "        \\/ m.lastTerm >= 0\n",
    ),
    WrongModel(
        "is elected by a minority",
        "    /\\ IsMajority(Voters(i))\n",
        "",
    ),
    WrongModel(
        "installs what was not decided",
        "    /\\ n <= said[t].commit\n",
        "    /\\ n <= Len(said[t].log)\n",
    ),
    WrongModel(
        "decides alone",
        "    /\\ IsMajority(Holders(i, n))\n",
        "",
    ),
]


@pytest.mark.parametrize("wrong", WRONG_MODELS, ids=lambda wrong: wrong.name)
def test_a_wrong_model_breaks_a_promise(wrong: WrongModel) -> None:
    broken, output = check_model("Raft", old=wrong.old, new=wrong.new)
    assert broken is not None, output[-2000:]


PLANS = sorted((Path(__file__).parent / "plans").glob("*.json"))
"""Elections, and crashes between them; no damage, lost directory or full disk, which the
model does not have."""


FIRST, LATER = LogStart(), LogStart(999_999_999, 7)


@cache
def steps_of(plan: Path, start: LogStart) -> tuple[tuple[ModelStep, ...], tuple[int, ...]]:
    """The beginning of a simulated run in which two lead, and its members.

    Its logs begin after `start`. Which of its seeds show that changes with every draw of the
    simulator.
    """
    scenario = recorded.read(plan.read_bytes()).scenario
    for seed in range(scenario.seed, scenario.seed + SEEDS_TRIED):
        plan_of_seed = msgspec.structs.replace(scenario, seed=seed, start=start)
        report = run(plan_of_seed, modelled=True)
        steps = tuple(report.model_steps[:STEPS])
        if len({step.term for step in steps if leads(step)}) >= 2:
            return steps, report.scenario.members
    raise AssertionError("it shows too little")


@pytest.mark.parametrize(
    ("plan", "start"),
    [*((plan, FIRST) for plan in PLANS), (PLANS[0], LATER)],
    ids=lambda one: one.stem if isinstance(one, Path) else f"begins at {one.index + 1}",
)
def test_what_the_code_does_the_model_may_do(plan: Path, start: LogStart) -> None:
    verdict = validate(*steps_of(plan, start), start)
    assert verdict == Verdict(accepted=True, explained=STEPS, unexplained=None)


def forge(change: Callable[[list[ModelStep]], None]) -> Verdict:
    told, members = steps_of(PLANS[0], FIRST)
    steps = list(told)
    change(steps)
    return validate(steps, members, FIRST)


def position(steps: list[ModelStep], fits: Callable[[ModelStep], bool]) -> int:
    return next(at for at, step in enumerate(steps) if fits(step))


def leads(step: ModelStep) -> bool:
    return step.role is Role.LEADER


def replace(steps: list[ModelStep], at: int, **changes: object) -> None:
    steps[at] = msgspec.structs.replace(steps[at], **changes)


def forget_vote(steps: list[ModelStep]) -> None:
    at = position(steps, lambda step: step.voted_for is not None and step.action == "persist")
    replace(steps, at, voted_for=None)


def lead_without_votes(steps: list[ModelStep]) -> None:
    at = position(steps, lambda step: step.role is Role.CANDIDATE)
    replace(steps, at, role=Role.LEADER, log=(*steps[at].log, steps[at].term))


def commit_early(steps: list[ModelStep]) -> None:
    at = position(steps, leads)
    replace(steps, at, commit_index=len(steps[at].log))


def take_an_entry_from_nowhere(steps: list[ModelStep]) -> None:
    at = position(steps, lambda step: not leads(step) and bool(step.log))
    replace(steps, at, log=(*steps[at].log, steps[at].term))


def go_back_a_term(steps: list[ModelStep]) -> None:
    at = position(steps, leads)
    replace(steps, at, term=steps[at].term - 1)


def be_durable_too_soon(steps: list[ModelStep]) -> None:
    at = position(steps, lambda step: leads(step) and step.durable_index < len(step.log))
    replace(steps, at, durable_index=len(steps[at].log))


def hear_what_nobody_said(steps: list[ModelStep]) -> None:
    """The sender's own step is left out."""
    del steps[
        position(
            steps,
            lambda step: step.action == "propose" and step.durable_index < len(step.log),
        )
    ]


@pytest.mark.parametrize(
    "change",
    [
        forget_vote,
        lead_without_votes,
        commit_early,
        take_an_entry_from_nowhere,
        go_back_a_term,
        be_durable_too_soon,
        hear_what_nobody_said,
    ],
)
def test_a_forged_run_is_rejected(change: Callable[[list[ModelStep]], None]) -> None:
    verdict = forge(change)
    assert not verdict.accepted


# --- Logs that are compacted --------------------------------------------------------------


STEPS_MAX = 330
"""Before which somebody must have installed a snapshot: TLC takes a while for each."""


def installs(steps: Sequence[ModelStep]) -> int | None:
    """The first step by which a log begins behind what its node knew to be committed."""
    known: dict[int, int] = {}
    for at, step in enumerate(steps):
        if step.start.index > known.get(step.node, step.start.index):
            return at
        known[step.node] = step.commit_index
    return None


@cache
def compacted_steps() -> tuple[tuple[ModelStep, ...], tuple[int, ...]]:
    """Of a run in which logs keep next to nothing, and a follower is cut off for long."""
    usual = recorded.read(PLANS[1].read_bytes()).scenario
    for seed in range(SEEDS_TRIED):
        plan = msgspec.structs.replace(
            usual,
            seed=seed,
            clients=2,
            calls=30,
            session_clients=0,
            pipeline_clients=0,
            storm_ms=2_600.0,
            log_kept_bytes=1,
            checkpoint_interval_ms=50,
            faults=(Fault(0, 750.0, 1_500.0, "isolation", seed),),
        )
        report = run(plan, modelled=True)
        at = installs(report.model_steps)
        if at is not None and at < STEPS_MAX - 30:
            return report.model_steps[: at + 30], plan.members
    raise AssertionError("nobody installs a snapshot soon enough")


def test_logs_that_begin_later_and_a_snapshot_are_what_the_model_may_do() -> None:
    steps, members = compacted_steps()
    assert len({step.start.index for step in steps}) > 2
    verdict = validate(steps, members, FIRST)
    assert verdict == Verdict(accepted=True, explained=len(steps), unexplained=None)


def commit_without_a_snapshot(before: ModelStep, step: ModelStep) -> ModelStep:
    return msgspec.structs.replace(before, action="tick", commit_index=step.commit_index)


def keep_what_nobody_said(_before: ModelStep, step: ModelStep) -> ModelStep:
    return msgspec.structs.replace(step, log=(*step.log, step.term))


def be_durable_with_the_word(_before: ModelStep, step: ModelStep) -> ModelStep:
    return msgspec.structs.replace(step, durable_start=step.start)


@pytest.mark.parametrize(
    "change", [commit_without_a_snapshot, keep_what_nobody_said, be_durable_with_the_word]
)
def test_a_forged_snapshot_is_rejected(
    change: Callable[[ModelStep, ModelStep], ModelStep],
) -> None:
    told, members = compacted_steps()
    at = installs(told)
    assert at is not None
    before = [step for step in told[:at] if step.node == told[at].node][-1]
    steps = (*told[:at], change(before, told[at]))
    verdict = validate(steps, members, FIRST)
    assert not verdict.accepted
    assert verdict.explained == at
