"""The server: one thread, one selector, and the only clock.

Law: persist, then speak, once per turn. Peers are heard before clients, so that
a node that wakes under an old term is fenced before it takes another request.
A storage error ends the process: after a failed write nobody knows what the
disk holds, so no reply may leave.
"""

from __future__ import annotations

import contextlib
import gc
import random
import resource
import secrets
import selectors
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial

import msgspec
from structlog.typing import FilteringBoundLogger

from kvstore.config.settings import Settings
from kvstore.errors import DamagedStateError
from kvstore.exit_codes import BROKEN
from kvstore.logs import logger_for
from kvstore.raft.configuration import Configuration
from kvstore.raft.safety import SafetyViolationError
from kvstore.raft.versions import SPOKEN, Versions
from kvstore.server import event_log
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.connection import Connection
from kvstore.server.context import Context
from kvstore.server.listener import Listener, bind, listen
from kvstore.server.node import Node, Outcome
from kvstore.server.peers import PeerLink, Peers
from kvstore.server.replaced import replaced_at
from kvstore.server.signals import Signals, Stopped
from kvstore.server.starting import ApplyLog, StartLog
from kvstore.server.stream import Owner
from kvstore.server.sync_times import SyncTimes, TimedLog
from kvstore.server.ticket import Answer
from kvstore.server.turn import Turn
from kvstore.storage.base import Lineage
from kvstore.storage.directory import DataDirectory, give_up_state, open_directory
from kvstore.storage.records import FORMAT_VERSION, START_BYTES
from kvstore.version import version


def serve(read_settings: Callable[[], Settings]) -> int:
    """Run a node until SIGTERM, SIGINT or SIGHUP; the exit code, 70 if a promise of Raft is broken.

    Signals are heard before the settings are read, as a file of them may be a pipe. Raises
    `ConfigError` if they are wrong, or the port cannot be had, and `StorageError` if the
    directory cannot be used, or stopped being usable.
    """
    log = logger_for()
    try:
        with Signals(_clock_ms, log) as signals:
            signals.hear_what_was_held()
            settings = read_settings()
            log = logger_for(settings.node_id)
            # The address comes first, as one that is in use is told at once; callers come last.
            with bind(settings.listens_at) as sock:
                exit_code = _run(settings, signals, sock, log)
            if not exit_code:
                log.info("stopped", code="stopped")
            return exit_code
    except Stopped:
        log.info("stopped while it was starting, as it was told to", code="stopped")
        return 0


def _run(
    settings: Settings, signals: Signals, sock: socket.socket, log: FilteringBoundLogger
) -> int:
    log.info(
        f"kvstore {version()}: directories of format {FORMAT_VERSION}, protocol {SPOKEN}",
        code="program",
        version=version(),
        format_version=FORMAT_VERSION,
        speaks=[SPOKEN.oldest, SPOKEN.newest],
    )
    with contextlib.closing(_open_directory(settings, log)) as directory:
        # One that was restored has another than its members' default.
        cluster_id = directory.log.identity.cluster_id
        settings = msgspec.structs.replace(settings, cluster_id=cluster_id)
        # For timeouts that differ from node to node; nothing secret is drawn from it.
        rng = random.Random(secrets.randbits(64))  # noqa: S311
        times = SyncTimes()
        log_store = TimedLog(directory.log, _clock_ms, times)
        node = Node(settings, log_store, directory.state, rng, sync_times=times)
        server = Server(node, directory.lineage, sock, rng, log)
        try:
            server.run(signals)
        except SafetyViolationError as violation:
            log.critical(str(violation), code="safety_violation")
            return BROKEN
        except DamagedStateError as damage:
            raise give_up_state(settings.data_dir, directory.log, damage) from damage
        if not signals.is_pressed:
            # Else the next start applies again what it finds in the log.
            node.checkpoint()
    return 0


def _open_directory(settings: Settings, log: FilteringBoundLogger) -> DataDirectory:
    directory = open_directory(
        settings.data_dir,
        node_id=settings.node_id,
        cluster_id=settings.cluster_id,
        founders=Configuration.of_founders(
            {node_id: str(address) for node_id, address in settings.members.items()}
        ),
        log_map_bytes=settings.log_map_bytes,
        state_map_bytes=settings.state_map_bytes,
        incarnation=secrets.token_hex(16),
        start=secrets.token_bytes(START_BYTES),
        joins=not settings.members,
        on_progress=StartLog(_clock_ms, log).heard,
    )
    if directory.exposure:
        log.warning(directory.exposure, code="directory_exposed")
    for note in directory.notes:
        log.warning(note, code="directory_mended")
    return directory


def _raise_descriptor_limit() -> int:
    """Ask for as many descriptors as the system allows this process; how many it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    return soft if soft != resource.RLIM_INFINITY else sys.maxsize


def _clock_ms() -> float:
    return time.monotonic() * 1000.0


class Server:
    """Sockets, timers and signals around one `Node`."""

    def __init__(
        self,
        node: Node,
        lineage: Lineage,
        sock: socket.socket,
        rng: random.Random,
        log: FilteringBoundLogger,
    ) -> None:
        settings = node.settings
        acquaintances = Acquaintances(
            cluster_id=settings.cluster_id,
            node_id=settings.node_id,
            address=str(settings.address),
            incarnation=node.log_store.identity.incarnation,
            lineage=lineage,
            admitted_at=lambda: node.raft.durable_hard_state.admitted_at,
            configured_at=lambda: node.roster.configured_at,
            peers=lambda: node.roster.peers,
            members=lambda: node.roster.members,
            replaced_at=partial(replaced_at, node.raft),
            cluster_version=lambda: node.machine.cluster_version,
            is_elsewhere=lambda: node.roster.is_elsewhere,
        )
        self._node = node
        self._sock = sock
        self._log = log
        self._apply_log = ApplyLog(log)
        self._selector = selectors.DefaultSelector()
        self._context = Context(settings, node, acquaintances, log, _raise_descriptor_limit())
        self._listener = Listener(
            sock,
            self._selector,
            self._welcome,
            self._context.doorkeeper,
            self._context.traffic.note_rejected,
            log,
        )
        linked = self._context.doorkeeper.linked
        self._peers = Peers(
            lambda: node.roster.peers,
            lambda peer, address: PeerLink(
                *(peer, address, settings, acquaintances, self._selector, rng, log),
                # Who hung up may have moved since: it says so when it is back.
                lambda: node.roster.elsewhere(peer) if peer in linked else None,
            ),
        )
        self._context.links = lambda: self._peers.troubles
        node.reach.leads_to = self._peers.leads_to
        self._turn = Turn(node, self)
        self._ready: list[tuple[selectors.SelectorKey, int]] = []
        """The sockets that have something for this turn."""

    def run(self, signals: Signals) -> None:
        """Listen, and take turns until a signal says stop; then answer who waits and hang up.

        Raises `StorageError` as soon as the disk fails: then nobody is answered. Raises
        `ConfigError` if another process listens by now.
        """
        settings, raft = self._node.settings, self._node.raft
        with self._selector:
            self._selector.register(signals.waker, selectors.EVENT_READ, signals)
            listen(self._sock, settings.listens_at)
            signals.may_interrupt = False
            self._log.info(
                f"listening on {settings.listens_at}",
                **({"reached_at": str(settings.address)} if settings.bind else {}),
                code="listening",
                cluster=settings.cluster_id,
                cluster_version=self._node.machine.cluster_version,
                term=raft.current_term,
                last_index=raft.log.last_index,
            )
            self._tell_if_moved()
            # What lives now lives on: the collector need not look at it again.
            gc.freeze()
            while not signals.stops:
                self._take_turn()
            self._log.info("shutting down", code="shutting_down", signal=signals.asked_by)
            self._hand_over(signals)
            self._deliver(self._node.abandon_clients())
            self._hang_up()

    def _tell_if_moved(self) -> None:
        """The others look for this node where the log says, wherever it was started."""
        settings = self._node.settings
        there = self._node.roster.members.get(settings.node_id, settings.address)
        if there != settings.address:
            self._log.warning(
                f"the others look for node {settings.node_id} at {there}, and it is at "
                f"{settings.address}: start it with --host {there.host} --port {there.port}, or if "
                f"it has moved, kvstore member move {settings.node_id} {settings.address}",
                code="address_differs",
            )

    def _hand_over(self, signals: Signals) -> None:
        """Let another node lead, and answer who still waits, as far as an election's time allows.

        A second signal does not wait for that.
        """
        leading = self._node.leading
        deadline_ms = _clock_ms() + self._node.settings.raft.election_timeout_max_ms
        if not leading.make_way_before_exit() and self._node.roster.peers:
            text = "no other node can take over now: nobody leads until one can"
            self._log.warning(text, code="no_heir")
        while leading.is_needed and not signals.is_pressed and _clock_ms() < deadline_ms:
            self._take_turn()
            leading.make_way_before_exit()
        if signals.is_pressed:
            self._log.warning("told to stop again: waits for nobody", code="told_to_stop_again")

    def _hang_up(self) -> None:
        self._context.doorkeeper.hang_up_on_all()
        self._peers.close()

    def _welcome(self, sock: socket.socket, address: str, is_newcomer: bool) -> None:
        Connection(sock, address, self._context, self._selector, is_newcomer=is_newcomer)

    def _take_turn(self) -> None:
        """Wait for sockets and timers, and see to what is there."""
        self._ready = self._selector.select(self._sleep_seconds())
        self._turn.take()

    def _sleep_seconds(self) -> float:
        if self._node.is_busy or self._context.dirty:
            return 0.0
        # Well below an election timeout: the core takes a longer silence for a stall of its own.
        idle_ms = self._node.settings.raft.heartbeat_interval_ms / 2
        patience_ms = self._context.load.patience_ms
        due_ms = min(self._peers.deadline_ms, self._node.watches.due_ms)
        wait_ms = min(idle_ms, patience_ms, due_ms - _clock_ms())
        return max(0.0, wait_ms / 1000.0)

    # --- What a turn asks of its surroundings ---------------------------------------------

    def clock_ms(self) -> float:
        """The time."""
        return _clock_ms()

    def hear(self) -> None:
        """What the sockets have: of peers first, then of clients."""
        clients: dict[Owner, int] = {}
        for key, mask in self._ready:
            owner: Owner = key.data
            if owner.comes_first:
                owner.on_events(mask)
            else:
                clients[owner] = mask
        self._context.load.hear(clients)

    def unreachable(self) -> Set[int]:
        """Peers without a link."""
        return self._peers.unreachable

    def crowded(self) -> Set[int]:
        """Peers that have enough to read."""
        return self._peers.crowded

    def spoken_versions(self) -> Mapping[int, Versions]:
        """Of the peers to whom there is a link."""
        return self._peers.spoken_versions()

    def pass_time(self, now_ms: float) -> None:
        """Dial, accept, hang up, and tell of what takes long."""
        node = self._node
        self._peers.tick(now_ms)
        self._listener.tick(now_ms)
        self._context.tick(now_ms)
        self._apply_log.tick(now_ms, node.machine.last_applied, node.raft.commit_index)

    def let_out(self, outcome: Outcome) -> None:
        """Peers first: their disks work while this node goes on."""
        self._peers.send(outcome.messages)
        for event in outcome.events:
            event_log.write(self._log, event)
        for subscriber in outcome.news:
            subscriber.listener.has_news()
        self._deliver(outcome.answers)

    def _deliver(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            answer.ticket.fill(answer.result)
        dirty, self._context.dirty = self._context.dirty, {}
        for sender in dirty:
            sender.send_ready_replies()
