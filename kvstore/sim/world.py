"""One run: a cluster, its clients and a plan of faults, from one seed to one verdict.

Law: first the storm, in which nothing may be unsafe; then the calm (`calm`), in which all
faults are gone, and the cluster must get well, and stay so under load.
"""

from __future__ import annotations

import hashlib
import random
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Final

import msgspec

from kvstore import api
from kvstore.address import Address
from kvstore.config import Limits, Settings
from kvstore.raft.messages import Message
from kvstore.raft.safety import SafetyViolationError
from kvstore.raft.types import RaftSettings
from kvstore.sim import calm, faults
from kvstore.sim.checkers import STEPWISE
from kvstore.sim.checkers.checker import ViolationError
from kvstore.sim.checkers.cursors import check_cursors
from kvstore.sim.checkers.effects import check_effects
from kvstore.sim.checkers.linearizability import check_history
from kvstore.sim.checkers.pages import check_pages
from kvstore.sim.checkers.replay import Replay
from kvstore.sim.checkers.replicas import compare_replicas
from kvstore.sim.checkers.revisions import check_revisions
from kvstore.sim.checkers.session_order import check_session_order
from kvstore.sim.clients import Client
from kvstore.sim.cursor_clients import CursorClient
from kvstore.sim.faults import Fault
from kvstore.sim.history import Operation
from kvstore.sim.host import Clock, Host
from kvstore.sim.network import FAIR, Conditions, Network
from kvstore.sim.observer import Observer
from kvstore.sim.operators import Operator
from kvstore.sim.pipeline_clients import PipelineClient
from kvstore.sim.scan_clients import ScanClient
from kvstore.sim.schedule import Schedule
from kvstore.sim.session_clients import SessionClient
from kvstore.sim.shipped_clients import ShippedClient
from kvstore.sim.trace import ModelStep, Record

_HANDOVERS: Final = 8
_PAGE: Final = 100
_RESTART_MS: Final = (20.0, 2_000.0)


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
    operators: int = 0
    limits: Limits = Limits()
    checkpoint_interval_ms: int = 500


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
    return msgspec.structs.replace(
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
    )


def only_faults(plan: Scenario, numbers: Sequence[int]) -> Scenario:
    """The scenario with these of its faults only. Raises `ValueError` for one it has not."""
    if unknown := set(numbers) - {fault.number for fault in plan.faults}:
        raise ValueError(f"it has no fault {min(unknown)}")
    kept = tuple(fault for fault in plan.faults if fault.number in numbers)
    return msgspec.structs.replace(plan, faults=kept)


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


class World:
    """The cluster, its clients, and everything between and around them."""

    def __init__(
        self,
        plan: Scenario,
        trace: list[Record] | None = None,
        model_steps: list[ModelStep] | None = None,
    ) -> None:
        self.plan = plan
        self.members = plan.members
        self.schedule = Schedule()
        self.history: list[Operation] = []
        self._client_numbers = count(1)
        self.is_calm = False
        """All faults are over."""
        self._rng = random.Random(plan.seed)
        record = None if trace is None else trace.append
        self._replay = Replay(plan.members)
        checkers = [checker(plan.members) for checker in STEPWISE]
        checkers.append(self._replay)
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
        self._handovers = self._fork()

    def _make_clients(self) -> list[Client]:
        plan = self.plan
        kinds: list[type[Client]] = [SessionClient] * plan.session_clients
        kinds += [ScanClient] * plan.scan_clients + [PipelineClient] * plan.pipeline_clients
        kinds += [Client] * plan.clients
        kinds[plan.clients :] = [ShippedClient] * plan.shipped_clients
        kinds += [CursorClient] * plan.cursor_clients
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

    def _fork(self) -> random.Random:
        """A source of chance of its own, so that who draws more disturbs nobody else."""
        return random.Random(self._rng.getrandbits(64))

    def _make_host(self, node: int) -> Host:
        settings = Settings(
            node_id=node,
            members={peer: Address("sim", 9_000 + peer) for peer in self.members},
            cluster_id="simulated",
            data_dir=Path("nowhere"),
            raft=self.plan.raft,
            limits=self.plan.limits,
            request_timeout_ms=2_000,
            checkpoint_interval_ms=self.plan.checkpoint_interval_ms,
        )
        clock = Clock(self._fork(), self.plan.drift)
        return Host(
            settings,
            self.schedule,
            self.network.send,
            self.observer,
            self._fork(),
            clock,
            self._restart_later,
            self._down,
            self.plan.session_rules,
        )

    def _deliver(self, message: Message, life: int) -> str | None:
        recipient, sender = self.hosts[message.recipient], self.hosts[message.sender]
        if why := recipient.reason_to_hang_up(sender, life, message):
            return why
        recipient.take_message(message)
        return None

    def _down(self) -> set[int]:
        """Machines that refuse whoever dials them, as no node runs there."""
        return {host.id for host in self.hosts.values() if host.node is None}

    def _restart_later(self, host: Host) -> None:
        self.schedule.after(self._restarts.uniform(*_RESTART_MS), host.start)

    # --- The run --------------------------------------------------------------------------

    def run(self) -> None:
        """Raises `ViolationError` if a promise is broken."""
        for host in self.hosts.values():
            host.start()
        for fault in self.plan.faults:
            self.schedule.after(fault.at_ms, partial(self._strike, fault))
        for client in self.clients:
            client.make_calls(self.plan.calls, self.plan.storm_ms)
        for operator in self.operators:
            operator.make_calls(_HANDOVERS, self.plan.storm_ms)
        self.schedule.run_until(self.plan.storm_ms)
        self._calm_down()
        calm.recover(self)
        calm.carry_load(self)
        calm.hand_over(self, self._handovers)
        self._judge()

    def _strike(self, fault: Fault) -> None:
        self.observer.reached[f"fault: {fault.kind}"] += 1
        fault.strike(self)

    def _calm_down(self) -> None:
        """End all faults, and let every client ask for what it must now get."""
        self.is_calm = True
        self.network.conditions = FAIR
        self.network.change_links(())
        for host in self.hosts.values():
            host.take_newest_directory()
            host.disk.mend()
            host.resume()
            host.find_damage()
            host.start()
        gone = {host.id for host in self.hosts.values() if host.node is None}
        for client in (*self.clients, *self.operators):
            client.leave_out(gone)
            client.insist_on_everything()

    def _judge(self) -> None:
        """What can be said only at the end."""
        running = [host for host in self.hosts.values() if host.node is not None]
        fresh = [one for one in self.history if not one.is_stale]
        of_keys = [one for one in fresh if one.names_its_keys]
        shown = [*self.history, *chain.from_iterable(map(_everything, running))]
        pages = [client.pages for client in self.clients if isinstance(client, CursorClient)]
        for theorem, findings in (
            ("replicas are equal", compare_replicas(running)),
            ("linearizability", check_history(of_keys)),
            ("revisions follow real time", check_revisions(fresh)),
            ("connections keep their order", check_session_order(fresh)),
            ("reads show what was there", check_pages(shown, self._replay.contents)),
            ("cursors lead on", check_cursors(chain.from_iterable(pages))),
            ("writes do what is told", check_effects(fresh, self._replay)),
        ):
            if findings:
                raise ViolationError(theorem, "\n".join(findings))


def _everything(host: Host) -> Iterator[Operation]:
    """What a node holds, as if somebody had asked it for all of its keys."""
    scan = api.Scan(limit=_PAGE)
    while True:
        page = host.running.answer(scan)
        assert isinstance(page, api.ScanResult)
        yield Operation(0, host.now_ms, host.now_ms, scan, page)
        if page.next_start is None:
            return
        scan = msgspec.structs.replace(scan, start=page.next_start)


def run(plan: Scenario, *, traced: bool = False, modelled: bool = False) -> Report:
    """Run a scenario to its end, or to the first broken promise."""
    trace: list[Record] | None = [] if traced else None
    model_steps: list[ModelStep] | None = [] if modelled else None
    world = World(plan, trace, model_steps)
    theorem = violation = None
    try:
        world.run()
    except ViolationError as broken:
        theorem, violation = broken.theorem, str(broken)
    except SafetyViolationError as broken:
        theorem, violation = "invariants of the core", str(broken)
    except Exception as error:
        # Also an assertion in the code under test is a broken promise.
        theorem = f"no {type(error).__name__}"
        said = str(error) or traceback.extract_tb(error.__traceback__)[-1].line
        violation = f"{theorem}: {said}\n{traceback.format_exc()}"
    return Report(
        scenario=plan,
        theorem=theorem,
        violation=violation,
        simulated_ms=world.schedule.now_ms,
        reached=dict(world.observer.reached),
        operations=len(world.history),
        digest=_digest(trace, world.history) if trace else "",
        trace=tuple(trace or ()),
        model_steps=tuple(model_steps or ()),
    )


def _digest(trace: list[Record], history: list[Operation]) -> str:
    return hashlib.blake2b(msgspec.msgpack.encode((trace, history)), digest_size=8).hexdigest()
