"""One machine: a `Node` driven turn by turn as the server drives it, on faulty ground.

Law: what a turn lets out leaves only while the machine lives: `prepare`'s part at
once, `complete`'s when the fsync for which it waits has returned. A machine that crashes,
at whatever point, comes back with what its disk held and with nothing else; one that is
paused goes on where it stood, and finds in its sockets what arrived meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Set
from functools import partial

from kvstore.config.settings import Settings
from kvstore.errors import DirectoryRefusedError, StorageError
from kvstore.raft.configuration import Configuration
from kvstore.raft.messages import Message
from kvstore.raft.types import Role
from kvstore.raft.versions import Versions
from kvstore.server.cluster_version import Release
from kvstore.server.node import Node, Outcome
from kvstore.server.turn import Turn
from kvstore.sim.calls import Call
from kvstore.sim.clock import Clock
from kvstore.sim.disk import Disk, PowerCutError
from kvstore.sim.greetings import Greetings
from kvstore.sim.log_start import FIRST
from kvstore.sim.observer import Observer
from kvstore.sim.scenario import Scenario
from kvstore.sim.schedule import Action, Schedule
from kvstore.sim.sockets import Sockets
from kvstore.sim.writer import BesideTheLoop
from kvstore.storage.base import Divergence, Identity
from kvstore.storage.records import START_BYTES
from kvstore.storage.writer import WriteAtOnce

_TURN_MS = 0.05
"""The shortest time between two turns of one node."""


class Host:
    """A machine and the node on it, if it runs.

    * `node` is None while the machine is down.
    * Between a turn's `prepare` and the return of the fsync for which it waits, no other turn
      begins. It does not wait for the log where that is written beside the loop.
    """

    def __init__(
        self,
        settings: Settings,
        schedule: Schedule,
        send: Callable[[Message, int], None],
        observer: Observer,
        rng: random.Random,
        clock: Clock,
        on_crash: Callable[[Host], None],
        unreachable: Callable[[], Set[int]],
        plan: Scenario,
    ) -> None:
        self.id = settings.node_id
        self._plan = plan
        self._directories = 0
        self.disk = self._newest = self._new_disk(settings, rng, observer)
        self.node: Node | None = None
        self.running: Node
        """The same, while it runs; for who knows that it does."""
        self.is_paused = self._state_is_to_differ = False
        self._is_retired = False
        self._settings = settings
        self._schedule = schedule
        self._send = send
        self._observer = observer
        self._rng = rng
        self._clock = clock
        self._on_crash = on_crash
        self._unreachable = unreachable
        self.session_rules, self.drift = plan.session_rules, plan.drift
        self._idle_ms = settings.raft.heartbeat_interval_ms / 2
        self._life = 0
        self.turn_ms = 0.0
        self.held_until_ms = 0.0
        """The world's time at which the fsync under way, or the last one, returns."""
        self._sockets: Sockets
        self._greetings: Greetings
        """Of its present life, or of the last one, like its sockets."""
        self._releases = plan.releases.programs
        self._release = self._releases[0]
        self._waits_for_sync = False
        self._turn_due_ms = 0.0
        self._held: list[Action] = []
        """What became due while the machine was paused."""

    def _empty_disk(self) -> Disk:
        return self._new_disk(self._settings, self._rng, self._observer, is_founder=False)

    def _new_disk(
        self,
        settings: Settings,
        rng: random.Random,
        observer: Observer,
        *,
        is_founder: bool = True,
    ) -> Disk:
        self._directories += 1
        incarnation = f"{self._directories:016x}{self.id:016x}"
        founders = Configuration.of_founders(
            {node: str(address) for node, address in settings.members.items()}
        )
        return Disk(
            Identity(1, settings.cluster_id, self.id, incarnation, is_founder=is_founder),
            random.Random(rng.getrandbits(64)),
            partial(observer.synced, self),
            founders if is_founder else Configuration(),
            self._plan.start if is_founder else FIRST,
            self._plan.sync_ms,
        )

    # --- Life and death -------------------------------------------------------------------

    def start(self) -> None:
        """Start the node from what the disk holds; damage keeps it from starting."""
        if self.node is not None or self._is_retired:
            return
        self._life += 1
        rng = random.Random(self._rng.getrandbits(64))
        disk = self.disk
        disk.lineage.add_start(self._life.to_bytes(START_BYTES, "big"))
        try:
            node = Node(
                self._settings,
                disk.log,
                disk.state,
                rng,
                self.session_rules,
                release=self._release,
                writer=BesideTheLoop(disk.log, self._after_sync)
                if self._plan.writes_beside
                else WriteAtOnce(disk.log),
            )
        except DirectoryRefusedError as error:
            self.is_refused(str(error))
            return
        except StorageError as error:
            self._observer.refused_to_start(self, error)
            return
        self.node = self.running = node
        self._turn = Turn(node, self)
        self._sockets = Sockets(node, self._release, self._life, self._observer, self._rng)
        self._greetings = Greetings(node, disk)
        self._observer.started(self)
        self._plan_turn(0.0)

    def crash(self, why: str) -> None:
        """End without notice; connections break."""
        if self.node is None:
            return
        raft = self.node.raft
        self._observer.ending(self)
        self.node = None
        del self.running
        self._greetings.is_over = True
        self.is_paused = False
        self._life += 1
        self._waits_for_sync = self._state_is_to_differ = False
        self._held.clear()
        lost = self.disk.crash() or raft.log.last_index > self.disk.log.last_index
        lost_entries = max(0, raft.log.last_index - self.disk.log.last_index)
        self._observer.crashed(self, why, lost=lost, lost_entries=lost_entries)
        self._sockets.break_off()
        self._on_crash(self)

    def retire(self, why: str) -> None:
        """End without notice, for good; what it has on its disk stays."""
        self._is_retired = True
        self.crash(why)

    def hear_that_state_differs(self) -> None:
        """Its node hears so in its next turn, of what is durable then."""
        if self.node is not None:
            self._state_is_to_differ = True
            self._plan_turn(_TURN_MS)

    def find_damage(self) -> None:
        """Restart, if the disk has damage that the node has not come upon yet."""
        if self.node is not None and self.disk.log.unreadable - set(self.node.raft.log.damaged):
            self.crash("restarted, to find the damage on its disk")

    # --- Directories ----------------------------------------------------------------------

    def lose_directory(self) -> Disk:
        """End without notice; the next start is one with `--join`, and an empty directory.

        The one that was lost.
        """
        self._observer.reached["directory lost"] += 1
        lost = self.disk
        self._newest = self._empty_disk()
        self._change_directory("loses its directory", self._newest)
        return lost

    def begin_empty(self) -> None:
        """Its first start is one with `--join`."""
        self.disk = self._newest = self._empty_disk()

    def begin_with(self, directory: Disk) -> None:
        """Its first start is one with a directory that is there already."""
        directory.on_synced = partial(self._observer.synced, self)
        self.disk = self._newest = directory

    def put_back(self, directory: Disk) -> None:
        """End without notice; the next start is one with an earlier directory."""
        self._observer.reached["old directory put back"] += 1
        self._change_directory("gets an old directory back", directory)

    def take_newest_directory(self) -> None:
        """An operator sees to it that the right one is in place."""
        if self.disk is not self._newest:
            self._change_directory("gets its newest directory back", self._newest)

    def is_refused(self, why: str) -> None:
        """By peers, or by its own log: it ends itself, and an operator does what the words say."""
        if "start" in why and "with a release that speaks" in why:
            self._observer.reached["release refused"] += 1
            self._run(self._releases[-1], f"ends itself: {why}")
            return
        self._observer.reached["directory refused"] += 1
        self.crash(f"ends itself: {why}")
        self.take_newest_directory()

    def _change_directory(self, why: str, directory: Disk) -> None:
        was_up = self.node is not None
        self.crash(why)
        self.disk = directory
        self._observer.directory_changed(self)
        if not was_up:
            self._on_crash(self)

    @property
    def is_sound(self) -> bool:
        """Whether it has its right directory, in which no damage is left, and that counts."""
        is_trusted = self.disk.state.divergence is None and not self._state_is_to_differ
        return self.disk is self._newest and self.disk.log.is_sound and is_trusted

    # --- Releases -------------------------------------------------------------------------

    @property
    def speaks(self) -> Versions:
        """Which versions its release speaks."""
        return self._release.speaks

    def upgrade(self) -> None:
        """End without notice; the next start is one with the release that follows."""
        at = self._releases.index(self._release)
        self._run(self._releases[min(at + 1, len(self._releases) - 1)], "is upgraded")

    def downgrade(self) -> None:
        """End without notice; the next start is one with the release before."""
        at = self._releases.index(self._release)
        self._run(self._releases[max(at - 1, 0)], "is put back to the release before")

    def finish_upgrade(self) -> None:
        """Have the last release run."""
        if self._release != self._releases[-1]:
            self._run(self._releases[-1], "is upgraded")

    def _run(self, release: Release, why: str) -> None:
        was_up = self.node is not None
        self.crash(why)
        self._release = release
        if not was_up:
            self._on_crash(self)

    # --- Hellos ---------------------------------------------------------------------------

    def reason_to_hang_up(self, sender: Host, life: int, message: Message) -> str | None:
        """Why it does not take what a peer sent in this life, None if it does.

        The first message of a life opens a link, with the hello that a server says.
        """
        if self.node is None:
            return None
        is_there = life == sender._life and sender.node is not None
        theirs = sender._greetings if is_there else None
        try:
            refusal = self._greetings.refuse(sender.id, life, theirs, message.admitted_at)
        except DirectoryRefusedError as error:
            self.is_refused(str(error))
            return "its recipient ends itself"
        if refusal is None or not refusal.is_final:
            return refusal and refusal.why
        if is_there:
            sender.is_refused(refusal.why)
        return "its sender is refused"

    def pause(self) -> None:
        """Stand still, in the middle of whatever is under way."""
        if self.node is not None and not self.is_paused:
            self.is_paused = True
            self._observer.paused(self)

    def resume(self) -> None:
        """Go on."""
        if not self.is_paused:
            return
        self.is_paused = False
        self._observer.resumed(self)
        held, self._held = self._held, []
        for action in held:
            action()

    # --- What arrives ---------------------------------------------------------------------

    def take_message(self, message: Message) -> None:
        """A message of a peer reaches the socket."""
        if self.node is not None:
            self._sockets.take_message(message)
            self._plan_turn(_TURN_MS)

    def take_call(self, call: Call) -> None:
        """A client's request reaches the socket."""
        if self.node is None:
            call.break_off()
            return
        self._sockets.take_call(call)
        self._plan_turn(_TURN_MS)

    # --- Turns ----------------------------------------------------------------------------

    def _plan_turn(self, delay_ms: float) -> None:
        """See that a turn begins soon; an earlier one that is planned will do."""
        due_ms = self._schedule.now_ms + delay_ms
        if self._waits_for_sync or self._schedule.now_ms <= self._turn_due_ms <= due_ms:
            return
        self._turn_due_ms = due_ms
        self._later(delay_ms, partial(self._begin_turn, due_ms))

    def _after_sync(self, sync_ms: float, action: Action) -> None:
        """The log's writer goes on once its fsync has returned; the node hears of it in a turn."""
        self.held_until_ms = self._schedule.now_ms + sync_ms

        def go_on() -> None:
            action()
            self._plan_turn(_TURN_MS)

        self._later(sync_ms, go_on)

    def _later(self, delay_ms: float, action: Action) -> None:
        """Do it in this life, once so much time has passed and the machine does not stand still."""
        self._schedule.after(delay_ms, partial(self._act, self._life, action))

    def _act(self, life: int, action: Action) -> None:
        if life != self._life:
            return
        if self.is_paused:
            self._held.append(partial(self._act, life, action))
            return
        try:
            action()
        except PowerCutError as cut:
            self.crash(str(cut))
        except DirectoryRefusedError as error:
            self.is_refused(str(error))
        except StorageError as error:
            self._observer.ended(self, error)
            self.crash(f"ends itself: {error}")

    def _begin_turn(self, due_ms: float) -> None:
        if due_ms == self._turn_due_ms and not self._waits_for_sync:
            self._turn_due_ms = -1.0
            self._take_turn()

    def _take_turn(self) -> None:
        self.turn_ms = self._clock.read(self._schedule.now_ms)
        self._turn.first_half()
        self._observer.stepped(self, "persist")
        spent_ms = self.disk.take_spent_ms()
        if spent_ms:
            self._waits_for_sync = True
            self.held_until_ms = self._schedule.now_ms + spent_ms
            self._later(spent_ms, self._end_turn)
        else:
            self._end_turn()

    def _end_turn(self) -> None:
        node = self.running
        self._waits_for_sync = False
        if not self._plan.writes_beside:
            self.disk.log.synced()
        self._observer.persisted(self)
        self._turn.second_half()
        self._observer.turned(self)
        is_busy = node.is_busy or self._sockets
        self._plan_turn(_TURN_MS if is_busy else self._rest_ms(node) / self._clock.rate)

    def _rest_ms(self, node: Node) -> float:
        """How long it sleeps, by its own clock, if nothing arrives."""
        if self._plan.idle_turns == 1.0:
            return self._idle_ms
        if self._plan.idle_turns and self._rng.random() < self._plan.idle_turns:
            return self._rng.uniform(0.0, self._idle_ms)
        return max(_TURN_MS, node.due_ms - self._clock.read(self._schedule.now_ms))

    # --- What a turn asks of its surroundings ---------------------------------------------

    def clock_ms(self) -> float:
        """When this turn began, by its own clock: a first half takes no time."""
        return self.turn_ms

    def hear(self) -> None:
        """What its sockets have."""
        self._observer.stepped(self, "tick")
        self._sockets.hear(self)
        if self._state_is_to_differ:
            self._state_is_to_differ = False
            index = self.disk.state.applied().last_applied
            self.running.state_differs(Divergence(index, b"others'"))

    def unreachable(self) -> Set[int]:
        """Machines on which no node runs."""
        return self._unreachable()

    def crowded(self) -> Set[int]:
        """Nobody: the network takes all."""
        return frozenset()

    def spoken_versions(self) -> Mapping[int, Versions]:
        """Of the machines that took its hello."""
        return self._greetings.spoken_versions()

    def pass_time(self, _now_ms: float) -> None:
        """Around it, it passes by itself."""
        self._observer.stepped(self, "tick")

    def let_out(self, outcome: Outcome) -> None:
        """To the network, and to clients."""
        observer = self._observer
        if outcome.messages or outcome.answers:
            observer.speaks(self, outcome)
        for message in outcome.messages:
            self._send(message, self._life)
        for event in outcome.events:
            observer.noted(self, event)
        for answer in outcome.answers:
            call = answer.ticket
            assert isinstance(call, Call)
            self._sockets.answer(call, answer.result)

    # --- What others see ------------------------------------------------------------------

    @property
    def now_ms(self) -> float:
        """The world's time, which no node sees."""
        return self._schedule.now_ms

    @property
    def oldest_ticket_ms(self) -> float:
        """When the node took the ticket that has waited for longest, by its own clock."""
        return self._sockets.oldest_ticket_ms

    @property
    def life(self) -> int:
        """The number of its present life, or of the last one that ended."""
        return self._life

    @property
    def can_run(self) -> bool:
        """Whether nothing keeps the node from running; a lost hard state does."""
        return not self.disk.log.is_lost

    @property
    def is_leading(self) -> bool:
        """Whether the node runs, and leads as far as it knows."""
        return self.node is not None and self.node.raft.role is Role.LEADER
