"""Where a nemesis acts: a cluster, its clients, and chance.

Law: chance comes from the seed alone, and each nemesis has its own of it, so what one draws does
not change what the next one does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from process.cluster import eventually
from process.history import now
from process.workload import check_disks

from kvstore import Client

from .cluster import ChaosCluster
from .network import Network
from .workload import Chatter

_PATIENCE_MS = 30_000


@dataclass
class Stage:
    """Where a nemesis acts."""

    cluster: ChaosCluster
    chatter: Chatter
    seed: int
    say: Callable[[str], None] = field(default=lambda _text: None)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    def prepare(self) -> None:
        """Have a cluster that works, with enough data that a snapshot takes its time."""
        self.recover()
        self.chatter.write_bulk()

    @property
    def network(self) -> Network:
        assert self.cluster.network is not None, "this nemesis needs a network: run it as root"
        return self.cluster.network

    def leader_and_followers(self) -> tuple[int, list[int]]:
        """The followers in random order."""
        leader = self.cluster.wait_for_leader()
        followers = [node_id for node_id in self.cluster.nodes if node_id != leader]
        self.rng.shuffle(followers)
        return leader, followers

    def victims(self) -> list[int]:
        """The leader, a follower, as many as a minority may be, or all."""
        leader, followers = self.leader_and_followers()
        minority = (len(self.cluster.nodes) - 1) // 2
        everybody = [leader, *followers]
        return self.rng.choice([[leader], followers[:1], followers[:minority], everybody])

    def operator(self) -> Client:
        """A client that any node will do for, with the patience of people."""
        return Client([self.cluster.address(one) for one in self.cluster.nodes], _PATIENCE_MS)

    def let_clients_feel_it(self, victims: Iterable[int] = ()) -> None:
        """Until some requests have succeeded; or have failed, if no majority is left."""
        until = now() + self._duration_s()
        if 2 * len(set(victims)) < len(self.cluster.nodes):
            self.chatter.wait_for_writes(self.rng.randrange(5, 60), since=now())
        else:
            self.let_clients_try()
        eventually(lambda: now() > until, "the fault has lasted")

    def let_clients_try(self) -> None:
        """Until some requests have ended, no matter how."""
        history, until = self.chatter.history, now() + self._duration_s()
        goal = history.attempts + self.rng.randrange(5, 30)
        eventually(
            lambda: self.chatter.failed or (history.attempts >= goal and now() > until),
            "clients try",
        )

    def _duration_s(self) -> float:
        """How long a fault lasts at least: from a hiccup to several elections."""
        return self.rng.choice([0.05, 0.3, 1.0, 2.5])

    def find_in_disks(self, victims: Iterable[int]) -> list[str]:
        """What is wrong on the disks of nodes that do not run, and what they said and lost."""
        reports = self.cluster.reports()
        damage = [finding for node_id in victims for finding in reports[node_id].findings]
        return damage + check_disks(self.cluster, self.chatter.history)

    def recover(self) -> None:
        """Heal the network, and wait until all nodes agree and clients are served."""
        self.cluster.heal()
        self.cluster.wait_for_leader()
        self.chatter.wait_for_writes(5, since=now())


def cut_power_of(stage: Stage, victims: list[int]) -> None:
    cluster = stage.cluster
    stage.say(f"cuts the power of {victims}")
    cluster.cut_power(*victims)
    findings = stage.find_in_disks(victims)
    assert not findings, "after a power cut: " + "; ".join(findings)
    stage.let_clients_feel_it(victims)
    cluster.restart(*victims)
