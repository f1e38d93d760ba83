"""A small world of Raft nodes in memory, in which the test decides what happens.

Law: a turn follows the driver's order (inputs; `take_effects`; early messages;
write; `persisted`; messages; apply; reads), and after every step the invariants
of each node and the safety properties of the whole world are checked. A test may take
the halves of a turn apart, and take others meanwhile.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TypeVar

from founding import founders
from until import until

from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.core import Raft
from kvstore.raft.effects import Effects
from kvstore.raft.events import Event
from kvstore.raft.invariants import Snapshot, check_state, check_step
from kvstore.raft.messages import Message, PreVote
from kvstore.raft.reads import ReadReady
from kvstore.raft.types import (
    Entry,
    HardState,
    LogStart,
    Membership,
    RaftSettings,
    Role,
    SnapshotName,
)

from .disk import Disk, entries_of_terms
from .messages import CLUSTER, pre_vote_reply, vote_reply
from .safety import Safety

T = TypeVar("T")

TICK_MS = 50
"""Time passes in steps that no node takes for a standstill of its own."""

UNBOUNDED = 1 << 30


class Spool:
    """A snapshot that a leader has: bytes that its name alone tells."""

    def __init__(self, name: SnapshotName) -> None:
        self.name = name
        self.data = random.Random(name.id).randbytes(name.size_bytes)

    def read(self, offset: int, bytes_max: int) -> bytes:
        return self.data[offset : offset + bytes_max]


class Node:
    """One node: a disk that survives, and a `Raft` that does not."""

    def __init__(
        self, node_id: int, disk: Disk, settings: RaftSettings, rng: random.Random
    ) -> None:
        self.id = node_id
        self.disk = disk
        self.now_ms = 0.0
        self.events: list[Event] = []
        self.applied: list[Entry] = []
        self.reads: list[ReadReady] = []
        self.fetched = b""
        """Of the snapshot that it receives."""
        self.first_applied = disk.start.index + 1
        """Index of the first entry in `applied`."""
        self.raft: Raft | None = None
        self._settings = settings
        self._rng = rng

    def start(self) -> Raft:
        """Begin from what the disk holds."""
        del self.applied[max(0, self.disk.last_applied + 1 - self.first_applied) :]
        self.reads, self.fetched = [], b""
        self.raft = Raft(
            Membership(CLUSTER, self.id, self.disk.directory),
            self.disk.recovered(),
            self.disk,
            self.disk.last_applied,
            self._settings,
            self._rng,
        )
        return self.raft

    @property
    def last_applied(self) -> int:
        return self.first_applied - 1 + len(self.applied)


class World:
    """N nodes, the messages between them, and the test's hand on both.

    * `bag`: messages that have left and not arrived, oldest first.
    * `cut`: links (sender, recipient) that lose what is sent over them.
    * `crowded`: nodes whose links take no entries for now; `unreachable`: nodes without one.
    """

    def __init__(
        self,
        members: int = 3,
        running: Iterable[int] | None = None,
        disks: dict[int, Disk] | None = None,
        seed: int = 0,
        settings: RaftSettings | None = None,
        start: LogStart = LogStart(),  # noqa: B008 - frozen
    ) -> None:
        """`start`: after which the logs of the nodes without a disk of their own begin."""
        ids = range(1, members + 1)
        self.bag: list[Message] = []
        self.cut: set[tuple[int, int]] = set()
        self.crowded: set[int] = set()
        self.unreachable: set[int] = set()
        self.safety = Safety(start)
        disks = {node_id: (disks or {}).get(node_id) or Disk(start=start) for node_id in ids}
        for disk in disks.values():
            if not disk.directory and not disk.configuration.members:
                disk.configuration = founders(ids)
        self.nodes = {
            node_id: Node(
                node_id,
                disks[node_id],
                settings or RaftSettings(),
                random.Random(f"{seed}/{node_id}"),
            )
            for node_id in ids
        }
        for node_id in ids if running is None else running:
            self.nodes[node_id].start()

    # --- What the test looks at -----------------------------------------------------------

    def raft(self, node_id: int = 1) -> Raft:
        raft = self.nodes[node_id].raft
        assert raft is not None, f"node {node_id} is down"
        return raft

    def disk(self, node_id: int = 1) -> Disk:
        return self.nodes[node_id].disk

    @property
    def alive(self) -> list[int]:
        return [node_id for node_id, node in self.nodes.items() if node.raft is not None]

    @property
    def leaders(self) -> list[int]:
        return [node_id for node_id in self.alive if self.raft(node_id).role is Role.LEADER]

    def log(self, node_id: int = 1) -> list[Entry]:
        """The whole log as the core sees it, durable or not."""
        log = self.raft(node_id).log
        found: list[Entry] = []
        while (read := log.start.index + len(found)) < log.last_index:
            found += log.slice(read + 1, log.last_index + 1, UNBOUNDED)
        return found

    def terms(self, node_id: int = 1) -> list[int]:
        """The log as the paper's figures draw it."""
        return [one.term for one in self.log(node_id)]

    def lines(self, node_id: int = 1) -> list[str]:
        """What the node told its operator since the last call."""
        told = [str(event) for event in self.nodes[node_id].events]
        self.nodes[node_id].events.clear()
        return told

    def sent(self, sender: int | None = None, to: int | None = None) -> list[Message]:
        """Messages under way."""
        return [m for m in self.bag if sender in (None, m.sender) and to in (None, m.recipient)]

    def answered(self, node_id: int = 1) -> list[ReadReady]:
        """Reads that the node may answer, since the last call."""
        ready, self.nodes[node_id].reads = self.nodes[node_id].reads, []
        return ready

    def take_sent(self, sender: int | None = None, to: int | None = None) -> list[Message]:
        """Take messages off the network, in order."""
        taken = self.sent(sender, to)
        self.bag = [m for m in self.bag if not any(m is one for one in taken)]
        return taken

    # --- One turn -------------------------------------------------------------------------

    def act(self, node_id: int, act: Callable[[Raft], T]) -> T:
        """An input, with the checks of one step, but no effect yet."""
        raft = self.raft(node_id)
        before, had_led = Snapshot.of(raft), raft.role is Role.LEADER
        last_index = raft.log.last_index
        result = act(raft)
        check_state(raft)
        check_step(before, raft)
        if had_led and raft.role is Role.LEADER:
            assert raft.log.last_index >= last_index, "a leader removed entries of its own log"
        self.safety.observe(raft)
        return result

    def take(self, node_id: int) -> Effects:
        """First half of the output: early messages leave, the rest waits for the disk."""
        effects = self.act(node_id, lambda raft: raft.take_effects(self.crowded))
        self.nodes[node_id].events += effects.events
        self._send(effects.early_messages)
        return effects

    def write(self, node_id: int, effects: Effects) -> None:
        """The disk has it, and the core knows."""
        if update := effects.update:
            self.disk(node_id).write(update)
            self.safety.stored(self.disk(node_id).log, update, self.disk(node_id).start)
            self.act(node_id, lambda raft: raft.persisted(update.number))

    def said(self, node_id: int = 1) -> list[Message]:
        """What it may say by now, as its disk has come so far; nobody else hears it."""
        return self.act(node_id, Raft.take_messages)

    def release(self, node_id: int) -> None:
        """Second half of the output: promises leave, committed entries are applied."""
        self._send(self.said(node_id))
        node = self.nodes[node_id]
        raft = self.raft(node_id)
        while taken := raft.committed_entries(node.last_applied, UNBOUNDED, UNBOUNDED):
            self.safety.applied(taken)
            node.applied += taken
        ready = raft.ready_reads()
        self.safety.answered(node_id, ready)
        node.reads += ready
        while (piece := raft.receiving.take_piece()) is not None:
            node.fetched += piece

    def turn(self, node_id: int, act: Callable[[Raft], T] = lambda raft: None) -> T:
        """A whole turn, and another while the node has something left to say."""
        result = self.act(node_id, act)
        self._end_turn(node_id)
        until(
            lambda: not self.raft(node_id).has_effects,
            lambda: self._end_turn(node_id),
            "it has nothing left to say",
        )
        return result

    def _end_turn(self, node_id: int) -> None:
        effects = self.take(node_id)
        self.write(node_id, effects)
        self.release(node_id)

    def _send(self, messages: Iterable[Message]) -> None:
        self.bag += [m for m in messages if (m.sender, m.recipient) not in self.cut]

    # --- Inputs ---------------------------------------------------------------------------

    def hand(self, *messages: Message) -> None:
        """Messages arrive at their recipients, one turn each."""
        for message in messages:
            self.turn(message.recipient, lambda raft, message=message: raft.step(message))

    def hand_in_one_turn(self, node_id: int, *messages: Message) -> None:
        """Messages arrive together: one turn, one write."""
        self.turn(node_id, lambda raft: [raft.step(message) for message in messages])

    def propose(self, node_id: int, *commands: str) -> int:
        """The index of the first one's entry."""
        return self.turn(node_id, lambda raft: [raft.propose(c.encode()) for c in commands])[0][0]

    def read(self, node_id: int, *read_ids: int) -> None:
        """Reads arrive at a leader, all in one turn."""
        self.safety.asked(node_id, read_ids)
        self.turn(node_id, lambda raft: [raft.read(read_id) for read_id in read_ids])

    def tick(self, node_id: int, duration_ms: float) -> None:
        """Let time pass for one node, in small steps."""
        node = self.nodes[node_id]
        end = node.now_ms + duration_ms
        while node.now_ms < end:
            node.now_ms = min(end, node.now_ms + TICK_MS)
            self.turn(node_id, lambda raft: raft.tick(node.now_ms, self.unreachable))

    def tick_all(self, duration_ms: float) -> None:
        for node_id in self.alive:
            self.tick(node_id, duration_ms)

    def fall_silent(self, node_id: int) -> None:
        """Let exactly as much silence pass as makes the node ask for pre-votes, or stand."""
        raft = self.raft(node_id)
        term = raft.current_term
        for _ in range(2 * 1000 // TICK_MS):
            if raft.role is Role.PRE_CANDIDATE or raft.current_term > term:
                return
            self.tick(node_id, TICK_MS)
        raise AssertionError(f"node {node_id} hears nobody and does nothing")

    def time_out(self, node_id: int) -> None:
        """Make the node start an election: it falls silent, and the pre-votes it needs are given.

        The test gives them, whatever the other nodes would have said.
        """
        raft = self.raft(node_id)
        term = raft.current_term
        self.fall_silent(node_id)
        self.bag = [m for m in self.bag if not (m.sender == node_id and isinstance(m, PreVote))]
        others = [other for other in self.nodes if other != node_id]
        for voter in others[: len(self.nodes) // 2]:
            self.hand(pre_vote_reply(voter, term, to=node_id))
        assert raft.current_term == term + 1, f"node {node_id} starts no election"

    # --- Snapshots ------------------------------------------------------------------------

    def spool(self, node_id: int, size_bytes: int, snapshot_id: int = 1) -> Spool:
        """A leader's driver has written a snapshot of all that is applied."""
        raft, index = self.raft(node_id), self.nodes[node_id].last_applied
        name = SnapshotName(snapshot_id, index, raft.log.term(index), size_bytes)
        raft.sending.source = Spool(name)
        return raft.sending.source

    def install(self, node_id: int) -> None:
        """What was fetched is whole, and lies on the disk: change over to it."""
        self.begin_install(node_id)
        self.change_over(node_id)

    def begin_install(self, node_id: int) -> None:
        """The log begins where the snapshot ends, durably; the data is not in place yet."""
        name = self.raft(node_id).receiving.name
        assert name is not None
        assert self.raft(node_id).receiving.is_whole
        assert self.nodes[node_id].fetched == Spool(name).data
        self.turn(node_id, lambda raft: raft.install(name.start, founders(self.nodes)))

    def change_over(self, node_id: int) -> None:
        """The data of the snapshot is in place."""
        node, start = self.nodes[node_id], self.disk(node_id).start
        assert self.raft(node_id).log.durable_start == start
        node.fetched, node.applied, node.first_applied = b"", [], start.index + 1
        self.disk(node_id).last_applied = start.index
        self.turn(node_id, Raft.has_base)

    # --- Network --------------------------------------------------------------------------

    def deliver(self, sender: int | None = None, to: int | None = None) -> int:
        """Deliver what is under way now, in order; answers stay under way."""
        messages = self.take_sent(sender, to)
        self.hand(*(m for m in messages if m.recipient in self.alive))
        return len(messages)

    def settle(self) -> None:
        """Deliver until nothing is under way."""
        for _ in range(1000):
            if not self.deliver():
                return
        raise AssertionError("the nodes never stop talking")

    def isolate(self, *ids: int) -> None:
        """Cut the links between these nodes and the others, both ways."""
        others = set(self.nodes) - set(ids)
        self.cut |= {(a, b) for a in ids for b in others} | {(b, a) for a in ids for b in others}
        self.bag = [m for m in self.bag if (m.sender, m.recipient) not in self.cut]

    def heal(self) -> None:
        self.cut.clear()

    # --- Stories that many tests begin with -----------------------------------------------

    def elect(self, node_id: int) -> None:
        """Make a node leader, with its no-op committed wherever the links allow."""
        self.time_out(node_id)
        self.settle()
        assert self.raft(node_id).role is Role.LEADER
        self.heartbeat(node_id)

    def heartbeat(self, node_id: int) -> None:
        """One heartbeat interval of the leader, and all that follows from it."""
        self.tick(node_id, 100)
        self.settle()

    def compact(self, node_id: int, index: int | None = None) -> None:
        """Have a node drop what it may, or so much, as its state is durable up to there."""
        raft, node = self.raft(node_id), self.nodes[node_id]
        index = min(raft.droppable_index, node.last_applied) if index is None else index
        if index > raft.log.start.index:
            node.disk.last_applied = max(node.disk.last_applied, index)
            self.turn(node_id, lambda raft: raft.compact(index))

    def crash(self, node_id: int) -> None:
        """The process is gone, with all that was not on its disk."""
        self.nodes[node_id].raft = None

    def restart(self, node_id: int) -> None:
        self.nodes[node_id].start()


def bench(
    terms: Iterable[int] = (),
    term: int = 1,
    voted_for: int | None = None,
    members: int = 3,
    settings: RaftSettings | None = None,
    directory: str = "",
    start: LogStart = LogStart(),  # noqa: B008 - frozen
) -> World:
    """Node 1 alone on a bench, with a log of these terms; the test plays its peers."""
    log = entries_of_terms(terms, start.index + 1)
    admitted_at = NOT_ADMITTED if directory else 0
    disk = Disk(HardState(term, voted_for, admitted_at), log, start, directory)
    return World(members, running=[1], disks={1: disk}, settings=settings, start=start)


def leader_bench(terms: Iterable[int] = (), term: int = 1, members: int = 3, **rest) -> World:
    """Node 1 on the bench, leading `term`; its no-op is durable, nobody has acknowledged."""
    world = bench(terms, term - 1, members=members, **rest)
    world.time_out(1)
    for voter in range(2, members // 2 + 2):
        world.hand(vote_reply(voter, term))
    assert world.raft().role is Role.LEADER
    world.bag.clear()
    world.lines()
    return world
