"""The two checkers of what survives a lost directory, on machines that a test makes up.

Indexes are counted from where the logs of all machines begin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TypeAlias

import pytest
from founding import founders

from kvstore.raft.changes import demoted
from kvstore.raft.configuration import NOT_ADMITTED, Configuration
from kvstore.raft.configurations import Configurations
from kvstore.raft.messages import AppendEntriesReply
from kvstore.raft.types import (
    DurableUpdate,
    Entry,
    EntryKind,
    HardState,
    LogStart,
    Role,
)
from kvstore.sim.checkers.checker import Checker, ViolationError
from kvstore.sim.checkers.commitment import Commitment
from kvstore.sim.checkers.retention import Retention
from kvstore.sim.indexed import Indexed
from kvstore.storage.base import Identity

MEMBERS = (1, 2, 3)
STARTS = [LogStart(), LogStart(1, 1), LogStart(999_999_999, 1)]


@dataclass
class Log:
    """What is on a disk; in the core's log is the same."""

    terms: Indexed[int]
    identity: Identity
    configurations: Configurations
    hard_state: HardState = field(default_factory=HardState)
    start: LogStart = field(default_factory=LogStart)

    @property
    def configuration(self) -> Configuration:
        return self.configurations.in_force

    def term(self, index: int) -> int:
        return self.terms[index]

    def holds(self, index: int, term: int) -> bool:
        return self.terms.get(index) == term


class Host:
    """A machine whose disk the test writes, and whose commit index it sets."""

    def __init__(self, node_id: int, checker: Checker) -> None:
        self.id = node_id
        self._checker = checker
        self._start = checker.start.index
        self._made = 0
        self.replace(HardState())
        checker.started(self)

    def replace(self, hard_state: HardState) -> None:
        """An empty disk."""
        identity = Identity(1, "c", self.id, f"{self._made:032x}", is_founder=not self._made)
        self._made += 1
        configurations = Configurations(self._start, founders(MEMBERS), ())
        log = Log(Indexed(self._start), identity, configurations, hard_state)
        self.disk = SimpleNamespace(log=log)
        raft = {"role": Role.FOLLOWER, "current_term": 1, "commit_index": self._start, "log": log}
        self.running = SimpleNamespace(raft=SimpleNamespace(**raft))

    def lose_directory(self) -> None:
        self.replace(HardState(admitted_at=NOT_ADMITTED))

    def write(self, *terms: int, admitted_at: int | None = None) -> None:
        """Append entries of these terms, or be admitted."""
        log = self.disk.log
        first = log.terms.last + 1
        entries = [Entry(first + i, t, EntryKind.COMMAND, b"") for i, t in enumerate(terms)]
        log.terms.extend(terms)
        if admitted_at is not None:
            log.hard_state = HardState(admitted_at=self._start + admitted_at)
        self._checker.synced(self, DurableUpdate(entries=entries))

    def roll_back(self) -> None:
        """Remove all entries, as a leader has others."""
        self.forget()
        self._checker.synced(self, DurableUpdate(truncate_from=self._start + 1))

    def forget(self) -> None:
        """No entry is on the disk any more, and nobody has asked for that."""
        self.disk.log.terms.truncate(self._start + 1)

    def accept(self, match_index: int, leader: int = 1, rejoining: str = "") -> None:
        """Tell the leader of term 1 how far its log is here."""
        reply = AppendEntriesReply(
            cluster_id="c",
            sender=self.id,
            recipient=leader,
            term=1,
            admitted_at=NOT_ADMITTED if rejoining else 0,
            success=True,
            prev_log_index=0,
            match_index=self._start + match_index,
            rejoining=rejoining,
        )
        self._checker.speaks(self, reply)

    def commit(self, index: int, role: Role = Role.LEADER) -> None:
        """As the leader of term 1."""
        raft = self.running.raft
        raft.role = role
        self._checker.changed(self)
        raft.commit_index = self._start + index
        self._checker.changed(self)


Hosts: TypeAlias = Callable[[type[Checker]], list[Host]]


@pytest.fixture(params=STARTS, ids=lambda start: f"begins at {start.index + 1}")
def start(request: pytest.FixtureRequest) -> LogStart:
    one: LogStart = request.param
    return one


@pytest.fixture
def hosts(start: LogStart) -> Hosts:
    """Three machines that a checker watches."""

    def make(checker: type[Checker]) -> list[Host]:
        watching = checker(MEMBERS, start)
        return [Host(node_id, watching) for node_id in MEMBERS]

    return make


# --- Commitment --------------------------------------------------------------------------------


def test_a_word_counts_though_its_directory_was_lost_since(hosts: Hosts) -> None:
    """The entry is on one disk of three, and safe."""
    one, two, _ = hosts(Commitment)
    one.write(1)
    two.write(1)
    two.accept(1)
    two.lose_directory()
    one.commit(1)


def test_a_leader_that_counts_what_nobody_said_is_found(hosts: Hosts) -> None:
    one, two, _ = hosts(Commitment)
    one.write(1)
    two.write(1)
    with pytest.raises(ViolationError, match=r"by the word of \[1\]"):
        one.commit(1)


def test_a_word_for_less_than_is_committed_does_not_count(hosts: Hosts) -> None:
    one, two, _ = hosts(Commitment)
    one.write(1, 1)
    two.write(1, 1)
    two.accept(1)
    with pytest.raises(ViolationError, match=r"by the word of \[1\]"):
        one.commit(2)


def test_a_word_to_another_leader_does_not_count(hosts: Hosts) -> None:
    one, two, _ = hosts(Commitment)
    one.write(1)
    two.write(1)
    two.accept(1, leader=3)
    with pytest.raises(ViolationError, match=r"by the word of \[1\]"):
        one.commit(1)


def test_the_word_of_a_directory_that_waits_does_not_count(hosts: Hosts) -> None:
    one, two, _ = hosts(Commitment)
    one.write(1)
    two.lose_directory()
    two.write(1)
    two.accept(1, rejoining="e" * 32)
    with pytest.raises(ViolationError, match=r"by the word of \[1\]"):
        one.commit(1)


def test_a_leader_vouches_by_its_disk(hosts: Hosts, start: LogStart) -> None:
    one, two, three = hosts(Commitment)
    for follower in (two, three):
        follower.write(1)
    two.accept(1)
    of_one = one.disk.log
    one.running.raft.log = Log(Indexed(start.index, [1]), of_one.identity, of_one.configurations)
    with pytest.raises(ViolationError, match=r"by the word of \[2\]"):
        one.commit(1)


# --- Retention ---------------------------------------------------------------------------------


@pytest.fixture
def committed(hosts: Hosts) -> list[Host]:
    """Entry 1 is on the disks of 1 and 2, and committed."""
    nodes = hosts(Retention)
    nodes[0].write(1)
    nodes[1].write(1)
    nodes[0].commit(1)
    return nodes


def test_a_directory_that_is_lost_may_come_back_with_what_it_held(committed: list[Host]) -> None:
    _, two, three = committed
    two.lose_directory()
    two.write(1, 1)
    two.write(admitted_at=2)
    three.write(1)


def test_an_entry_that_is_removed_where_it_is_committed_is_missed(committed: list[Host]) -> None:
    _, two, _ = committed
    two.forget()
    with pytest.raises(ViolationError, match="node 2 held what is committed"):
        two.write()


def test_what_is_committed_is_on_all_voters_but_a_minority(hosts: Hosts) -> None:
    one, _, _ = hosts(Retention)
    one.write(1)
    with pytest.raises(ViolationError, match=r"the disks of \[2, 3\] of \[1, 2, 3\] vote without"):
        one.commit(1)


def test_directories_that_wait_are_no_voters(committed: list[Host]) -> None:
    """Two of three are lost: nobody can elect, until what is left comes back."""
    one, two, three = committed
    three.lose_directory()
    two.lose_directory()
    one.write(1)


def test_an_old_directory_that_comes_back_counts_no_more(committed: list[Host]) -> None:
    _, two, three = committed
    three.write(1)
    old = two.disk
    two.lose_directory()
    two.write(1, 1)
    two.write(admitted_at=2)
    two.disk = old
    two.forget()
    two.write()


def test_what_a_voter_rolled_back_before_it_was_committed_it_may_lack(hosts: Hosts) -> None:
    """Raft §5.4.2: a later leader, which kept the entry, commits it with others."""
    one, two, three = hosts(Retention)
    for host in (one, two):
        host.write(1)
    two.roll_back()
    two.write(2)
    three.write(1)
    one.commit(1)


def test_who_votes_by_what_is_committed_is_counted(hosts: Hosts, start: LogStart) -> None:
    """Node 3 is a learner: of two voters one is no majority."""
    one, two, three = hosts(Retention)
    learner = demoted(founders(MEMBERS), 3)
    one.disk.log.configurations = Configurations(start.index, learner, ())
    one.write(1)
    two.write(1)
    one.commit(1)
    three.write(1)
    two.lose_directory()
    one.write(1)


def test_another_entry_at_the_first_index_is_not_the_one_that_is_committed(hosts: Hosts) -> None:
    one, two, three = hosts(Retention)
    one.write(1)
    for host in (two, three):
        host.write(2)
    with pytest.raises(ViolationError, match=r"the disks of \[2, 3\] of \[1, 2, 3\] vote without"):
        one.commit(1)
