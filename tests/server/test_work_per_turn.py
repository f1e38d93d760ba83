"""How much one turn does of each thing that may pile up, counted and not timed.

Law: whatever waits, a turn takes a bounded part of it, and the next turn goes on. The bounds
are in steps, bytes, entries and messages, which are the same on every machine; that a step is
about a microsecond is for `test_turns.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.kv.machine import ENTRY_STEPS
from kvstore.raft.messages import (
    FETCHED_ENTRIES_MAX,
    AppendEntries,
    EntryRange,
    FetchEntries,
    FetchEntriesReply,
    PreVote,
)
from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState
from kvstore.server.incoming_link import _READS_OF_PEER
from kvstore.server.node import Node
from kvstore.server.stream import READ_BYTES, Stream
from kvstore.storage.memory import MemoryLog
from kvstore.wire import peer
from kvstore.wire.resp import command

from .cluster import Cluster
from .line import Line
from .test_turns import FLOODS, KEYS

LIMITS = Limits()
LONGEST_REQUEST_STEPS = 30_000
"""What the largest requests cost once they are begun; no turn ends in the middle of one."""
FLOODS_OF_BYTES = {
    **FLOODS,
    "values over the limit": command(b"SET", b"k", bytes(3 << 20)) * 5,
    "values": command(b"SET", b"k", bytes(900 << 10)) * 10,
    "large replies": command(b"GET", b"large") * 500,
}


class Meter:
    """How much of something each turn did."""

    def __init__(self) -> None:
        self.turns: list[int] = []
        self._now = 0

    def note(self, amount: int) -> None:
        self._now += amount

    def end_turn(self) -> None:
        self.turns.append(self._now)
        self._now = 0


@pytest.fixture
def metered(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Meter]:
    """Has a method counted: by what it returns, or takes, a number is made."""

    def meter(owner: type, name: str, amount: Callable[..., int]) -> Meter:
        meter, method = Meter(), getattr(owner, name)

        def noting(*args: Any) -> object:
            result = method(*args)
            meter.note(amount(*args, result))
            return result

        monkeypatch.setattr(owner, name, noting)
        return meter

    return meter


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line(limits=LIMITS)
    yield line
    line.close()


@pytest.mark.parametrize("flood", FLOODS_OF_BYTES.values(), ids=FLOODS_OF_BYTES)
def test_clients_get_so_much_of_a_turn(
    line: Line, metered: Callable[..., Meter], flood: bytes
) -> None:
    """In requests, in bytes either way, and in what is read and written for them."""
    line.send(command(b"MSET", *[part for key in KEYS for part in (key, b"v")]))
    line.send(command(b"SET", b"large", bytes(1 << 20)))
    line.receive()
    bytes_in = metered(Stream, "read", lambda *args: len(args[-1]))
    bytes_out = metered(Stream, "_send", lambda *args: args[-1])
    clients = [line.connect() for _ in range(8)]
    rests = dict.fromkeys(clients, memoryview(flood))
    steps_of_clients, steps_of_data = [], []
    for _ in range(30):
        for client, rest in rests.items():
            with contextlib.suppress(BlockingIOError):
                rests[client] = rest[client.send(rest) :] or memoryview(flood)
            with contextlib.suppress(BlockingIOError):
                client.recv(1 << 20)
        before = line.node.machine.steps
        line.turn()
        steps_of_clients.append(line.context.load.steps)
        steps_of_data.append(line.node.machine.steps - before)
        bytes_in.end_turn()
        bytes_out.end_turn()
    for client in clients:
        client.close()
    most = LIMITS.turn_steps_max + LONGEST_REQUEST_STEPS
    assert 0 < max(steps_of_clients) <= most
    assert max(steps_of_data) <= most + LIMITS.apply_steps_per_turn_max + LIMITS.pinned_steps_max
    assert 0 < max(bytes_in.turns) <= LIMITS.turn_steps_max << 10
    assert max(bytes_out.turns) <= (LIMITS.turn_steps_max << 10) + LIMITS.reply_bytes_max
    assert sum(steps > 0 for steps in steps_of_clients) > 20, "each turn does something"


def test_a_peer_is_heard_so_far_in_a_turn(follower: Line, metered: Callable[..., Meter]) -> None:
    """However much it has sent: what is left waits in its socket, and slows it down."""
    follower.greet()
    vote = PreVote(
        cluster_id="test", sender=2, recipient=1, term=0, last_log_index=0, last_log_term=0
    )
    frame = peer.encode_message(vote)
    rest = memoryview(frame * ((8 << 20) // len(frame)))
    heard = metered(Node, "receive", lambda *_args: 1)
    bytes_in = metered(Stream, "read", lambda *args: len(args[-1]))
    for _ in range(10):
        with contextlib.suppress(BlockingIOError):
            while rest:
                rest = rest[follower.client.send(rest) :]
        follower.turn()
        heard.end_turn()
        bytes_in.end_turn()
    assert READ_BYTES < max(bytes_in.turns) <= _READS_OF_PEER * READ_BYTES
    assert max(heard.turns) <= _READS_OF_PEER * READ_BYTES // len(frame) + 1


# --- Without sockets ----------------------------------------------------------------------


def cluster_with(count: int, data: bytes, kind: EntryKind, *, lacking: int = 0) -> Cluster:
    """Logs have so many entries that nobody has applied, but for one node that lacks them."""
    cluster = Cluster()
    entries = [Entry(index, 1, kind, data) for index in range(1, count + 1)]
    for node_id, log in cluster.logs.items():
        held = [] if node_id == lacking else entries
        log.write(DurableUpdate(hard_state=HardState(1), entries=held))
        cluster.start(node_id)
    return cluster


def encoded(request: api.Write) -> bytes:
    return msgspec.msgpack.encode(request)


ENTRIES = {
    "no-ops": (20_000, b"1", EntryKind.NOOP),
    "small writes": (20_000, encoded(api.Increment(b"n", 1)), EntryKind.COMMAND),
    "deletions of many keys": (20, encoded(api.Delete(tuple(KEYS))), EntryKind.COMMAND),
    "long values": (50, encoded(api.Put(b"k", bytes(1 << 20))), EntryKind.COMMAND),
}


@pytest.mark.parametrize("entries", ENTRIES.values(), ids=ENTRIES)
def test_a_turn_applies_so_many_entries_and_reads_hardly_more(
    metered: Callable[..., Meter], entries: tuple[int, bytes, EntryKind]
) -> None:
    count = entries[0]
    cluster = cluster_with(*entries)
    read = metered(MemoryLog, "entries", lambda *args: len(args[-1]))
    most = dict.fromkeys(cluster.members, 0)

    def step() -> None:
        cluster.now_ms += 5
        for node_id, node in cluster.nodes.items():
            before = node.machine.steps
            cluster.turn(node_id)
            read.end_turn()
            most[node_id] = max(most[node_id], node.machine.steps - before)

    turns = until(
        lambda: all(node.machine.last_applied > count for node in cluster.nodes.values()),
        step,
        "everything is applied",
    )
    one_entry = ENTRY_STEPS * (len(KEYS) + 1)
    assert max(most.values()) < LIMITS.apply_steps_per_turn_max + one_entry
    steps = cluster.nodes[1].machine.steps
    assert turns > steps // (LIMITS.apply_steps_per_turn_max + one_entry)
    assert max(read.turns) <= LIMITS.apply_steps_per_turn_max // ENTRY_STEPS + 1
    assert sum(read.turns) <= len(cluster.members) * count * 2


def test_a_turn_answers_one_question_for_lost_entries_of_each_peer() -> None:
    """However many it asks: it says up to where was looked, and the rest is asked for again."""
    cluster = cluster_with(10_000, b"1", EntryKind.NOOP)
    question = FetchEntries(
        cluster_id="test", sender=2, recipient=1, term=1, ranges=(EntryRange(1, 10_000, 1),)
    )
    node = cluster.nodes[1]
    node.wake(0.0)
    for _ in range(500):
        node.receive(question)
    sent = [*node.prepare().messages, *node.complete().messages]
    [answer] = [message for message in sent if isinstance(message, FetchEntriesReply)]
    assert len(answer.entries) == FETCHED_ENTRIES_MAX


def test_a_turn_sends_a_follower_that_lacks_everything_so_much() -> None:
    """In bytes and entries, whatever their size; `tests/raft/test_catch_up.py` tells more."""
    settings = Cluster().raft
    for count, data in ((20_000, b"1"), (60, bytes(1 << 20))):
        cluster = cluster_with(count, data, EntryKind.NOOP, lacking=3)
        most_entries = most_bytes = 0

        def step(cluster: Cluster = cluster) -> None:
            nonlocal most_entries, most_bytes
            cluster.now_ms += 5
            for node_id in cluster.members:
                there = len([one for one in cluster.messages if one.recipient != node_id])
                cluster.turn(node_id)
                entries = [
                    entry
                    for message in cluster.messages[there:]
                    if isinstance(message, AppendEntries)
                    for entry in message.entries
                ]
                most_entries = max(most_entries, len(entries))
                most_bytes = max(most_bytes, sum(len(entry.data) for entry in entries))

        last = cluster.nodes[3].raft.log
        until(lambda log=last, count=count: log.durable_index > count, step, "it has all of them")
        assert 0 < most_bytes <= settings.catch_up_work_max + settings.append_bytes_max
        assert most_entries <= settings.catch_up_work_max // 128 + settings.append_entries_max
