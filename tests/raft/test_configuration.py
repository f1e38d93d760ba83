"""Who votes, counted in one place, by whatever configuration is in force (Raft §5.2, §5.3, §6)."""

from __future__ import annotations

import msgspec
import pytest
from founding import founders

from kvstore.raft.changes import demoted, promoted
from kvstore.raft.configuration import NOT_ADMITTED, Configuration, Member
from kvstore.raft.configurations import Configurations
from kvstore.raft.messages import AppendEntries, FetchEntries
from kvstore.raft.safety import SafetyViolationError
from kvstore.raft.types import HardState, LogStart, Role

from .disk import THREE, Disk, configured, entry
from .harness import World, bench, leader_bench
from .messages import accepted, append, fetched, pre_vote_reply, rejected


def voters(*ids: int) -> Configuration:
    return founders(ids)


FIVE = voters(1, 2, 3, 4, 5)


def come_into_force(world: World, configuration: Configuration) -> None:
    """As if an entry of the log had brought it."""
    log = world.raft().log
    log.configurations = Configurations(log.start.index, configuration, ())
    log.configuration = configuration


def spoken_to(world: World, kind: type) -> set[int]:
    """To whom such messages have left."""
    return {message.recipient for message in world.take_sent() if isinstance(message, kind)}


# --- Counting ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)]
)
def test_two_majorities_always_share_a_voter(members: int, needed: int) -> None:
    """Raft §5.4.3: the smallest group for which that holds."""
    assert voters(*range(members)).majority == needed
    assert 2 * needed > members >= 2 * (needed - 1)


def test_outsiders_are_no_part_of_a_majority() -> None:
    """Raft §5.2: only voters vote."""
    assert THREE.has_majority({1, 2})
    assert not THREE.has_majority({1, 8, 9})


@pytest.mark.parametrize(
    ("match", "index"),
    [([5], 5), ([5, 3], 3), ([9, 4, 1], 4), ([9, 8, 2, 1], 2), ([9, 8, 5, 2, 1], 5)],
)
def test_the_index_held_by_a_majority(match: list[int], index: int) -> None:
    """Raft Figure 2, leaders 4: a majority of match indexes is at or above it."""
    marks = dict(enumerate(match))
    assert voters(*marks).reached_by_majority(marks) == index


def test_marks_of_outsiders_lift_no_majority() -> None:
    """Raft Figure 2, leaders 4."""
    assert THREE.reached_by_majority({1: 7, 2: 3, 3: 3, 8: 9, 9: 9}) == 3


def test_a_voter_without_a_mark_is_not_left_out() -> None:
    """A majority of those who happen to be known would be a smaller one."""
    with pytest.raises(KeyError):
        THREE.reached_by_majority({1: 7, 2: 7})


# --- The configuration in force ----------------------------------------------------------------


def test_votes_are_counted_by_the_configuration_in_force() -> None:
    """Raft §6: a server uses the latest configuration in its log."""
    world = bench(term=3)
    world.fall_silent(1)
    come_into_force(world, FIVE)
    world.hand(pre_vote_reply(2, 3))
    assert world.raft().role is Role.PRE_CANDIDATE
    world.hand(pre_vote_reply(5, 3))
    assert world.raft().current_term == 4


def test_an_entry_needs_a_majority_of_the_voters_that_came_meanwhile() -> None:
    """Raft §6."""
    world = leader_bench([], term=2)
    come_into_force(world, FIVE)
    world.hand(accepted(2, 2, match=1))
    assert world.raft().commit_index == 0
    world.hand(accepted(5, 2, match=1))
    assert world.raft().commit_index == 1


def test_a_voter_that_came_meanwhile_is_sent_the_log() -> None:
    """Raft §6: from where the leader's log ends now, and back from there."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    world.take_sent()
    come_into_force(world, FIVE)
    world.tick(1, 100)
    assert spoken_to(world, AppendEntries) == {2, 3, 4, 5}


def test_a_voter_that_left_is_spoken_to_no_more_and_not_listened_to() -> None:
    """Raft §6."""
    world = leader_bench([], term=2)
    come_into_force(world, voters(1, 2))
    world.take_sent()
    world.tick(1, 100)
    assert spoken_to(world, AppendEntries) == {2}
    world.hand(accepted(3, 2, match=1))
    assert world.raft().commit_index == 0
    world.hand(accepted(2, 2, match=1))
    assert world.raft().commit_index == 1


def test_a_read_that_waits_is_confirmed_by_the_voters_that_came_meanwhile() -> None:
    """Raft §8: a majority of those who could elect another leader."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1))
    world.read(1, 7)
    come_into_force(world, FIVE)
    world.hand(accepted(2, 2, match=1, read_round=1))
    assert not world.nodes[1].reads
    world.hand(accepted(4, 2, match=1, read_round=1))
    assert [read.read_id for read in world.nodes[1].reads] == [7]


def test_a_leader_keeps_a_majority_of_the_configuration_in_force() -> None:
    """Thesis §6.2: who answers of those that left keeps nobody."""
    world = leader_bench([], term=2)
    come_into_force(world, FIVE)
    for _ in range(11):
        world.hand(accepted(2, 2, match=1))
        world.tick(1, 100)
    assert world.raft().role is Role.FOLLOWER


def test_an_heir_that_leaves_is_waited_for_no_longer() -> None:
    """Thesis §3.10: it could not be elected."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    world.propose(1, "x")
    world.turn(1, lambda raft: raft.hand_over(3))
    come_into_force(world, voters(1, 2))
    world.tick(1, 10)
    assert world.raft().takes_commands


def test_a_voter_that_came_meanwhile_is_asked_for_what_was_lost() -> None:
    """A node asks whoever may hold it."""
    world = bench([1, 1], 1)
    world.crash(1)
    world.disk().damaged = {2}
    world.restart(1)
    come_into_force(world, FIVE)
    world.tick(1, 100)
    assert spoken_to(world, FetchEntries) == {2, 3, 4, 5}


def test_an_answer_of_who_left_meanwhile_is_taken_all_the_same() -> None:
    """An entry is what its name says, whoever gives it."""
    world = bench([1, 1], 1)
    world.crash(1)
    world.disk().damaged = {2}
    world.restart(1)
    world.tick(1, 100)
    without = configured(3, 1, THREE.without(2))
    world.hand(msgspec.structs.replace(append(3, 1, prev=(2, 1)), entries=(without,)))
    world.hand(fetched(2, 1, entry(2, 1)))
    assert not world.raft().log.damaged


# --- Members that come and go ------------------------------------------------------------------


def led_by_one(size: int = 3) -> World:
    world = World(size)
    world.elect(1)
    world.settle()
    return world


def change(world: World, configuration: Configuration) -> int:
    """The leader, node 1, goes over to it."""
    return world.turn(1, lambda raft: raft.change(configuration))[0]


def calm(world: World, rounds: int = 10) -> None:
    for _ in range(rounds):
        world.tick_all(50)
        world.settle()


def test_a_new_node_gets_the_log_as_a_learner_and_votes_once_it_keeps_up() -> None:
    """Thesis §4.2.1."""
    name = "d" * 32
    newcomer = Disk(HardState(admitted_at=NOT_ADMITTED), directory=name)
    world = World(4, running=[1, 2, 3], disks={4: newcomer})
    for node_id in (1, 2, 3):
        world.crash(node_id)
        world.disk(node_id).configuration = THREE
        world.restart(node_id)
    world.elect(1)
    world.propose(1, *"abc")
    world.settle()
    joined = THREE.with_member(Member(4, "h:4", NOT_ADMITTED))
    change(world, joined)
    world.settle()
    assert world.raft(1).log.configuration.voters == {1, 2, 3}
    world.restart(4)
    calm(world)
    assert world.terms(4) == world.terms(1)
    voters = world.raft(4).log.configuration
    assert voters == promoted(joined, 4, name, at=world.raft(4).admitted_at)
    world.crash(1)
    world.crash(2)
    calm(world, 60)
    assert world.leaders == [], "two of four are no majority"


def test_a_learner_that_lags_is_not_promoted() -> None:
    world = leader_bench([1] * 1_030, term=2)
    world.hand(accepted(2, 2, match=1_031))
    learner = demoted(THREE, 3)
    change(world, learner)
    world.hand(accepted(2, 2, match=1_032))
    lagging = msgspec.structs.replace(
        accepted(3, 2, match=7), rejoining="d" * 32, admitted_at=NOT_ADMITTED
    )
    world.hand(lagging)
    assert world.raft().log.configuration == learner
    world.hand(msgspec.structs.replace(lagging, match_index=8))
    assert world.raft().log.configuration == promoted(learner, 3, "d" * 32, at=1_033)


def test_a_learner_that_lacks_what_is_before_the_log_is_not_promoted_however_short_that_is() -> (
    None
):
    """It needs a snapshot, of whatever size, though nobody has found out yet."""
    world = leader_bench([2, 2], 3, start=LogStart(10, 2))
    world.nodes[1].applied = [*world.log()[:2]]
    world.hand(accepted(2, 3, match=13))
    learner = demoted(THREE, 3)
    change(world, learner)
    world.hand(accepted(2, 3, match=14))
    new = {"rejoining": "d" * 32, "admitted_at": NOT_ADMITTED}
    for prev in (14, 10):
        world.hand(msgspec.structs.replace(rejected(3, 3, prev, conflict=(1, 0)), **new))
        assert world.raft().log.configuration == learner
    world.hand(msgspec.structs.replace(accepted(3, 3, match=10), **new))
    assert world.raft().log.configuration == promoted(learner, 3, "d" * 32, at=15)


def test_who_is_promoted_counts_as_answering_from_then_on() -> None:
    """Its answers counted for nothing before: a leader whose majority it makes would leave."""
    world = leader_bench([1] * 1_030, term=2)
    world.hand(accepted(2, 2, match=1_031))
    change(world, THREE.without(3))
    world.hand(accepted(2, 2, match=1_032))
    alone = demoted(THREE.without(3), 2)
    change(world, alone)
    lagging = msgspec.structs.replace(
        accepted(2, 2, match=7), rejoining="d" * 32, admitted_at=NOT_ADMITTED
    )
    for _ in range(30):
        world.hand(lagging)
        world.tick(1, 100)
    assert world.raft().log.configuration == alone
    world.hand(msgspec.structs.replace(lagging, match_index=1_033))
    assert world.raft().log.configuration.voters == {1, 2}
    world.tick(1, 50)
    assert world.raft().role is Role.LEADER


def test_a_follower_that_is_removed_counts_no_more_from_the_append_on() -> None:
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1))
    change(world, THREE.without(3))
    world.hand(accepted(3, 2, match=2))
    assert world.raft().commit_index == 1
    world.hand(accepted(2, 2, match=2))
    assert world.raft().commit_index == 2


def test_a_leader_that_is_removed_leads_until_that_is_committed_and_hands_over() -> None:
    """Thesis §4.2.2: it counts itself for nothing, and another leads at once."""
    world = led_by_one(4)
    everybody = world.raft(1).log.configuration
    world.cut = {(1, 3), (1, 4)}
    index = change(world, everybody.without(1))
    world.settle()
    world.tick(1, 50)
    assert world.raft(1).takes_commands
    assert world.raft(1).match_index[2] == index
    assert world.raft(1).commit_index < index, "itself and node 2 are no majority of 2, 3 and 4"
    world.heal()
    calm(world)
    assert world.raft(1).role is Role.FOLLOWER
    assert len(world.leaders) == 1
    assert world.raft(world.leaders[0]).log.configuration == everybody.without(1)


def test_a_removed_leader_whom_nobody_can_follow_stops_leading() -> None:
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1), accepted(3, 2, match=1))
    change(world, THREE.without(1))
    world.hand(accepted(2, 2, match=2), accepted(3, 2, match=2))
    world.unreachable = {2, 3}
    world.tick(1, 50)
    assert world.raft().role is Role.FOLLOWER


def test_of_two_voters_no_more_than_one_comes_or_goes() -> None:
    """Thesis §4.1: or two majorities need not meet."""
    world = leader_bench([], term=2)
    world.hand(accepted(2, 2, match=1))
    swapped = promoted(demoted(THREE, 3), 3, "d" * 32, at=2)
    for wrong in (voters(1), FIVE, swapped, Configuration()):
        with pytest.raises(SafetyViolationError):
            world.act(1, lambda raft, wrong=wrong: raft.change(wrong))
    assert world.raft().log.configuration == THREE


def test_an_address_may_change_while_everybody_votes_on() -> None:
    world = led_by_one()
    member = THREE.member(2)
    assert member is not None
    moved = THREE.with_member(msgspec.structs.replace(member, address="h:7"))
    change(world, moved)
    world.settle()
    assert world.raft(3).log.configuration == moved
    world.heartbeat(1)
    assert world.raft(2).commit_index == world.raft(1).log.last_index
