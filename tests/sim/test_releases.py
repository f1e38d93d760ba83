"""Worlds whose nodes run several releases: what the simulator does to them, and what it notices."""

from __future__ import annotations

import random
from collections import Counter
from types import SimpleNamespace

import msgspec
import pytest
from founding import founders

from kvstore import api
from kvstore.raft.types import Entry, EntryKind, Role
from kvstore.raft.versions import Versions, version_data
from kvstore.sim.checkers.checker import ViolationError
from kvstore.sim.checkers.upgrades import Upgrades
from kvstore.sim.faults import plan_upgrades
from kvstore.sim.releases import Releases
from kvstore.sim.run import Report, run
from kvstore.sim.scenario import Scenario, scenario
from kvstore.sim.trace import Dropped

from .worlds import in_fair_weather

OLD, NEW, NEWEST = Versions(2, 2), Versions(2, 3), Versions(3, 4)
RELEASES = Releases((OLD, NEW, NEWEST), {"putmany": 3, "delete": 4})
STORM_MS = 8_000.0


def story(seed: int, members: int = 3) -> Report:
    """Nodes are upgraded and put back, and nothing else goes wrong."""
    faults = plan_upgrades(random.Random(seed), STORM_MS, 0)
    plan = in_fair_weather(seed, members, faults, clients=4, calls=60, storm_ms=STORM_MS)
    return run(msgspec.structs.replace(plan, releases=RELEASES), traced=True)


def test_nodes_are_upgraded_and_put_back_and_refused_where_the_cluster_is_newer() -> None:
    """Who is refused does as the words say, or would not be well in the end."""
    reached: Counter[str] = Counter()
    for seed in range(30):
        report = story(seed, members=3 + 2 * (seed % 2))
        assert report.violation is None, f"seed {seed}: {report.violation}"
        reached.update(report.reached)
        dropped = [one.why for one in report.trace if isinstance(one, Dropped)]
        reached["no common version"] += sum("speaks protocol 2, node" in why for why in dropped)
        if reached["release refused"] > 2 and reached["no common version"] and seed > 5:
            break
    assert reached["release refused"] > 2
    assert reached["no common version"], "of those who are two releases apart"
    assert reached["version raised"]


def test_a_chance_of_their_own_draws_what_worlds_run() -> None:
    plans = [scenario(seed) for seed in range(200)]
    upgraded = [plan for plan in plans if len(plan.releases.speak) > 1]
    assert 20 < len(upgraded) < 60
    for plan in plans:
        kinds = [fault.kind for fault in plan.faults]
        assert ("other release" in kinds) == (plan in upgraded)
        numbers = [fault.number for fault in plan.faults]
        assert numbers == sorted(set(numbers))
        has_gaps = "member removed" in kinds or plan.loss is not None
        assert numbers == list(range(len(kinds))) or has_gaps


def test_a_request_in_a_session_is_as_young_as_it_is_alone() -> None:
    keys = api.Delete((b"k",))
    assert RELEASES.since_of(keys) == RELEASES.since_of(api.Once(7, 1, keys)) == 4
    assert RELEASES.since_of(api.Once(7, 1, api.Put(b"k", b"v"))) == 0


def test_a_cluster_that_stays_at_its_version_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.raft.leadership.Leadership.raise_version", lambda *_: None)
    report = story(1)
    assert report.theorem == "liveness"
    assert "to node 1 the cluster has version 2, and all speak 4" in str(report.violation)


# --- The checker ------------------------------------------------------------------------------


class Log:
    """The log of all nodes."""

    configuration = founders((1, 2, 3))

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    @property
    def last_index(self) -> int:
        return len(self.entries)

    def slice(self, start: int, stop: int, _bytes_max: int) -> list[Entry]:
        return self.entries[start - 1 : stop - 1]

    def add(self, kind: EntryKind, data: bytes) -> None:
        self.entries.append(Entry(self.last_index + 1, 1, kind, data))


class Host:
    """A machine of a cluster whose log the test writes."""

    def __init__(self, node_id: int, log: Log, checker: Upgrades) -> None:
        self.id = node_id
        self._checker = checker
        self.raft = SimpleNamespace(role=Role.FOLLOWER, current_term=1, log=log)
        self.machine = SimpleNamespace(last_applied=0, cluster_version=2)
        self.running = SimpleNamespace(raft=self.raft, machine=self.machine)

    def start(self, speaks: Versions) -> None:
        self.speaks = speaks
        self._checker.started(self)

    def lead(self) -> None:
        self.raft.role = Role.LEADER
        self._checker.changed(self)

    def propose(self, command: api.Logged) -> None:
        self.raft.log.add(EntryKind.COMMAND, msgspec.msgpack.encode(command))
        self._checker.changed(self)

    def give(self, version: int) -> None:
        self.raft.log.add(EntryKind.VERSION, version_data(version))
        self._checker.changed(self)

    def apply(self, version: int) -> None:
        """All that there is; the cluster has this version to it then."""
        self.machine.last_applied = self.raft.log.last_index
        self.machine.cluster_version = version
        self._checker.changed(self)


@pytest.fixture
def hosts() -> list[Host]:
    """Three of the newer release; the first one leads."""
    log, checker = Log(), Upgrades((1, 2, 3), RELEASES.since_of)
    hosts = [Host(node, log, checker) for node in (1, 2, 3)]
    for host in hosts:
        host.start(NEW)
    hosts[0].lead()
    return hosts


MANY = api.PutMany(((b"a", b"1"),))
alone_and_in_a_session = pytest.mark.parametrize(
    "many", [MANY, api.Stamped(0, api.Once(1, 1, MANY))], ids=["alone", "in a session"]
)


@alone_and_in_a_session
def test_what_needs_a_version_may_be_proposed_where_that_is_applied(
    hosts: list[Host], many: api.Logged
) -> None:
    leader, follower, _ = hosts
    leader.propose(api.Put(b"a", b"0"))
    leader.give(3)
    leader.apply(3)
    leader.propose(many)
    leader.give(2)
    leader.apply(3)
    follower.apply(3)


@alone_and_in_a_session
def test_a_command_that_comes_before_its_version_is_found(
    hosts: list[Host], many: api.Logged
) -> None:
    leader = hosts[0]
    leader.give(3)
    with pytest.raises(ViolationError, match="proposes entry 2, which needs version 3: 2 is"):
        leader.propose(many)


@alone_and_in_a_session
def test_it_is_found_too_if_nobody_saw_it_proposed(hosts: list[Host], many: api.Logged) -> None:
    hosts[0].raft.role = Role.FOLLOWER
    hosts[0].propose(many)
    with pytest.raises(ViolationError, match="entry 1 needs version 3, and the cluster has 2"):
        hosts[1].apply(2)


def test_a_version_that_one_member_does_not_speak_is_found(hosts: list[Host]) -> None:
    hosts[2].start(OLD)
    with pytest.raises(ViolationError, match="version 3 for the cluster, and node 3 speaks 2"):
        hosts[0].give(3)


@pytest.mark.parametrize("version", [2, 4])
def test_a_node_to_which_the_version_is_another_is_found(hosts: list[Host], version: int) -> None:
    hosts[0].give(3)
    with pytest.raises(ViolationError, match=f"has version {version} after entry 1, which is 3"):
        hosts[1].apply(version)


def test_a_version_that_goes_back_is_found(hosts: list[Host]) -> None:
    leader = hosts[0]
    leader.give(3)
    leader.apply(3)
    leader.give(2)
    with pytest.raises(ViolationError, match="has version 2 after entry 2, which is 3"):
        leader.apply(2)


def test_a_node_that_runs_on_though_it_is_too_old_is_found(hosts: list[Host]) -> None:
    hosts[0].give(3)
    hosts[2].start(OLD)
    with pytest.raises(ViolationError, match="node 3 speaks 2 and runs on after entry 1"):
        hosts[2].apply(3)


def test_a_plan_with_releases_is_kept_as_it_is() -> None:
    plan = next(plan for seed in range(99) if (plan := scenario(seed)).releases != Releases())
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Scenario) == plan
