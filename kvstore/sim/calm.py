"""After the storm: the cluster gets well, carries load, and changes its leader when told to.

Law: nothing goes wrong here any more, so everything has a deadline. First the cluster must
become well within `CALM_MS`; then, while clients go on, nothing changes but the data; then
its leader hands over under the same load, and everything is well again at once. In the end a
record of one node changes, and that node is named.
"""

from __future__ import annotations

import random
from functools import partial
from typing import Final

from kvstore import api
from kvstore.sim.calls import Call, Connection
from kvstore.sim.checkers.checker import ViolationError
from kvstore.sim.checkers.liveness import missing_progress
from kvstore.sim.checkers.majority import are_majority
from kvstore.sim.checkers.steadiness import Steadiness, unfit_answers
from kvstore.sim.disk import Fate
from kvstore.sim.host import Host
from kvstore.sim.network import FAIR
from kvstore.sim.world import World

CALM_MS: Final = 15_000.0
"""Simulated time within which a cluster without faults must be well again."""
_LOAD_MS: Final = 1_500.0
_CALLS: Final = 10
"""Of each client, in that time."""
_STEP_MS: Final = 50.0
"""Half a heartbeat. Followers hear with one what is committed: where entries come in a rhythm, like
those that ask for comparisons, rarer looks would keep falling when it is on its way."""
_AFTERWARDS_MS: Final = 4_000.0
"""Within which clients and followers end what they are at, when the load has ended."""
_HANDOVER_MS: Final = 1_000.0
_COMPARISON_MS: Final = 10_000.0
"""Within which states are compared, and who differs is named."""
_ASKING_MS: Final = 1_500.0
"""Within which who asks for a comparison is told what is known of it."""


def end_all_faults(world: World) -> None:
    """End all faults, and let every client ask for what it must now get."""
    world.is_calm = True
    world.network.conditions = FAIR
    world.network.change_links(())
    for host in world.hosts.values():
        host.take_newest_directory()
        host.finish_upgrade()
        host.disk.mend()
        host.resume()
        host.find_damage()
        host.start()
    world.member_operator.bring_all_back()
    gone = {host.id for host in world.hosts.values() if not (host.node or host.can_run)}
    for client in (*world.clients, *world.operators):
        client.leave_out(gone)
        client.insist_on_everything()
    world.member_operator.leave_out(gone)


def recover(world: World) -> None:
    """Raise `ViolationError` unless the cluster becomes well."""
    deadline_ms = world.schedule.now_ms + CALM_MS
    while True:
        world.schedule.run_until(world.schedule.now_ms + _STEP_MS)
        missing = missing_progress(world.hosts.values(), [*world.clients, *world.operators])
        if not missing and _is_settled(world):
            return
        if world.schedule.now_ms >= deadline_ms:
            why = "; ".join(missing) or "what was under way has not ended"
            raise ViolationError("liveness", f"{CALM_MS:.0f} ms after the last fault, {why}")


def _is_settled(world: World) -> bool:
    """Whether nothing is left of the storm: no late message, no long fsync, no handover."""
    running = _running(world)
    leader = _leader(world)
    return (
        max(world.network.late_until_ms, *(host.held_until_ms for host in running))
        <= world.schedule.now_ms
        and leader.running.raft.heir is None
        and all(
            (host.running.raft.current_term, host.running.raft.leader_id)
            == (leader.running.raft.current_term, leader.id)
            for host in running
        )
    )


def _running(world: World) -> list[Host]:
    return [host for host in world.hosts.values() if host.node is not None]


def _leader(world: World) -> Host:
    return next(host for host in _running(world) if host.running.raft.has_committed_in_term)


def carry_load(world: World) -> None:
    """Raise `ViolationError` if anything changes but the data."""
    begun = len(world.history)
    steadiness = Steadiness(host.running for host in _running(world))
    for client in world.clients:
        client.make_calls(_CALLS, _LOAD_MS)
    end_ms = world.schedule.now_ms + _LOAD_MS
    while world.schedule.now_ms < end_ms or not _all_done(world, end_ms):
        world.schedule.run_until(world.schedule.now_ms + _STEP_MS)
        _require_none(steadiness.look(world.schedule.now_ms))
    _require_none(unfit_answers(world.history[begun:]))


def _all_done(world: World, end_ms: float) -> bool:
    for client in world.clients:
        client.stop()
    missing = missing_progress(world.hosts.values(), [*world.clients, *world.operators])
    if missing and world.schedule.now_ms >= end_ms + _AFTERWARDS_MS:
        _require_none([f"{_AFTERWARDS_MS:.0f} ms after the load, {'; '.join(missing)}"])
    return not missing


def compare(world: World, rng: random.Random) -> None:
    """Have all states compared, and once more with one that has changed.

    Raise `ViolationError` unless all are the same first, and that one is named then.
    """
    if world.plan.check_every_ms is None:
        return
    voters = _leader(world).running.raft.log.configuration.voters
    running = [host for host in _running(world) if host.id in voters]
    result = _ask_for_comparison(world)
    if result.differ or not result.is_decided or result.digests.keys() < {h.id for h in running}:
        _require_none([f"all hold the same, and a comparison comes to {result}"])
    victim = rng.choice(running)
    are_enough = are_majority({host.id for host in running} - {victim.id}, tuple(voters))
    if not are_enough or not victim.disk.state.count():
        return
    victim.disk.fates.add(Fate.CHANGED_RECORD)
    deadline_ms = world.schedule.now_ms + _COMPARISON_MS
    while Fate.CHANGED_RECORD in victim.disk.fates or not _is_named(victim):
        if world.schedule.now_ms > deadline_ms:
            _require_none([f"node {victim.id} has a record that changed, and is not named"])
        world.schedule.run_until(world.schedule.now_ms + _STEP_MS)
    recover(world)


def _is_named(host: Host) -> bool:
    return host.running.checking.differs_at in host.disk.state.changed_at


def _ask_for_comparison(world: World) -> api.CheckResult:
    """What who asks the leader is told in the end."""
    deadline_ms = world.schedule.now_ms + _COMPARISON_MS
    since = 0
    while world.schedule.now_ms < deadline_ms:
        told: list[api.Result | None] = []
        request, connection = api.CheckReplicas(since), Connection(_leader(world).id)
        done = partial(_note, told)
        _leader(world).take_call(Call(1, request, connection, world.schedule, 0.0, done))
        world.schedule.run_until(world.schedule.now_ms + _ASKING_MS)
        match told:
            case [api.CheckResult(is_settled=True) as result]:
                return result
            case [api.CheckResult() as so_far]:
                since = so_far.index
            case _:
                _require_none([f"who asks for a comparison is told {told}"])
    raise ViolationError("liveness", f"no comparison ends within {_COMPARISON_MS:.0f} ms")


def _note(told: list[api.Result | None], _call: Call, result: api.Result | None) -> None:
    told.append(result)


def hand_over(world: World, rng: random.Random) -> None:
    """Have another node lead, under load. Raise `ViolationError` unless it does, at once."""
    leader, *others = sorted(_running(world), key=lambda host: not host.is_leading)
    if not others:
        return
    begun = len(world.history)
    term = leader.running.raft.current_term
    told: list[api.Result | None] = []
    heir = rng.choice((None, *(other.id for other in others)))
    call = Call(
        1,
        api.HandOver(heir),
        Connection(leader.id),
        world.schedule,
        0.0,
        partial(_note, told),
    )
    for client in world.clients:
        client.make_calls(_CALLS // 2, _HANDOVER_MS / 2)
    world.schedule.after(rng.uniform(0.0, _HANDOVER_MS / 2), lambda: leader.take_call(call))
    end_ms = world.schedule.now_ms + _HANDOVER_MS
    world.schedule.run_until(end_ms)
    _check_handover(world, told, heir, term + 1)
    while not _all_done(world, end_ms):
        world.schedule.run_until(world.schedule.now_ms + _STEP_MS)
    _require_none(unfit_answers(world.history[begun:], is_moving=True))


def _check_handover(
    world: World, told: list[api.Result | None], heir: int | None, term: int
) -> None:
    leaders = [host for host in _running(world) if host.is_leading]
    expected = [api.HandOverResult(host.id, term) for host in leaders]
    if told != expected or heir not in (None, leaders[0].id):
        _require_none(
            [
                f"who asked to hand over to {heir or 'any node'} was told {told}, after"
                f" {_HANDOVER_MS:.0f} ms; leading are {[host.id for host in leaders]}"
            ]
        )
    terms = {host.id: host.running.raft.current_term for host in _running(world)}
    if set(terms.values()) != {term}:
        _require_none([f"a handover led to terms {terms}, it takes no more than term {term}"])


def _require_none(findings: list[str]) -> None:
    if findings:
        raise ViolationError("while nothing is wrong, nothing changes", "\n".join(findings))
