"""What an operator makes of a cluster that is lost for good: another one, in a world of its own.

Law: the best of the directories that are left is recovered, as a whole or, by who is interrupted,
not at all. Nodes of the lost cluster may come back where they were, with what they had; nothing
that they say is heard in the new one, nor the other way round. Then they are stopped, and the new
cluster is given as many members as the old one had.
"""

from __future__ import annotations

import random
from typing import Final, NamedTuple

import msgspec

from kvstore.errors import StorageError
from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.raft.messages import Message
from kvstore.raft.types import HardState, LogStart
from kvstore.recovery import Recovery, prospect_of, recover
from kvstore.sim.checkers.checker import ViolationError
from kvstore.sim.checkers.recovered import Lost, agreed_index, check_recovery, look_at
from kvstore.sim.disk import Disk, Fate, PowerCutError
from kvstore.sim.host import Host
from kvstore.sim.log_start import Beginning
from kvstore.sim.observer import Observer
from kvstore.sim.scenario import Loss, Scenario
from kvstore.sim.trace import Record
from kvstore.sim.world import World
from kvstore.storage.base import Identity
from kvstore.storage.survivor import Survivor

_STEP_MS: Final = 250.0
_PATIENCE_MS: Final = 30_000.0
"""Within which the last client has given up on a cluster that is gone."""
_CALLS_MAX: Final = 20
_SEEDS_APART: Final = 1 << 40


def lose(world: World) -> None:
    """All nodes end at once, for good; every client comes to know that it knows no more."""
    schedule = world.schedule
    world.is_calm = True
    for host in world.hosts.values():
        host.retire("the cluster is lost")
    callers = (*world.clients, *world.operators, world.member_operator)
    gives_up_ms = schedule.now_ms + _PATIENCE_MS
    for client in callers:
        client.give_up()
    while not all(client.is_done for client in callers):
        schedule.run_until(schedule.now_ms + _STEP_MS)
        if schedule.now_ms > gives_up_ms:
            raise ViolationError("liveness", "a client asks for ever what nobody can answer")


def world_after(world: World, loss: Loss, trace: list[Record] | None) -> World | None:
    """The world after the recovery, None if nothing can be made of what is left.

    Raises `ViolationError` if what was recovered is not what it should be.
    """
    rng = random.Random(f"what survives of world {world.plan.seed}")
    disks = {node: host.disk for node, host in world.hosts.items()}
    survivors = rng.sample(world.members, loss.survivors)
    for disk in disks.values():
        disk.mend()
    # What was in the stores before is what a node of the lost cluster may come back with.
    for node in sorted(survivors, key=lambda one: _worth(disks[one]), reverse=True):
        begun = _recover(world, disks[node], rng)
        if begun is not None:
            world.observer.reached["recovery"] += 1
            old = {one: disk for one, disk in disks.items() if one != node and rng.random() < 0.6}
            return RecoveredWorld(_plan_of(world, loss, begun), trace, begun, node, old, world)
        world.observer.reached["directory of no use"] += 1
    return None


class SurvivingDisk(Survivor):
    """A disk on which no node runs."""

    def __init__(self, disk: Disk) -> None:
        super().__init__("a simulated disk", disk.log, disk.state, disk.log.recover())
        self.disk = disk

    def replace(
        self,
        identity: Identity,
        hard_state: HardState,
        configuration: Configuration,
        applied: Applied,
    ) -> None:
        """Make it the directory of another cluster."""
        records = [*self.outliving_records()]
        start = LogStart(self.last_index, self.last_term)
        self.disk.replace(identity, hard_state, start, configuration, applied, records)


def _worth(disk: Disk) -> tuple[int, int]:
    """By what an operator chooses: term and index of the last entry that can be read."""
    try:
        found = SurvivingDisk(disk)
    except StorageError:
        return (0, 0)
    return found.last_term, found.last_index


class _Begun(NamedTuple):
    """How the new cluster begins."""

    cluster_id: str
    began_with: Beginning
    disk: Disk


def _recover(world: World, disk: Disk, rng: random.Random) -> _Begun | None:
    """What is made of a directory, None if nothing can be."""
    found, lost, rules = look_at(disk), _lost(world), world.plan.session_rules
    if rng.random() < 0.3:
        disk.fates.add(Fate.CUT_IN_APPLY)
    try:
        survivor = SurvivingDisk(disk)
        prospect = prospect_of(survivor)
        recovery = recover(survivor, rng.randbytes, rules)
    except PowerCutError:
        world.observer.reached["recovery interrupted"] += 1
        disk.crash()
        return _recover(world, disk, rng)
    except StorageError:
        disk.crash()
        return None
    if findings := check_recovery(found, lost, prospect, recovery, disk):
        raise ViolationError("a recovery keeps what it says", "\n".join(findings))
    agreed = agreed_index(found, lost.committed)
    world.observer.reached["recovery without what is committed"] += agreed < lost.committed.last
    world.observer.reached["recovery with more than that"] += agreed < survivor.last_index
    return _made_of(disk, recovery)


def _made_of(disk: Disk, recovery: Recovery) -> _Begun:
    records = tuple(pair for table in disk.state.tables for pair in table.committed())
    began_with = Beginning(disk.log.start, disk.state.applied(), records)
    return _Begun(recovery.cluster_id, began_with, disk)


def _lost(world: World) -> Lost:
    terms = [host.disk.log.hard_state.current_term for host in world.hosts.values()]
    revision = world.replay.made_by.last
    committed, rules = world.installed.entries, world.plan.session_rules
    return Lost(world.began_with, committed, max(terms), revision, rules)


def _plan_of(world: World, loss: Loss, begun: _Begun) -> Scenario:
    plan = world.plan
    later = tuple(
        msgspec.structs.replace(fault, at_ms=fault.at_ms - plan.storm_ms)
        for fault in plan.faults
        if fault.at_ms >= plan.storm_ms
    )
    # Who is alone decides by its own disk. If it waited for that, it would have decided in the turn
    # that writes, before the simulated fsync returns.
    return msgspec.structs.replace(
        plan,
        writes_beside=True,
        seed=plan.seed + _SEEDS_APART,
        start=begun.began_with.start,
        calls=min(plan.calls, _CALLS_MAX),
        storm_ms=loss.storm_ms,
        faults=later,
        loss=None,
    )


class RecoveredWorld(World):
    """The recovered cluster, and beside it nodes of the one that was lost.

    * `_old`: those, by the ids of the new nodes in whose places they run until then.
    """

    def __init__(
        self,
        plan: Scenario,
        trace: list[Record] | None,
        begun: _Begun,
        founder: int,
        old: dict[int, Disk],
        lost: World,
    ) -> None:
        super().__init__(
            plan,
            trace,
            cluster_id=begun.cluster_id,
            began_with=begun.began_with,
            now_ms=lost.schedule.now_ms,
        )
        self.founders = begun.disk.log.configuration
        self._founder = self.hosts[founder]
        self._founder.begin_with(begun.disk)
        for node, host in self.hosts.items():
            if node != founder:
                host.begin_empty()
        self._old_id = lost.cluster_id
        nobody = Observer(self.schedule, (), None, None)
        self._old = {node: self._comes_back(node, disk, nobody) for node, disk in old.items()}

    def _comes_back(self, node: int, directory: Disk, observer: Observer) -> Host:
        settings = msgspec.structs.replace(self._settings_of(node), cluster_id=self._old_id)
        host = self._host_of(settings, observer, self.plan)
        host.begin_with(directory)
        return host

    def begin(self) -> None:
        """The recovered node starts, and those of the lost cluster that come back."""
        self._founder.start()
        for host in self._old.values():
            host.start()
        share = self._fork().uniform(0.1, 0.6)
        self.schedule.after(share * self.plan.storm_ms, self._bring_members)

    def _bring_members(self) -> None:
        """What is left of the lost cluster is stopped, and all other nodes join the new one."""
        for host in self._old.values():
            host.retire("an operator stops it")
        self.member_operator.bring_all_back()

    def _deliver(self, message: Message, life: int) -> str | None:
        """Whoever runs at the recipient's address hears it."""
        is_old = message.cluster_id == self._old_id
        sender = (self._old if is_old else self.hosts)[message.sender]
        old = self._old.get(message.recipient)
        recipient = self.hosts[message.recipient] if old is None or old.node is None else old
        if why := recipient.reason_to_hang_up(sender, life, message):
            if is_old != (recipient is old):
                self.observer.reached["message of another cluster refused"] += 1
            return why
        if recipient.node is not None and is_old != (recipient is old):
            raise ViolationError(
                "nothing counts that another cluster says",
                f"node {recipient.id} hears node {sender.id} of cluster {message.cluster_id}",
            )
        recipient.take_message(message)
        return None
