"""Catching up and repair of as much as production has: what it takes grows with it, no faster.

Law: counted in messages, entries and calls of functions, which are the same on every machine.
What is quadratic shows between one length and a multiple of it; what is sent twice shows in
the sums.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
from until import until

from kvstore.raft.messages import (
    FETCHED_ENTRIES_MAX,
    FETCHED_RANGES_MAX,
    AppendEntries,
    FetchEntriesReply,
    Message,
)
from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState, RaftSettings

from .cluster import Cluster

TERM = 1
BEHIND = 3
SHORT, LONG = 5_000, 40_000
FACTOR = LONG / SHORT
SLACK = 1.25
"""Longer messages are still to be found, and a few turns pass until somebody leads."""
PER_MESSAGE = RaftSettings().append_entries_max


class Watched(Cluster):
    """A cluster with so many entries in its logs, that notes what is sent."""

    def __init__(self, count: int, *, lacking: bool, damaged: Iterable[int] = ()) -> None:
        super().__init__()
        self.sent = Counter[type[Message]]()
        self.entries_sent = 0
        entries = [Entry(index, TERM, EntryKind.NOOP, b"1") for index in range(1, count + 1)]
        for node_id, log in self.logs.items():
            held = [] if lacking and node_id == BEHIND else entries
            log.write(DurableUpdate(hard_state=HardState(TERM), entries=held))
        pairs = self.logs[BEHIND].pairs
        for index in damaged:
            key, record = pairs[index - 1]
            pairs[index - 1] = (key, bytes(len(record)))
        for node_id in self.members:
            self.start(node_id)

    def turn(self, node_id: int) -> None:
        others = [one for one in self.messages if one.recipient != node_id]
        super().turn(node_id)
        for message in self.messages[len(others) :]:
            self.sent[type(message)] += 1
            if isinstance(message, AppendEntries | FetchEntriesReply):
                self.entries_sent += len(message.entries)

    def step(self) -> None:
        """Everybody takes a turn, and hardly any time passes."""
        self.now_ms += 5
        for node_id in self.members:
            self.turn(node_id)

    def is_level(self) -> bool:
        raft = [node.raft for node in self.nodes.values()]
        leads = any(one.has_committed_in_term for one in raft)
        return leads and len({node.machine.last_applied for node in self.nodes.values()}) == 1

    def is_whole(self) -> bool:
        return not self.nodes[BEHIND].raft.log.damaged


def catch_up(count: int) -> Watched:
    cluster = Watched(count, lacking=True)
    until(cluster.is_level, cluster.step, "all have applied the same")
    assert cluster.nodes[BEHIND].machine.last_applied > count
    return cluster


def repair(count: int, step: int) -> Watched:
    """Each `step`th entry is damaged, so that no two runs of them touch if it is more than 1."""
    cluster = Watched(count, lacking=False, damaged=range(1, count + 1, step))
    assert len(cluster.nodes[BEHIND].raft.log.damaged) == len(range(1, count + 1, step))
    until(cluster.is_whole, cluster.step, "the log is whole")
    assert cluster.logs[BEHIND].pairs[:count] == cluster.logs[1].pairs[:count]
    return cluster


def calls_made(act: Callable[[], object]) -> int:
    """How many functions are called meanwhile, those of C included."""
    made = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal made
        made += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return made


def test_a_follower_that_lacks_a_hundred_thousand_entries_is_sent_each_of_them_once() -> None:
    count = 100_000
    cluster = catch_up(count)
    # The no-op goes to both followers, and where the follower's log ends is found out first.
    assert count < cluster.entries_sent <= count + 2 * PER_MESSAGE
    assert cluster.sent[AppendEntries] < count / PER_MESSAGE * SLACK + 20


def test_a_log_of_which_everything_is_damaged_is_sent_once() -> None:
    count = 100_000
    cluster = repair(count, 1)
    # Both peers are asked at first, and whoever is silent or asked in vain claims nothing.
    assert count <= cluster.entries_sent <= count + 2 * FETCHED_ENTRIES_MAX
    assert cluster.sent[FetchEntriesReply] < count / FETCHED_ENTRIES_MAX * SLACK


def test_scattered_damage_is_asked_for_in_many_runs_at_once() -> None:
    count = 40_000
    cluster = repair(count, 2)
    damaged = count // 2
    assert damaged <= cluster.entries_sent <= damaged + 2 * FETCHED_RANGES_MAX
    assert cluster.sent[FetchEntriesReply] < damaged / FETCHED_RANGES_MAX * SLACK


@pytest.mark.parametrize(
    "work",
    [
        catch_up,
        lambda count: repair(count, 1),
        lambda count: repair(count, 2),
        lambda count: repair(count, 40),
    ],
    ids=["catching up", "all is damaged", "every other entry", "here and there"],
)
def test_what_it_takes_grows_with_the_length_and_no_faster(
    work: Callable[[int], Watched],
) -> None:
    short, long = (calls_made(lambda count=count: work(count)) for count in (SHORT, LONG))
    assert long / short < FACTOR * SLACK
