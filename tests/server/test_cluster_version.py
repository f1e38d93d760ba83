"""Which version of the protocol a cluster has, and who may speak there (decision 38)."""

from __future__ import annotations

import msgspec
import pytest
from until import until

from kvstore import api
from kvstore.errors import DirectoryRefusedError
from kvstore.raft.changes import demoted
from kvstore.raft.events import VersionRaised
from kvstore.raft.snapshot_events import SnapshotInstalled
from kvstore.raft.types import Entry, EntryKind
from kvstore.raft.versions import FIRST_VERSION, Versions, version_data, version_of
from kvstore.server.cluster_version import Release
from kvstore.wire import peer

from .cluster import Claim, Cluster, FullState
from .line import THEIRS, Line

OLD, NEW, NEWEST = Versions(2, 2), Versions(2, 3), Versions(3, 4)


class Mixed(Cluster):
    """Nodes of different programs."""

    def __init__(self, *speaks: Versions) -> None:
        self.speaks = dict(enumerate(speaks, start=1))
        super().__init__(len(speaks))

    def release_of(self, node_id: int) -> Release:
        return Release(self.speaks[node_id], since_of)

    def replace(self, node_id: int, speaks: Versions) -> None:
        """Start a node again with another program."""
        self.speaks[node_id] = speaks
        self.crash(node_id)

    @property
    def versions(self) -> list[int]:
        """What the cluster has, as each node sees it."""
        return [node.machine.cluster_version for node in self.nodes.values()]

    def proposed(self) -> list[bytes]:
        """The versions in the log of who leads."""
        log = self.elect().raft.log
        return [e.data for e in log.slice(1, log.last_index + 1, 1 << 20) if e.kind is VERSION]


VERSION = EntryKind.VERSION


def since_of(command: api.Command) -> int:
    """In these releases, counting came with version 3."""
    return 3 if isinstance(command, api.Increment) else 0


def test_a_log_that_says_nothing_else_is_of_the_first_version() -> None:
    cluster = Mixed(OLD, OLD, OLD)
    cluster.elect()
    cluster.run()
    assert cluster.versions == [FIRST_VERSION] * 3
    assert cluster.proposed() == []


def test_the_leader_raises_the_version_when_all_speak_a_newer_one() -> None:
    cluster = Mixed(NEW, NEW, Versions(2, 4))
    cluster.elect()
    cluster.run(1_000)
    assert cluster.versions == [3, 3, 3]
    assert cluster.proposed() == [b"3"], "once, though every turn asks"
    for events in cluster.events.values():
        assert [event.version for event in events if isinstance(event, VersionRaised)] == [3]


def test_one_that_is_older_or_away_holds_the_version_back() -> None:
    cluster = Mixed(OLD, NEW, NEW)
    assert cluster.elect().raft.id != 1
    cluster.run(1_000)
    assert cluster.proposed() == []
    cluster.asleep = {1}
    cluster.run(1_000)
    assert cluster.proposed() == [], "who is away may come back as it was"
    cluster.asleep = set()
    cluster.replace(1, NEW)
    cluster.elect()
    cluster.run(1_000)
    assert cluster.versions == [3, 3, 3]


def test_a_learner_that_is_older_holds_the_version_back_too() -> None:
    """It gets the log, and could not go on with it (simulator, seed 253)."""
    cluster = Mixed(NEW, NEW, OLD)
    cluster.isolate(3)
    leader = cluster.elect()
    cluster.turn(leader.raft.id)
    leader.raft.change(demoted(leader.raft.log.configuration, 3))
    cluster.run()
    assert 3 not in leader.raft.log.configuration.voters
    assert cluster.proposed() == []


def test_the_version_is_kept_with_the_data_and_found_again() -> None:
    cluster = Mixed(NEW, NEW, NEW)
    cluster.elect()
    cluster.run(1_000)
    for node_id, node in cluster.nodes.items():
        node.checkpoint()
        cluster.crash(node_id)
    assert cluster.versions == [3, 3, 3]


def test_who_has_the_version_by_a_snapshot_takes_what_needs_it() -> None:
    """Its log never held the entry that gave it."""
    cluster = Mixed(NEW, NEW, NEW)
    cluster.isolate(3)
    leader = cluster.elect()
    cluster.run(1_000)
    assert cluster.versions == [3, 3, FIRST_VERSION]
    leader.checkpoint()
    leader.raft.compact(leader.machine.last_applied)
    cluster.heal()
    follower = cluster.nodes[3]
    until(lambda: follower.machine.cluster_version == 3, cluster.run, "it has the version")
    assert any(isinstance(event, SnapshotInstalled) for event in cluster.events[3])
    until(lambda: leader.raft.hand_over(3) is not None, cluster.run, "it can lead")
    until(lambda: follower.raft.has_committed_in_term, cluster.run, "it leads")
    claim = Claim()
    follower.submit_command(api.Increment(b"n", 1), claim)
    cluster.run()
    assert isinstance(claim.result, api.IncrementResult)


def test_a_version_does_not_go_back_whatever_a_later_entry_says() -> None:
    cluster = Mixed(NEW)
    leader = cluster.elect()
    cluster.run()
    assert leader.raft.leadership is not None
    leader.raft.log.add(leader.raft.current_term, VERSION, version_data(2))
    cluster.run()
    assert cluster.proposed() == [b"3", b"2"]
    assert cluster.versions == [3]
    said = [event for event in cluster.events[1] if isinstance(event, VersionRaised)]
    assert len(said) == 1


def test_what_needs_a_newer_version_is_refused_until_the_cluster_has_it() -> None:
    cluster = Mixed(OLD, NEW, NEW)
    leader = cluster.elect()
    assert cluster.speaks[leader.raft.id] == NEW
    claim, plain = Claim(), Claim()
    last = leader.raft.log.last_index
    assert leader.submit_command(api.Increment(b"n", 1), claim) is None
    assert leader.raft.log.last_index == last
    leader.submit_command(api.Put(b"k", b"v"), plain)
    cluster.run()
    assert claim.failure.code is api.FailureCode.INVALID
    assert "needs version 3 of the protocol, and the cluster has 2" in claim.failure.message
    assert isinstance(plain.result, api.PutResult)


def test_what_needs_it_is_taken_as_soon_as_it_is_applied_and_not_before() -> None:
    cluster = Mixed(NEW)
    version = cluster.elect().cluster_version
    has = cluster.nodes[1].machine.cluster_version
    if has < 3:
        assert version.refuse(api.Increment(b"n", 1)) is not None
    cluster.run()
    assert version.refuse(api.Increment(b"n", 1)) is None


def test_a_write_in_a_session_needs_what_its_write_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    row = msgspec.structs.replace(api.COMMAND_ROW_OF[api.Increment], since=3)
    monkeypatch.setitem(api.COMMAND_ROW_OF, api.Increment, row)
    assert api.since_of(api.Once(7, 1, api.Increment(b"n", 1))) == 3
    assert api.since_of(api.Once(7, 1, api.Put(b"k", b"v"))) == 0


def test_a_program_that_is_too_old_ends_at_the_entry_and_applies_nothing_behind_it() -> None:
    cluster = Mixed(NEW, NEW, NEW)
    cluster.asleep = {3}
    cluster.elect()
    cluster.run(1_000)
    assert cluster.proposed() == [], "one was away"
    cluster.asleep = set()
    cluster.elect()
    cluster.run(1_000)
    # Its data is gone, so it is built anew from the log.
    identity = cluster.states[3].identity
    cluster.states[3] = FullState(identity, cluster.room, cluster.state_room)
    cluster.replace(3, OLD)
    with pytest.raises(DirectoryRefusedError) as refused:
        cluster.run(1_000)
    assert "the cluster has version 3 of the protocol, and this program speaks 2" in str(
        refused.value
    )
    assert "start this node with a release that speaks 3" in str(refused.value)
    log = cluster.logs[3]
    at = cluster.nodes[3].machine.last_applied
    [entry] = log.entries(at, at + 1, 1 << 20)
    assert entry.kind is VERSION


def test_a_program_that_is_too_old_for_its_own_data_does_not_start() -> None:
    cluster = Mixed(NEW)
    cluster.elect()
    cluster.run()
    cluster.nodes[1].checkpoint()
    with pytest.raises(DirectoryRefusedError, match="version 3 of the protocol"):
        cluster.replace(1, OLD)


def test_an_upgrade_is_undone_node_by_node_until_the_last_node_has_it() -> None:
    cluster = Mixed(OLD, OLD, OLD)
    for node_id, speaks in ((1, NEW), (2, NEW), (2, OLD), (1, OLD)):
        cluster.replace(node_id, speaks)
        leader = cluster.elect()
        claim = Claim()
        leader.submit_command(api.Put(b"k", b"v"), claim)
        cluster.run(1_000)
        assert isinstance(claim.result, api.PutResult)
    assert cluster.versions == [2, 2, 2]


@pytest.mark.parametrize("data", [b"", b"0", b"-1", b"03", b"3 ", b"x", b"9" * 11, b"4294967297"])
def test_an_entry_that_names_no_version_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="names no version"):
        version_of(Entry(1, 1, VERSION, data))


def test_a_version_is_in_its_entry_as_it_was() -> None:
    for version in (1, 2, 10, 1 << 32):
        assert version_of(Entry(1, 1, VERSION, version_data(version))) == version


@pytest.mark.parametrize(("oldest", "newest"), [(0, 1), (3, 2), (1, (1 << 32) + 1), (-1, -1)])
def test_a_range_that_makes_no_sense_is_none(oldest: int, newest: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Versions(oldest, newest)


# --- Hellos -----------------------------------------------------------------------------------


def greeting(line: Line, **changes: object) -> bytes:
    return line.ask(peer.encode_hello(msgspec.structs.replace(THEIRS, **changes)))


@pytest.mark.parametrize("speaks", [Versions(1, 2), Versions(2, 9), Versions(1, 9)])
def test_peers_whose_ranges_meet_talk(follower: Line, speaks: Versions) -> None:
    assert greeting(follower, speaks=speaks).startswith(b"$")


def test_peers_whose_ranges_do_not_meet_are_told_which_to_upgrade(follower: Line) -> None:
    answer = greeting(follower, speaks=NEWEST)
    assert answer.startswith(b"-ERR refused: node 1 speaks protocol 2, node 2 3 to 4; start node 1")
    assert b"with a release that speaks 3, or node 2 with one that still speaks 2" in answer
    assert follower.is_closed


def test_who_is_too_old_for_the_cluster_is_refused_for_good(follower: Line) -> None:
    follower.node.machine.adopt(3)
    answer = greeting(follower, speaks=OLD)
    assert answer.startswith(b"-FINAL the cluster has version 3 of the protocol, and node 2 speaks")
    assert b"start it with a release that speaks 3, as node 1 does" in answer
    assert follower.is_closed


def test_a_stranger_that_is_too_old_is_told_first_that_it_is_one(follower: Line) -> None:
    follower.node.machine.adopt(3)
    assert b"belongs to cluster" in greeting(follower, speaks=OLD, cluster_id="other")


def test_a_node_that_a_peer_shows_to_be_too_old_ends(follower: Line) -> None:
    with pytest.raises(DirectoryRefusedError, match=r"has version 3 .* node 1 speaks 2: start it"):
        greeting(follower, speaks=NEW, cluster_version=3)


def test_a_hello_tells_the_version_of_the_cluster_as_it_was_applied(follower: Line) -> None:
    follower.node.machine.adopt(2)
    answer = greeting(follower)
    hello = peer.decode_hello(answer.split(b"\r\n", 1)[1][:-2])
    assert (hello.speaks, hello.cluster_version) == (Versions(2, 2), 2)


def test_of_a_cluster_that_has_all_that_its_leader_speaks_nothing_is_asked() -> None:
    """A leader's hot path: with nothing newer to speak, no command is looked at."""
    assert not Mixed(OLD).nodes[1].cluster_version.missing
    cluster = Mixed(NEW)
    cluster.elect()
    cluster.run()
    assert not cluster.nodes[1].cluster_version.missing
