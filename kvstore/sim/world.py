"""One world: a cluster, its clients and operators, and everything between and around them.

Law: it stands still until somebody lets its schedule run, and knows no fault.
"""

from __future__ import annotations

import random
from itertools import count
from pathlib import Path
from typing import Final

from kvstore.address import Address
from kvstore.config.settings import Settings
from kvstore.raft.configuration import Configuration
from kvstore.raft.messages import Message
from kvstore.sim.backup_clients import BackupClient
from kvstore.sim.checkers import STEPWISE
from kvstore.sim.checkers.installed import Installed
from kvstore.sim.checkers.replay import Replay
from kvstore.sim.checkers.upgrades import Upgrades
from kvstore.sim.clients import Client
from kvstore.sim.clock import Clock
from kvstore.sim.cursor_clients import CursorClient
from kvstore.sim.history import Operation
from kvstore.sim.host import Host
from kvstore.sim.log_start import Beginning, empty_as_of
from kvstore.sim.member_operator import MemberOperator
from kvstore.sim.network import Network
from kvstore.sim.observer import Observer
from kvstore.sim.operators import Operator
from kvstore.sim.pipeline_clients import PipelineClient
from kvstore.sim.scan_clients import ScanClient
from kvstore.sim.scenario import Scenario
from kvstore.sim.schedule import Schedule
from kvstore.sim.session_clients import SessionClient
from kvstore.sim.shipped_clients import ShippedClient
from kvstore.sim.trace import ModelStep, Record
from kvstore.sim.txn_clients import TxnClient

_RESTART_MS: Final = (20.0, 2_000.0)
_NOBODY: Final = frozenset[int]()


class World:
    """The cluster, its clients, and everything between and around them."""

    def __init__(
        self,
        plan: Scenario,
        trace: list[Record] | None = None,
        model_steps: list[ModelStep] | None = None,
        *,
        cluster_id: str = "simulated",
        began_with: Beginning | None = None,
        now_ms: float = 0.0,
    ) -> None:
        """`began_with`: what its logs begin with; if not said, nothing is left of that."""
        self.plan = plan
        self.members = plan.members
        self.cluster_id = cluster_id
        self.began_with = began_with or empty_as_of(plan.start)
        self.founders = Configuration.of_founders(
            {one: f"sim:{9_000 + one}" for one in plan.members}
        )
        """The members before anything happens."""
        self.schedule = Schedule(now_ms)
        self.history: list[Operation] = []
        self._client_numbers = count(1)
        self.is_calm = False
        """All faults are over."""
        self._rng = random.Random(plan.seed)
        record = None if trace is None else trace.append
        self.replay = Replay(plan.members, self.began_with)
        """What the log says should be there."""
        self.installed = Installed(plan.members, self.began_with)
        """What was applied, entry by entry."""
        checkers = [checker(plan.members, plan.start) for checker in STEPWISE]
        checkers += [self.installed, self.replay]
        if len(plan.releases.speak) > 1:
            checkers.append(Upgrades(plan.members, plan.releases.since_of))
        self.observer = Observer(
            self.schedule,
            checkers,
            record,
            None if model_steps is None else model_steps.append,
        )
        self.network = Network(self.schedule, self._fork(), plan.weather, self._deliver, record)
        self.hosts = {node: self._make_host(node) for node in plan.members}
        self._record = record
        self.clients = self._make_clients()
        self.operators: list[Client] = [self._make_client(Operator) for _ in range(plan.operators)]
        self._restarts = self._fork()
        self.handovers = self._fork()
        """The chance of who leads in the end."""
        self.member_operator = self._make_member_operator()

    def _make_clients(self) -> list[Client]:
        plan = self.plan
        kinds: list[type[Client]] = [SessionClient] * plan.session_clients
        kinds += [ScanClient] * plan.scan_clients + [PipelineClient] * plan.pipeline_clients
        kinds += [Client] * plan.clients
        kinds[plan.clients :] = [ShippedClient] * plan.shipped_clients
        kinds += [CursorClient] * plan.cursor_clients + [BackupClient] * plan.backup_clients
        kinds += [TxnClient] * plan.txn_clients
        return [self._make_client(kind) for kind in kinds]

    def _make_client(self, kind: type[Client]) -> Client:
        number = next(self._client_numbers)
        return kind(
            number,
            self.hosts,
            self.schedule,
            self._fork(),
            self.history.append,
            self._record,
        )

    def _make_member_operator(self) -> MemberOperator:
        return MemberOperator(
            next(self._client_numbers),
            self.hosts,
            self.schedule,
            self._fork(),
            self.history.append,
            self._record,
        )

    def _fork(self) -> random.Random:
        """A source of chance of its own, so that who draws more disturbs nobody else."""
        return random.Random(self._rng.getrandbits(64))

    def _make_host(self, node: int) -> Host:
        return self._host_of(self._settings_of(node), self.observer, self.plan)

    def _settings_of(self, node: int) -> Settings:
        return Settings(
            node_id=node,
            members={peer: Address("sim", 9_000 + peer) for peer in self.members},
            cluster_id=self.cluster_id,
            data_dir=Path("nowhere"),
            raft=self.plan.raft,
            limits=self.plan.limits,
            request_timeout_ms=2_000,
            checkpoint_interval_ms=self.plan.checkpoint_interval_ms,
            log_kept_bytes=self.plan.log_kept_bytes,
            check_every_ms=self.plan.check_every_ms,
        )

    def _host_of(self, settings: Settings, observer: Observer, plan: Scenario) -> Host:
        clock = Clock(self._fork(), plan.drift)
        return Host(
            settings,
            self.schedule,
            self.network.send,
            observer,
            self._fork(),
            clock,
            self._restart_later,
            self._down,
            plan,
        )

    def begin(self) -> None:
        """All nodes start."""
        for host in self.hosts.values():
            host.start()

    def _deliver(self, message: Message, life: int) -> str | None:
        recipient, sender = self.hosts[message.recipient], self.hosts[message.sender]
        if why := recipient.reason_to_hang_up(sender, life, message):
            return why
        recipient.take_message(message)
        return None

    def _down(self) -> frozenset[int]:
        """Machines that refuse whoever dials them, as no node runs there."""
        for host in self.hosts.values():
            if host.node is None:
                return frozenset(one.id for one in self.hosts.values() if one.node is None)
        return _NOBODY

    def _restart_later(self, host: Host) -> None:
        self.schedule.after(self._restarts.uniform(*_RESTART_MS), host.start)
