"""What makes a run what it is: everything about it, drawn from one seed.

Law: a value. The same scenario is the same run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from kvstore import api
from kvstore.config.limits import LOG_KEPT_BYTES, Limits
from kvstore.raft.types import LogStart, RaftSettings
from kvstore.sim import faults
from kvstore.sim.faults import Fault
from kvstore.sim.log_start import FIRST
from kvstore.sim.network import FAIR, Conditions
from kvstore.sim.releases import Releases, several


class Loss(msgspec.Struct, frozen=True):
    """When the storm ends, the cluster is lost for good, and an operator recovers what is left.

    * `survivors`: so many directories are left, fewer than a majority.
    * `storm_ms`: of the storm that the recovered cluster goes through.
    """

    survivors: int
    storm_ms: float


class Scenario(msgspec.Struct, frozen=True):
    """Everything that makes a run what it is. The same scenario is the same run."""

    seed: int
    members: tuple[int, ...]
    raft: RaftSettings
    drift: float
    weather: Conditions
    """On all links, when no fault says otherwise."""
    clients: int
    calls: int
    """Of each client, in the storm."""
    storm_ms: float
    faults: tuple[Fault, ...]
    session_clients: int = 0
    """How many of the clients have sessions."""
    session_rules: api.SessionRules = api.SessionRules()
    pipeline_clients: int = 0
    scan_clients: int = 0
    shipped_clients: int = 0
    """Beside the others: users of the client that ships."""
    cursor_clients: int = 0
    """Beside the others: those that SCAN through the Redis door."""
    backup_clients: int = 0
    """Beside the others: those that take backups."""
    txn_clients: int = 0
    """Beside the others: those that transact."""
    operators: int = 0
    limits: Limits = Limits()
    checkpoint_interval_ms: int = 500
    idle_turns: float = 1.0
    """How often a node takes a turn within half a heartbeat, though nothing is due."""
    writes_beside: bool = False
    """Whether nodes take turns while their logs are written; else they wait for the disk."""
    sync_ms: float = 0.2
    """About how long an fsync takes."""
    start: LogStart = FIRST
    """After which the logs of all nodes begin."""
    releases: Releases = Releases()
    """What nodes run, and are upgraded to."""
    log_kept_bytes: int = LOG_KEPT_BYTES
    """Of what is applied and durable: what is more goes from the front of the log."""
    loss: Loss | None = None
    """With one, faults that come after the storm are those of the recovered cluster."""
    check_every_ms: int | None = None
    """How often leaders have the states of all nodes compared; None for never."""


def scenario(seed: int) -> Scenario:
    """The scenario of a seed."""
    rng = random.Random(seed)
    small = RaftSettings(
        append_bytes_max=40,
        append_entries_max=3,
        catch_up_work_max=1,
        inflight_messages_max=2,
        cached_bytes_max=120,
    )
    storm_ms = rng.choice((4_000.0, 8_000.0, 12_000.0))
    plan = Scenario(
        seed=seed,
        members=tuple(range(1, rng.choice((3, 3, 3, 5, 5)) + 1)),
        raft=rng.choice((RaftSettings(), small)),
        drift=rng.choice((0.0, 0.02, 0.2)),
        weather=FAIR if rng.random() < 0.6 else faults.weather(rng),
        clients=rng.randint(2, 7),
        calls=rng.choice((20, 60, 120)),
        storm_ms=storm_ms,
        faults=faults.plan(rng, storm_ms, faults.choose_kinds(rng)),
    )
    # In half of all worlds nobody has a session.
    narrow = api.SessionRules(ttl_ms=rng.choice((300, 1_500)), sessions_max=rng.choice((2, 100)))
    plan = msgspec.structs.replace(
        plan,
        session_clients=min(plan.clients, rng.choice((0, 1, 3, 0))),
        session_rules=rng.choice((api.SessionRules(), narrow)),
        pipeline_clients=rng.choice((0, 1, 2)),
        scan_clients=rng.choice((0, 1)),
        shipped_clients=rng.choice((0, 1)),
        cursor_clients=rng.choice((0, 0, 1)),
        operators=rng.choice((0, 0, 1)),
        limits=Limits(
            headroom_bytes=1 << 20,
            # In one world of four, leaders are soon busy.
            pending_writes_max=2 if seed % 4 == 3 else Limits().pending_writes_max,
            apply_steps_per_turn_max=rng.choice((1, 20, Limits().apply_steps_per_turn_max)),
            reply_bytes_max=rng.choice((400_000, Limits().reply_bytes_max)),
        ),
        checkpoint_interval_ms=rng.choice((50, 500)),
        faults=plan.faults + faults.plan_twice(rng, storm_ms, len(plan.faults)),
        idle_turns=rng.choice((0.0, 0.1, 1.0, 1.0)),
        start=_start(seed),
    )
    plan = _with_divergences(_with_compaction(_with_upgrades(_with_disks(plan))))
    return _with_transactions(_with_backups(_with_loss(_with_checks(_with_members(plan)))))


def _with_upgrades(plan: Scenario) -> Scenario:
    """One world of five has several releases; by a chance of its own, so no other changes."""
    rng = random.Random(f"releases of {plan.seed}")
    if rng.random() >= 0.2:
        return plan
    upgrades = faults.plan_upgrades(rng, plan.storm_ms, len(plan.faults))
    return msgspec.structs.replace(plan, releases=several(rng), faults=plan.faults + upgrades)


def _with_members(plan: Scenario) -> Scenario:
    """In one world of four nodes leave the cluster and come back as new ones; drawn by itself."""
    rng = random.Random(f"who leaves world {plan.seed}")
    if rng.random() >= 0.25:
        return plan
    storm = faults.plan_members(rng, plan.storm_ms, plan.faults)
    return msgspec.structs.replace(plan, faults=storm)


def _with_compaction(plan: Scenario) -> Scenario:
    """In half of all worlds logs keep little, or next to nothing; drawn by itself."""
    rng = random.Random(f"how much of the logs of world {plan.seed} is kept")
    if rng.random() < 0.5:
        return plan
    storm = plan.faults + faults.plan_snapshots(rng, plan.storm_ms, len(plan.faults))
    kept = rng.choice((1, 200, 2_000))
    held = rng.choice((1, 4_000, plan.limits.held_log_bytes_min))
    limits = msgspec.structs.replace(plan.limits, held_log_bytes_min=held)
    return msgspec.structs.replace(plan, log_kept_bytes=kept, limits=limits, faults=storm)


def _with_loss(plan: Scenario) -> Scenario:
    """One world of twelve is lost in the end, if it has one release; drawn by itself."""
    rng = random.Random(f"what is left of world {plan.seed}")
    if rng.random() >= 1 / 12 or len(plan.releases.speak) > 1:
        return plan
    loss = Loss(rng.randint(1, (len(plan.members) - 1) // 2), rng.choice((1_500.0, 3_000.0)))
    storm = faults.plan_after_loss(rng, plan.storm_ms, loss.storm_ms, plan.faults)
    return msgspec.structs.replace(plan, loss=loss, faults=storm)


def _with_divergences(plan: Scenario) -> Scenario:
    """In one world of four nodes find that their states differ; drawn by itself."""
    rng = random.Random(f"whose state differs in world {plan.seed}")
    if rng.random() >= 0.25:
        return plan
    storm = faults.plan_divergences(rng, plan.storm_ms, len(plan.faults))
    return msgspec.structs.replace(plan, faults=plan.faults + storm)


def _with_checks(plan: Scenario) -> Scenario:
    """States are compared in all worlds, and told apart where a record changes; drawn by itself."""
    rng = random.Random(f"how often states of world {plan.seed} are compared")
    first = max((fault.number + 1 for fault in plan.faults), default=0)
    storm = plan.faults + faults.plan_changes(rng, plan.storm_ms, first)
    every_ms = rng.choice((200, 800, 3_000))
    return msgspec.structs.replace(plan, check_every_ms=every_ms, faults=storm)


def _with_backups(plan: Scenario) -> Scenario:
    """In one world of five somebody takes backups; drawn by itself."""
    rng = random.Random(f"who saves world {plan.seed}")
    return msgspec.structs.replace(plan, backup_clients=int(rng.random() < 0.2))


def _with_transactions(plan: Scenario) -> Scenario:
    """In two worlds of five somebody transacts; drawn by itself."""
    rng = random.Random(f"who transacts in world {plan.seed}")
    return msgspec.structs.replace(plan, txn_clients=rng.choice((0, 0, 0, 1, 2)))


def _start(seed: int) -> LogStart:
    """In half of all worlds the first of all; drawn by itself, so that those are as they were."""
    rng = random.Random(f"where the logs of world {seed} begin")
    a_few_hundred = LogStart(rng.randint(100, 900), rng.randint(1, 9))
    later = (LogStart(1, 1), a_few_hundred, LogStart(999_999_999, 3))
    return FIRST if rng.random() < 0.5 else rng.choice(later)


def _with_disks(plan: Scenario) -> Scenario:
    """In four worlds of ten nodes go on while they write, some to slow disks; drawn by itself."""
    rng = random.Random(f"how the logs of world {plan.seed} are written")
    if rng.random() < 0.6:
        return plan
    return msgspec.structs.replace(plan, writes_beside=True, sync_ms=rng.choice((0.2, 3.0, 15.0)))


def only_faults(plan: Scenario, numbers: Sequence[int]) -> Scenario:
    """The scenario with these of its faults only. Raises `ValueError` for one it has not."""
    if unknown := set(numbers) - {fault.number for fault in plan.faults}:
        raise ValueError(f"it has no fault {min(unknown)}")
    kept = tuple(fault for fault in plan.faults if fault.number in numbers)
    return msgspec.structs.replace(plan, faults=kept)
