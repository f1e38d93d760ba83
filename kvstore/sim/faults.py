"""What goes wrong in a run, and when: a plan, drawn from the seed before the run begins.

Law: a fault is a value and carries its own chance, so that leaving one out of the plan
changes no other; that is what makes a failing plan shrink. Each seed plans with a few kinds
of fault only: what always comes together hides what comes alone. How a fault strikes is
for `strikes`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

import msgspec

from kvstore.sim.network import Conditions

KINDS: Final = (
    "crash",
    "crash of all",
    "crash before a write",
    "crash after a write",
    "crash in apply",
    "crash at a checkpoint",
    "short reigns",
    "pause",
    "handover",
    "disk full",
    "disk error",
    "disk slow",
    "damage",
    "lost directory",
    "old directory",
    "isolation",
    "split",
    "one-way link",
    "bridge",
    "crumbling links",
    "bad weather",
    "forged term",
    "lost term",
    "joining under load",
    "other release",
    "crash in a snapshot",
    "member removed",
    "state differs",
    "changed record",
)
"""Of faults, by name; `strikes` has the same."""
_REPEATED: Final = ("forged term", "lost term", "joining under load")
_OF_UPGRADES: Final = "other release"
_OF_MEMBERS: Final = "member removed"
_OF_STATES: Final = "state differs"
_OF_RECORDS: Final = "changed record"
_OF_DISKS: Final = {
    "state differs",
    "lost directory",
    "old directory",
    "joining under load",
    "damage",
    "lost term",
}
_OF_SNAPSHOTS: Final = ("crash in a snapshot", "pause", "isolation", "crash", "bad weather")
_BEYOND_BELIEF: Final = "forged term"
"""No election leads there, so what comes after a recovery need not be beyond it."""
_AFTER_LOSS: Final = (
    *("crash", "crash of all", "crash after a write", "crash at a checkpoint"),
    *("pause", "isolation", "one-way link", "bad weather", "disk slow"),
)


class Fault(msgspec.Struct, frozen=True):
    """One thing that goes wrong at `at_ms` and lasts `duration_ms`, where it can last.

    `number` is its place in the plan of its seed.
    """

    number: int
    at_ms: float
    duration_ms: float
    kind: str
    seed: int

    def __str__(self) -> str:
        return f"{self.kind} at {self.at_ms:.0f} ms for {self.duration_ms:.0f} ms"


def plan(rng: random.Random, duration_ms: float, kinds: Sequence[str]) -> tuple[Fault, ...]:
    """Faults of these kinds over the time of a run, in order of time."""
    mean_gap_ms = rng.choice((250.0, 600.0, 1_200.0))
    faults: list[Fault] = []
    at_ms = rng.expovariate(1 / mean_gap_ms)
    while at_ms < duration_ms:
        lasts_ms = rng.choice((100.0, 800.0, 2_000.0, 3_000.0)) * rng.uniform(0.5, 1.5)
        kind, seed = rng.choice(kinds), rng.getrandbits(32)
        faults.append(Fault(len(faults), at_ms, lasts_ms, kind, seed))
        at_ms += rng.expovariate(1 / mean_gap_ms)
    return tuple(faults)


def choose_kinds(rng: random.Random) -> tuple[str, ...]:
    """Two to five kinds of fault for one seed."""
    apart = {*_REPEATED, _OF_UPGRADES, _OF_MEMBERS, _OF_STATES, _OF_RECORDS, _OF_SNAPSHOTS[0]}
    return tuple(rng.sample(sorted(set(KINDS) - apart), rng.randint(2, 5)))


def plan_twice(rng: random.Random, duration_ms: float, first: int) -> tuple[Fault, ...]:
    """In some worlds, a fault that strikes twice: what is reset after one shows in the next."""
    if rng.random() < 0.5:
        return ()
    kind = rng.choice(_REPEATED)
    times = sorted(rng.uniform(0.2, 1.0) * duration_ms for _ in range(2))
    return tuple(
        Fault(first + number, at_ms, 500.0, kind, rng.getrandbits(32))
        for number, at_ms in enumerate(times)
    )


def plan_upgrades(rng: random.Random, duration_ms: float, first: int) -> tuple[Fault, ...]:
    """Nodes are stopped, and started with another release: so often that all may have the last."""
    times = sorted(rng.uniform(0.0, duration_ms) for _ in range(rng.randint(4, 16)))
    return tuple(
        Fault(first + number, at_ms, 0.0, _OF_UPGRADES, rng.getrandbits(32))
        for number, at_ms in enumerate(times)
    )


def plan_members(
    rng: random.Random, duration_ms: float, others: Sequence[Fault]
) -> tuple[Fault, ...]:
    """Nodes leave and come back, beside what of `others` costs no directory."""
    kept = tuple(fault for fault in others if fault.kind not in _OF_DISKS)
    first = max((fault.number + 1 for fault in others), default=0)
    return kept + tuple(
        Fault(
            first + number,
            rng.uniform(0.0, duration_ms),
            rng.choice((300.0, 1_500.0, 3_000.0)),
            _OF_MEMBERS,
            rng.getrandbits(32),
        )
        for number in range(rng.randint(2, 8))
    )


def plan_snapshots(rng: random.Random, duration_ms: float, first: int) -> tuple[Fault, ...]:
    """Nodes are away for long, and end while they are brought back."""
    return tuple(
        Fault(
            first + number,
            rng.uniform(0.0, duration_ms),
            rng.choice((1_500.0, 3_000.0)),
            rng.choice(_OF_SNAPSHOTS),
            rng.getrandbits(32),
        )
        for number in range(rng.randint(3, 10))
    )


def plan_after_loss(
    rng: random.Random, storm_ms: float, duration_ms: float, others: Sequence[Fault]
) -> tuple[Fault, ...]:
    """What the recovered cluster goes through behind the storm, beside what others do in it."""
    kept = tuple(fault for fault in others if fault.kind != _BEYOND_BELIEF)
    first = max((fault.number + 1 for fault in others), default=0)
    return kept + tuple(
        Fault(
            first + number,
            storm_ms + rng.uniform(0.0, duration_ms),
            rng.choice((300.0, 1_500.0)),
            rng.choice(_AFTER_LOSS),
            rng.getrandbits(32),
        )
        for number in range(rng.randint(0, 3))
    )


def plan_divergences(rng: random.Random, duration_ms: float, first: int) -> tuple[Fault, ...]:
    """Nodes find that their states are not the majority's, one at a time."""
    times = sorted(rng.uniform(0.0, duration_ms) for _ in range(rng.randint(1, 5)))
    return tuple(
        Fault(first + number, at_ms, 0.0, _OF_STATES, rng.getrandbits(32))
        for number, at_ms in enumerate(times)
    )


def plan_changes(rng: random.Random, duration_ms: float, first: int) -> tuple[Fault, ...]:
    """In half of all worlds, records that are not what they were when somebody looks at all."""
    if rng.random() < 0.5:
        return ()
    return tuple(
        Fault(first + number, rng.uniform(0.0, duration_ms), 0.0, _OF_RECORDS, rng.getrandbits(32))
        for number in range(rng.randint(1, 4))
    )


def weather(rng: random.Random) -> Conditions:
    """Some bad weather."""
    return Conditions(
        delay_max_ms=rng.choice((2.0, 20.0, 150.0)),
        loss=rng.choice((0.0, 0.05, 0.3)),
        duplication=rng.choice((0.0, 0.1, 0.4)),
        straggling=rng.choice((0.0, 0.05, 0.2)),
    )
