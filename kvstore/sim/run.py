"""One run: a world goes through a storm and the calm after it, to one verdict.

Law: first the storm, in which nothing may be unsafe; then the calm (`calm`), in which all
faults are gone, and the cluster must get well, and stay so under load. A cluster that is lost
instead goes on as what was recovered of it (`recovered_world`), and that is judged as well.
"""

from __future__ import annotations

import hashlib
import traceback
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Final

import msgspec

from kvstore import api
from kvstore.kv.record import to_key_value
from kvstore.raft.safety import SafetyViolationError
from kvstore.sim import calm
from kvstore.sim.backup_clients import BackupClient
from kvstore.sim.checkers.backed_up import check_backups
from kvstore.sim.checkers.changes import check_changes
from kvstore.sim.checkers.checker import ViolationError
from kvstore.sim.checkers.cursors import check_cursors
from kvstore.sim.checkers.linearizability import check_history
from kvstore.sim.checkers.replicas import compare_replicas
from kvstore.sim.checkers.revisions import check_revisions
from kvstore.sim.checkers.serializability import check_serializability
from kvstore.sim.checkers.session_order import check_session_order
from kvstore.sim.cursor_clients import CursorClient
from kvstore.sim.history import Operation
from kvstore.sim.host import Host
from kvstore.sim.recovered_world import lose, world_after
from kvstore.sim.scenario import Scenario
from kvstore.sim.strikes import strike
from kvstore.sim.trace import ModelStep, Record
from kvstore.sim.world import World

_HANDOVERS: Final = 8
_PAGE: Final = 100


class Report(msgspec.Struct, frozen=True):
    """What came of a run.

    * `theorem`, `violation`: the first promise that was broken, and how; None if all held.
    * `reached`: how often the run came to what.
    * `digest`: equal for equal runs; "" without a trace.
    """

    scenario: Scenario
    theorem: str | None
    violation: str | None
    simulated_ms: float
    reached: dict[str, int]
    operations: int
    digest: str = ""
    trace: tuple[Record, ...] = ()
    model_steps: tuple[ModelStep, ...] = ()


def run(plan: Scenario, *, traced: bool = False, modelled: bool = False) -> Report:
    """Run a scenario to its end, or to the first broken promise."""
    trace: list[Record] | None = [] if traced else None
    model_steps: list[ModelStep] | None = [] if modelled else None
    lives: list[World] = []
    theorem = violation = None
    try:
        for world in _worlds(plan, trace, model_steps):
            lives.append(world)
            go_through(world)
            _judge(world)
    except ViolationError as broken:
        theorem, violation = broken.theorem, str(broken)
    except SafetyViolationError as broken:
        theorem, violation = "invariants of the core", str(broken)
    except Exception as error:
        # Also an assertion in the code under test is a broken promise.
        theorem = f"no {type(error).__name__}"
        said = str(error) or traceback.extract_tb(error.__traceback__)[-1].line
        violation = f"{theorem}: {said}\n{traceback.format_exc()}"
    reached = sum((world.observer.reached for world in lives), Counter[str]())
    history = [*chain.from_iterable(world.history for world in lives)]
    return Report(
        scenario=plan,
        theorem=theorem,
        violation=violation,
        simulated_ms=lives[-1].schedule.now_ms,
        reached=dict(reached),
        operations=len(history),
        digest=_digest(trace, history) if trace else "",
        trace=tuple(trace or ()),
        model_steps=tuple(model_steps or ()),
    )


def _worlds(
    plan: Scenario, trace: list[Record] | None, model_steps: list[ModelStep] | None
) -> Iterator[World]:
    """That of the plan, and the one that comes of it if it is lost; each when it has ended."""
    world = World(plan, trace, model_steps)
    yield world
    if plan.loss is not None:
        following = world_after(world, plan.loss, trace)
        if following is not None:
            yield following


def go_through(world: World) -> None:
    """The storm, then the calm, or the end. Raises `ViolationError` if a promise is broken."""
    plan, schedule = world.plan, world.schedule
    begun_ms = schedule.now_ms
    world.begin()
    for fault in plan.faults:
        if plan.loss is None or fault.at_ms < plan.storm_ms:
            schedule.after(fault.at_ms, partial(strike, world, fault))
    for client in world.clients:
        client.make_calls(plan.calls, plan.storm_ms)
    for operator in world.operators:
        operator.make_calls(_HANDOVERS, plan.storm_ms)
    schedule.run_until(begun_ms + plan.storm_ms)
    if plan.loss is not None:
        lose(world)
        return
    calm.end_all_faults(world)
    calm.recover(world)
    calm.carry_load(world)
    calm.hand_over(world, world.handovers)
    calm.compare(world, world.handovers)


def _judge(world: World) -> None:
    """What can be said only at the end."""
    running = [host for host in world.hosts.values() if host.node is not None]
    fresh = [one for one in world.history if not one.is_stale]
    of_keys = [*_found(world), *(one for one in fresh if one.names_its_keys)]
    shown = [*world.history, *chain.from_iterable(map(_everything, running))]
    pages = [client.pages for client in world.clients if isinstance(client, CursorClient)]
    for theorem, findings in (
        ("replicas are equal", compare_replicas(running)),
        ("linearizability", check_history(of_keys)),
        ("strict serializability", check_serializability(shown, world.replay)),
        ("revisions agree", check_revisions(fresh)),
        ("connections keep their order", check_session_order(fresh)),
        (
            "members are changed as asked for",
            check_changes(fresh, world.founders, world.installed.entries),
        ),
        ("a backup is the state as of its index", _wrong_backups(world)),
        ("cursors lead on", check_cursors(chain.from_iterable(pages))),
    ):
        if findings:
            raise ViolationError(theorem, "\n".join(findings))


def _wrong_backups(world: World) -> list[str]:
    clients = [client for client in world.clients if isinstance(client, BackupClient)]
    backups = [*chain.from_iterable(client.backups for client in clients)]
    world.observer.reached["backup"] += len(backups)
    return check_backups(
        backups,
        world.cluster_id,
        world.began_with,
        world.founders,
        world.installed.entries,
        world.plan.session_rules,
    )


def _found(world: World) -> Iterator[Operation]:
    """What was there before the first request, as if somebody had written it just before."""
    for key, stored in world.began_with.new_state("found").scan(b""):
        record = to_key_value(key, stored)
        told = api.PutResult(record.mod_revision, written=True)
        yield Operation(0, -1.0, -1.0, api.Put(key, record.value), told)


def _everything(host: Host) -> Iterator[Operation]:
    """What a node holds, as if somebody had asked it for all of its keys."""
    scan = api.Scan(limit=_PAGE)
    while True:
        page = host.running.answer(scan)
        assert isinstance(page, api.ScanResult)
        yield Operation(0, host.now_ms, host.now_ms, scan, page, is_stale=True)
        if page.next_start is None:
            return
        scan = msgspec.structs.replace(scan, start=page.next_start)


def _digest(trace: list[Record], history: list[Operation]) -> str:
    return hashlib.blake2b(msgspec.msgpack.encode((trace, history)), digest_size=8).hexdigest()
