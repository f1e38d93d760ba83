"""The checkers of what logs hold, on machines that a test makes up, wherever their logs begin.

Indexes are counted from there.
"""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
import pytest

from kvstore import api
from kvstore.raft.configuration import Configuration
from kvstore.raft.messages import AppendEntriesReply
from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState, LogStart, Role
from kvstore.sim.checkers.checker import Checker, ViolationError
from kvstore.sim.checkers.commitment import Commitment
from kvstore.sim.checkers.dropping import Dropping
from kvstore.sim.checkers.durability import Durability
from kvstore.sim.checkers.leader_completeness import LeaderCompleteness
from kvstore.sim.checkers.log_matching import LogMatching
from kvstore.sim.checkers.persist_then_speak import PersistThenSpeak
from kvstore.sim.checkers.replay import Change, Replay
from kvstore.sim.checkers.retention import Retention
from kvstore.sim.checkers.state_machine_safety import StateMachineSafety
from kvstore.sim.checkers.vouching import Vouching
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import empty_as_of, state_as_of
from kvstore.storage.base import Identity

STARTS = [LogStart(), LogStart(1, 1), LogStart(999_999_999, 3)]


@pytest.fixture(params=STARTS, ids=lambda start: f"begins at {start.index + 1}")
def start(request: pytest.FixtureRequest) -> LogStart:
    one: LogStart = request.param
    return one


class Log:
    """As the core sees it; all of it is on the disk too, and `terms` is what the disk says."""

    def __init__(self, start: LogStart) -> None:
        self.start = start
        self.commit_index = start.index
        self.entries = Indexed[Entry](start.index)
        self.terms = Indexed[int](start.index)
        self.hard_state = HardState(start.term + 9)
        self.damaged: list[int] = []
        self.unreadable: set[int] = set()
        self.configuration = Configuration.of_founders({node: str(node) for node in (1, 2, 3)})
        self.identity = Identity(1, "still", 1, "0" * 32)
        self.configurations = SimpleNamespace(as_of=lambda _index: self.configuration)

    @property
    def last_index(self) -> int:
        return self.entries.last

    @property
    def durable_index(self) -> int:
        return self.last_index

    def term(self, index: int) -> int:
        return self.start.term if index == self.start.index else self.entries[index].term

    def holds(self, index: int, term: int) -> bool:
        if index < self.start.index:
            return True
        return index <= self.last_index and self.term(index) == term

    def slice(self, first: int, stop: int, _bytes_max: int) -> list[Entry]:
        return [self.entries[index] for index in range(first, stop)]


class Core:
    """A follower, until the test says otherwise."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.role = Role.FOLLOWER
        self.current_term = log.start.term + 1
        self.durable_hard_state = log.hard_state

    @property
    def commit_index(self) -> int:
        return self.log.commit_index


class StillDisk:
    """What a start would find of a node."""

    def __init__(self, of: Host) -> None:
        self.log = of.log
        self._of = of

    @property
    def certain_index(self) -> int:
        return self._of.durable.last_applied


class Host:
    """A machine whose log the test writes."""

    session_rules = api.SessionRules()

    def __init__(self, node_id: int, checker: Checker) -> None:
        self.id = node_id
        self._checker = checker
        self.begins = checker.start
        self.log = Log(self.begins)
        applied = state_as_of(self.begins)
        self.durable = applied
        self.disk = StillDisk(self)
        self.raft = Core(self.log)
        self.machine = SimpleNamespace(last_applied=applied.last_applied, revision=applied.revision)
        self.running = SimpleNamespace(raft=self.raft, machine=self.machine)

    def write(self, *terms: int, data: bytes = b"x") -> None:
        """Entries of these terms, counted from the start's, reach log and disk."""
        first = self.log.last_index + 1
        entries = [
            Entry(first + i, self.begins.term + term, EntryKind.COMMAND, data)
            for i, term in enumerate(terms)
        ]
        self.log.entries.extend(entries)
        self.log.terms.extend(entry.term for entry in entries)
        self._checker.synced(self, DurableUpdate(entries=entries))

    def checkpoint(self) -> None:
        """What is applied is durable."""
        self.durable = msgspec.structs.replace(self.durable, last_applied=self.machine.last_applied)

    def drop(self, count: int, term: int = 1) -> None:
        """The log begins so many entries behind where the world began, core and disk alike."""
        began = LogStart(self.begins.index + count, self.begins.term + term)
        self.log.start = began
        self.log.entries.drop(began.index)
        self.log.terms.drop(began.index)
        self._checker.synced(self, DurableUpdate(start=began))

    def keep_other(self, *terms: int) -> None:
        """In place of the last entry that was written, the disk holds those of these terms."""
        self.log.terms.truncate(self.log.last_index)
        self.log.terms.extend(self.begins.term + term for term in terms)

    def end_turn(self) -> None:
        self._checker.turned(self)

    def restart(self) -> None:
        self._checker.started(self)

    def apply(self, count: int, changes: int = 0) -> None:
        """So many more entries are committed and applied, and raise the revision by that."""
        self.log.commit_index += count
        self.machine.last_applied += count
        self.machine.revision += changes
        self._checker.changed(self)

    def lead(self, term: int) -> None:
        self.raft.role, self.raft.current_term = Role.LEADER, self.begins.term + term
        self._checker.changed(self)

    def accept(self, match: int) -> None:
        reply = AppendEntriesReply(
            cluster_id="c",
            sender=self.id,
            recipient=9,
            term=self.begins.term + 1,
            success=True,
            prev_log_index=self.begins.index,
            match_index=self.begins.index + match,
        )
        self._checker.speaks(self, reply)


def hosts(checker: type[Checker], start: LogStart) -> list[Host]:
    is_replay = checker is Replay
    watching = Replay((1, 2, 3), empty_as_of(start)) if is_replay else checker((1, 2, 3), start)
    machines = [Host(node_id, watching) for node_id in (1, 2, 3)]
    for host in machines:
        host.restart()
    return machines


# --- Log matching -----------------------------------------------------------------------------


def test_one_name_is_one_entry_after_one_entry(start: LogStart) -> None:
    one, two, _ = hosts(LogMatching, start)
    for host in (one, two):
        host.write(1, 1, 2)


def test_another_entry_of_a_name_is_found(start: LogStart) -> None:
    one, two, _ = hosts(LogMatching, start)
    one.write(1)
    with pytest.raises(ViolationError, match=f"entry {start.index + 1} of term"):
        two.write(1, data=b"y")


def test_an_entry_after_another_one_is_found(start: LogStart) -> None:
    one, two, _ = hosts(LogMatching, start)
    one.write(1, 3)
    with pytest.raises(ViolationError, match=f"entry {start.index + 2} of term"):
        two.write(2, 3)


# --- Leader completeness ----------------------------------------------------------------------


def test_later_leaders_have_what_was_committed(start: LogStart) -> None:
    one, two, _ = hosts(LeaderCompleteness, start)
    one.write(1, 1)
    two.write(1, 1, 1)
    one.apply(2)
    two.lead(2)


@pytest.mark.parametrize(("terms", "lacks"), [((), 1), ((1,), 2), ((2, 2), 1)])
def test_a_leader_without_what_was_committed_is_found(
    start: LogStart, terms: tuple[int, ...], lacks: int
) -> None:
    one, two, _ = hosts(LeaderCompleteness, start)
    one.write(1, 1)
    two.write(*terms)
    one.apply(2)
    with pytest.raises(ViolationError, match=f"without entry {start.index + lacks} of term"):
        two.lead(3)


# --- State machine safety ---------------------------------------------------------------------


def test_all_commit_and_apply_the_same(start: LogStart) -> None:
    machines = hosts(StateMachineSafety, start)
    for host in machines:
        host.write(1, 1, 2)
        host.apply(2)
        host.apply(1)


def test_another_entry_that_is_committed_or_applied_is_found(start: LogStart) -> None:
    one, two, three = hosts(StateMachineSafety, start)
    one.write(1, 1)
    one.apply(2)
    two.write(1, 2)
    with pytest.raises(ViolationError, match=f"node 2 commits entry {start.index + 2} of term"):
        two.apply(2)
    three.write(1, data=b"y")
    with pytest.raises(ViolationError, match=f"node 3 applies entry {start.index + 1} of term"):
        three.apply(1)


# --- Persist, then speak; damage is not absence -----------------------------------------------


def test_a_node_vouches_as_far_as_its_disk_goes(start: LogStart) -> None:
    one, two, _ = hosts(PersistThenSpeak, start)
    one.write(1, 1)
    one.accept(2)
    two.accept(0)
    with pytest.raises(ViolationError, match=f"its disk ends at {start.index + 2}"):
        one.accept(3)


@pytest.mark.parametrize("count", [1, 2])
def test_a_node_vouches_for_no_other_entry_than_its_disk_holds(start: LogStart, count: int) -> None:
    one, _, _ = hosts(PersistThenSpeak, start)
    one.write(*[1] * count)
    one.keep_other(2)
    one.accept(count - 1)
    with pytest.raises(ViolationError, match=f"vouches for entry {start.index + count} of term"):
        one.accept(count)


def test_a_start_knows_each_entry_of_the_disk_and_all_that_is_damaged(start: LogStart) -> None:
    one, two, three = hosts(Vouching, start)
    for host in (one, two, three):
        host.write(1, 1)
    one.log.damaged = [start.index + 2]
    one.log.unreadable = {start.index + 2}
    one.restart()
    one.accept(1)
    with pytest.raises(ViolationError, match=f"cannot read entry {start.index + 2}"):
        one.accept(2)
    two.log.entries.truncate(start.index + 2)
    with pytest.raises(ViolationError, match="node 2 starts with entries of terms"):
        two.restart()
    three.log.unreadable = {start.index + 1}
    with pytest.raises(ViolationError, match=rf"on its disk it is \[{start.index + 1}\]"):
        three.restart()


# --- What is taken for durable ----------------------------------------------------------------


def test_what_is_taken_for_durable_is_on_the_disk_which_may_be_ahead(start: LogStart) -> None:
    one, two, _ = hosts(Durability, start)
    one.end_turn()
    for _ in range(2):
        one.write(1)
        one.end_turn()
    two.write(1)
    two.keep_other(1, 1)
    two.log.hard_state = HardState(start.term + 9, 2, 7)
    two.end_turn()
    two.log.hard_state = HardState(start.term + 10, 3)
    two.raft.durable_hard_state = HardState(start.term + 9, 2)
    two.end_turn()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("kept", "holds"), [((), "none"), ((2,), "one of term")])
def test_an_entry_that_is_taken_for_durable_and_is_not_is_found(
    start: LogStart, kept: tuple[int, ...], holds: str, count: int
) -> None:
    one, _, _ = hosts(Durability, start)
    one.write(*[1] * count)
    one.keep_other(*kept)
    said = f"takes entry {start.index + count} of term {start.term + 1} for durable.* {holds}"
    with pytest.raises(ViolationError, match=said):
        one.end_turn()


@pytest.mark.parametrize(
    "ahead",
    [
        {"current_term": 14},
        {"voted_for": 2},
        {"current_term": 14, "voted_for": 2},
        {"admitted_at": 6},
    ],
    ids=str,
)
@pytest.mark.parametrize("held", [HardState(13, None, 5), HardState(13, 3, 5)], ids=str)
def test_a_hard_state_that_is_taken_for_durable_and_is_not_is_found(
    start: LogStart, held: HardState, ahead: dict[str, int]
) -> None:
    one, _, _ = hosts(Durability, start)
    one.log.hard_state = one.raft.durable_hard_state = held
    one.end_turn()
    one.raft.durable_hard_state = msgspec.structs.replace(held, **ahead)
    with pytest.raises(ViolationError, match="for durable, its disk holds HardState"):
        one.end_turn()


# --- Only what is durable is dropped ------------------------------------------------------------


def test_what_is_durable_in_the_state_may_be_dropped_and_followed(start: LogStart) -> None:
    for checker in (Dropping, LogMatching, Retention, Commitment, LeaderCompleteness):
        one, two, _ = hosts(checker, start)
        for host in (one, two):
            host.write(1, 1, 1)
        for host in (one, two):
            host.apply(3)
            host.checkpoint()
            host.drop(2)
            host.restart()
            host.drop(3)
            host.accept(3)
        for host in (one, two):
            host.write(1, 2)
        two.lead(2)


def test_an_entry_follows_the_same_one_whether_that_was_dropped_or_not(start: LogStart) -> None:
    one, two, _ = hosts(LogMatching, start)
    for host in (one, two):
        host.write(1, 1, 1)
    one.apply(3)
    one.checkpoint()
    one.drop(3)
    for host in (one, two):
        host.write(1, 2)


def test_what_no_checkpoint_has_made_durable_must_not_be_dropped(start: LogStart) -> None:
    one, _, _ = hosts(Dropping, start)
    one.write(1, 1, 1)
    one.apply(2)
    one.checkpoint()
    one.apply(1)
    with pytest.raises(ViolationError, match=f"its state is durable up to {start.index + 2}"):
        one.drop(3)


def test_what_is_not_committed_must_not_be_dropped(start: LogStart) -> None:
    one, _, _ = hosts(Dropping, start)
    one.write(1, 1)
    one.machine.last_applied += 2
    one.checkpoint()
    with pytest.raises(ViolationError, match="not known to be committed"):
        one.drop(2)


def test_another_entry_than_the_committed_one_must_not_be_dropped(start: LogStart) -> None:
    one, _, _ = hosts(Dropping, start)
    one.write(1, 1)
    one.apply(2)
    one.checkpoint()
    with pytest.raises(ViolationError, match=f"entry {start.index + 2} of term"):
        one.drop(2, term=2)


def test_a_log_that_begins_earlier_again_is_found(start: LogStart) -> None:
    one, _, _ = hosts(Dropping, start)
    one.write(1, 1)
    one.apply(2)
    one.checkpoint()
    one.drop(2)
    one.log.start = LogStart(start.index + 1, start.term + 1)
    with pytest.raises(ViolationError, match="again"):
        one.restart()


def test_a_directory_that_begins_with_less_than_its_predecessor_is_none_of_that(
    start: LogStart,
) -> None:
    one, _, _ = hosts(Dropping, start)
    one.write(1, 1)
    one.apply(2)
    one.checkpoint()
    one.drop(2)
    one._checker.directory_changed(one)
    one.log.start = start
    one.restart()


# --- What the log says ------------------------------------------------------------------------

PUT = msgspec.msgpack.encode(api.Put(b"k", b"v"))
DELETE = msgspec.msgpack.encode(api.Delete((b"nobody",)))


def test_revisions_go_on_from_the_start_s(start: LogStart) -> None:
    one, two, _ = hosts(Replay, start)
    for host in (one, two):
        host.write(1, data=PUT)
        host.write(1, data=DELETE)
        host.write(1, data=PUT)
        host.apply(2, changes=1)
        host.apply(1, changes=1)
    replay = one._checker
    assert isinstance(replay, Replay)
    began = state_as_of(start).revision
    assert [*replay.made_by.numbered()] == [
        (began + 1, Change(api.Put(b"k", b"v"), 1)),
        (began + 2, Change(api.Put(b"k", b"v"), 1)),
    ]
    record = replay.record(b"k", began + 2)
    assert record == api.KeyValue(b"k", b"v", began + 1, began + 2, 2)
    assert replay.contents(began) == {}


def test_another_revision_than_the_log_s_is_found(start: LogStart) -> None:
    one, _, _ = hosts(Replay, start)
    one.write(1, data=PUT)
    with pytest.raises(ViolationError, match=f"after entry {start.index + 1}, which is"):
        one.apply(1, changes=0)
