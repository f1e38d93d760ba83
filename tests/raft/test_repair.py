"""Entries that a node's disk has lost: neither served, nor forgotten, and fetched from whoever
holds them.
"""

from __future__ import annotations

import random

import msgspec
import pytest

from kvstore.raft.configurations import configuration_data
from kvstore.raft.events import Repaired
from kvstore.raft.messages import (
    FETCHED_ENTRIES_MAX,
    FETCHED_RANGES_MAX,
    AppendEntriesReply,
    FetchEntries,
    FetchEntriesReply,
)
from kvstore.raft.types import Entry, EntryKind, HardState, RaftSettings, Role

from .disk import THREE, Disk, entries_of_terms, entry
from .harness import World, bench
from .messages import (
    accepted,
    append,
    fetch,
    fetched,
    pre_vote,
    pre_vote_reply,
    request_vote,
    timeout_now,
    vote_reply,
)

LOG = [1, 1, 2, 2, 3]


def damaged_bench(*damaged: int, terms: list[int] = LOG, term: int = 3, members: int = 3) -> World:
    """Node 1 alone on a bench; of its entries, these are damaged."""
    disk = Disk(HardState(term), entries_of_terms(terms))
    disk.damaged = set(damaged)
    return World(members, running=[1], disks={1: disk})


def damaged_world(damaged: dict[int, set[int]], logs: dict[int, list[int]]) -> World:
    """Three nodes in term 3 with these logs, of which these entries are damaged."""
    disks = {}
    for node, terms in logs.items():
        disks[node] = Disk(HardState(3), entries_of_terms(terms))
        disks[node].damaged = damaged.get(node, set())
    return World(3, disks=disks)


def calm(world: World, rounds: int = 80) -> None:
    for _ in range(rounds):
        world.tick_all(50)
        world.settle()


# --- What a node with damage says --------------------------------------------------------------


def test_it_asks_every_peer_for_the_very_entries_and_says_so_once() -> None:
    """Raft §5.3: index and term name an entry."""
    world = damaged_bench(2, 4)
    world.tick(1, 50)
    lost = ((2, 2, 1), (4, 4, 2))
    assert world.take_sent() == [fetch(1, 3, *lost, to=2), fetch(1, 3, *lost, to=3)]
    world.tick(1, 200)
    assert len(world.take_sent()) == 4, "once a heartbeat, to each"
    assert world.lines() == [
        "cannot vouch for log entry 2 of term 1 and 1 more: asking the other nodes for it"
    ]


def test_a_run_of_lost_entries_is_one_range_a_term() -> None:
    """However long it is."""
    terms = [1] * 4_000 + [2] * 4_000
    world = damaged_bench(*range(100, 5_001), terms=terms)
    world.tick(1, 50)
    assert world.take_sent(to=2) == [fetch(1, 3, (100, 4_000, 1), (4_001, 5_000, 2), to=2)]


def test_it_asks_for_a_bounded_number_of_ranges_at_once() -> None:
    """One message must not grow with the damage."""
    world = damaged_bench(*range(1, 2_000, 2), terms=[1] * 2_000)
    world.tick(1, 50)
    (question,) = world.take_sent(to=2)
    assert isinstance(question, FetchEntries)
    assert len(question.ranges) == FETCHED_RANGES_MAX
    assert question.ranges[-1].last == 2 * FETCHED_RANGES_MAX - 1


def test_it_never_stands_for_election() -> None:
    """As a leader it could not give its followers what it cannot read."""
    world = damaged_bench(5)
    world.tick(1, 20_000)
    world.hand(timeout_now(2, 3))
    assert (world.raft().role, world.raft().current_term) == (Role.FOLLOWER, 3)
    assert {type(m) for m in world.take_sent()} == {FetchEntries}


def test_it_gives_up_a_leader_that_falls_silent_though_it_does_not_stand() -> None:
    """Else it sends clients to one that may be gone."""
    world = damaged_bench(5)
    world.hand(append(2, 3, prev=(5, 3)))
    assert world.raft().leader_id == 2
    world.tick(1, 2_000)
    assert world.raft().leader_id is None


@pytest.mark.parametrize(
    ("last", "granted"), [((5, 3), True), ((4, 2), False), ((9, 2), False)], ids=str
)
def test_it_votes_as_one_that_holds_what_it_held(last: tuple[int, int], granted: bool) -> None:
    """Raft §5.4.1: a damaged last entry may be committed, and counts as there."""
    world = damaged_bench(3, 4, 5)
    world.hand(pre_vote(2, 3, last=last), request_vote(2, 4, last=last))
    said = [m for m in world.take_sent(to=2) if not isinstance(m, FetchEntries)]
    assert said == [
        pre_vote_reply(1, 3, granted=granted, to=2),
        vote_reply(1, 4, granted=granted, to=2),
    ]


def test_it_acknowledges_no_further_than_it_can_vouch() -> None:
    """Raft §5.3: an acknowledgement promises every entry up to its index."""
    world = damaged_bench(4)
    world.hand(append(2, 3, prev=(5, 3), terms=[3]))
    (reply,) = [m for m in world.take_sent(to=2) if isinstance(m, AppendEntriesReply)]
    assert (reply.success, reply.match_index) == (True, 3)
    assert world.disk().log[5:] == [entry(6, 3)]


def test_it_applies_nothing_past_the_damage() -> None:
    """Raft §5.3: entries are applied in order, each of them."""
    world = damaged_bench(3)
    world.hand(append(2, 3, prev=(5, 3), commit=5))
    assert world.raft().commit_index == 5
    assert [one.index for one in world.nodes[1].applied] == [1, 2]
    world.hand(fetched(2, 3, entry(3, 2)))
    assert [one.index for one in world.nodes[1].applied] == [1, 2, 3, 4, 5]


# --- How it is repaired ------------------------------------------------------------------------


def test_a_fetched_entry_is_durable_before_the_node_takes_part_again() -> None:
    """Persist, then speak."""
    world = damaged_bench(2)
    world.act(1, lambda raft: raft.step(fetched(3, 3, entry(2, 1))))
    effects = world.take(1)
    assert effects.update.repairs == (entry(2, 1),)
    assert list(world.raft().log.damaged) == [2]
    world.write(1, effects)
    assert list(world.raft().log.damaged) == []
    world.lines()
    world.turn(1)
    assert world.lines() == [
        "repaired 1 log entry with those of other nodes; the log is whole again"
    ]
    world.hand(append(2, 3, prev=(5, 3)))
    assert accepted(1, 3, match=5, to=2) in world.take_sent()
    world.fall_silent(1)


def test_an_entry_of_another_term_repairs_nothing() -> None:
    """Raft §5.3: it is another entry."""
    world = damaged_bench(2)
    world.hand(fetched(3, 3, entry(2, 2)), fetched(3, 3, entry(7, 3)), fetched(3, 3, entry(1, 1)))
    assert world.disk().damaged == {2}
    assert all(not update.repairs for update in world.disk().writes)


def test_who_is_a_member_no_more_may_still_give_what_it_was_asked_for() -> None:
    """Its answer was under way when the log removed it (simulator, seed 1256)."""
    world = damaged_bench(2)
    without = Entry(6, 3, EntryKind.CONFIGURE, configuration_data(THREE.without(2)))
    request = append(3, 3, prev=(5, 3))
    world.hand(msgspec.structs.replace(request, entries=(without,)))
    assert not world.raft().log.configuration.voters & {2}
    world.hand(fetched(2, 3, entry(2, 1)))
    assert not world.raft().log.damaged


def test_a_leader_s_entries_repair_too() -> None:
    """Raft §5.3: what it sends again is what was lost."""
    world = damaged_bench(4, 5)
    world.hand(append(2, 3, prev=(3, 2), terms=[2, 3]))
    assert world.disk().damaged == set()
    assert world.terms() == LOG


def test_a_real_conflict_removes_damage_as_it_removes_entries() -> None:
    """Raft §5.3: they were never committed."""
    world = damaged_bench(4, 5)
    world.hand(append(2, 4, prev=(3, 2), terms=[4]))
    assert world.terms() == [1, 1, 2, 4]
    assert world.disk().damaged == set()


def test_a_truncation_drops_repairs_that_it_overtakes() -> None:
    """Raft §5.3: in one turn, an entry is fetched, and then it gives way."""
    world = damaged_bench(4)
    world.hand_in_one_turn(1, fetched(3, 3, entry(4, 2)), append(2, 4, prev=(3, 2), terms=[4]))
    assert world.terms() == [1, 1, 2, 4]
    assert all(not update.repairs for update in world.disk().writes)


# --- How it goes on ----------------------------------------------------------------------------


def many_lost(count: int, *, members: int = 3) -> World:
    """Node 1 alone on a bench: of its entries, all but the last are damaged."""
    return damaged_bench(*range(1, count), terms=[1] * count, members=members)


def asked(world: World, peer: int) -> tuple[int, int]:
    """The first and the last index of what a peer was asked for last."""
    question = world.take_sent(to=peer)[-1]
    assert isinstance(question, FetchEntries)
    return question.ranges[0].first, question.ranges[-1].last


def gives(peer: int, first: int, last: int) -> FetchEntriesReply:
    return fetched(peer, 3, *(entry(index, 1) for index in range(first, last + 1)))


def test_the_next_question_follows_the_answer_without_waiting_for_time() -> None:
    """113,200 entries took minutes, at 64 a heartbeat."""
    world = many_lost(3_000)
    world.tick(1, 50)
    asked(world, 2)
    world.hand(gives(2, 1, 1_024))
    assert asked(world, 2)[0] == 1_025
    world.hand(gives(2, 1_025, 2_048))
    assert asked(world, 2)[0] == 2_049


def test_a_repair_that_takes_long_is_told_now_and_then_each_entry_once() -> None:
    world = many_lost(3_000)
    for first in range(1, 3_000, 100):
        world.tick(1, 100)
        world.hand(gives(2, first, min(first + 99, 2_999)))
    told = [event for event in world.nodes[1].events if isinstance(event, Repaired)]
    assert 3 < len(told) < 6
    done = 0
    for event in told:
        done += event.count
        assert done + event.left == 2_999
    assert done == 2_999


def test_different_peers_are_asked_for_different_entries() -> None:
    """Each entry once, from one of them, as soon as both have shown that they give."""
    world = many_lost(9_000)
    world.tick(1, 50)
    world.take_sent()
    world.hand(gives(2, 1, 1_024), gives(3, 1, 1_024))
    assert (asked(world, 2)[0], asked(world, 3)[0]) == (1_025, 2_049)
    world.hand_in_one_turn(1, gives(3, 2_049, 3_072), gives(2, 1_025, 2_048))
    assert sorted([asked(world, 2)[0], asked(world, 3)[0]]) == [3_073, 4_097]


def test_who_does_not_answer_keeps_nobody_from_giving() -> None:
    """What it was asked for, others are asked for after a heartbeat."""
    world = many_lost(3_000)
    world.tick(1, 50)
    world.hand(gives(2, 1, 1_024), gives(3, 1, 1_024))
    assert (asked(world, 2)[0], asked(world, 3)[0]) == (1_025, 2_049)
    world.tick(1, 100)
    world.hand(gives(3, 2_049, 2_999))
    world.tick(1, 100)
    assert asked(world, 3)[0] == 1_025


def test_a_lost_question_is_asked_again_with_the_next_heartbeat() -> None:
    """Raft §5.5: the second time and the third."""
    world = many_lost(3_000)
    world.tick(1, 50)
    world.hand(gives(2, 1, 1_024))
    assert asked(world, 2)[0] == 1_025
    for _ in range(3):
        world.take_sent()
        world.tick(1, 100)
        assert asked(world, 2)[0] == 1_025


def test_a_peer_that_lacks_them_all_says_so_once_a_heartbeat() -> None:
    """It must not be asked again as fast as it answers."""
    world = damaged_bench(2, 4)
    world.tick(1, 50)
    for _ in range(3):
        world.take_sent()
        world.hand(fetched(2, 3, until=4))
        assert world.take_sent() == []
        world.tick(1, 100)
        world.hand(fetched(2, 3, until=0))
        assert len(world.take_sent(to=2)) <= 1
        world.tick(1, 100)


def test_what_one_peer_lacks_is_asked_of_the_others() -> None:
    """Each of them holds a part."""
    world = damaged_bench(2, 4)
    world.tick(1, 50)
    world.hand(fetched(2, 3, entry(2, 1), until=4), fetched(3, 3, until=4))
    world.take_sent()
    world.tick(1, 100)
    assert world.take_sent() == [fetch(1, 3, (4, 4, 2), to=2), fetch(1, 3, (4, 4, 2), to=3)]
    world.hand(fetched(3, 3, entry(4, 2), until=4))
    assert world.disk().damaged == set()


def test_every_batch_is_durable_before_more_is_asked_for() -> None:
    """Persist, then speak; and what waits in memory is no more than what came in one turn."""
    world = many_lost(3_000)
    world.tick(1, 50)
    world.take_sent()
    world.act(1, lambda raft: raft.step(gives(2, 1, 1_024)))
    effects = world.take(1)
    assert len(effects.update.repairs) == 1_024
    world.write(1, effects)
    assert world.said() == []
    assert world.raft().has_effects
    world.take(1)
    assert [type(m) for m in world.said()] == [FetchEntries]


def test_a_node_that_is_damaged_a_second_time_is_repaired_a_second_time() -> None:
    """Also at the same place, and with other damage since the first."""
    world = damaged_world({1: {1, 4, 5}}, {1: LOG, 2: LOG, 3: LOG})
    calm(world)
    for damaged in ({1, 4, 5}, {2, 3}):
        assert world.disk(1).damaged == set()
        world.crash(1)
        world.disk(1).damaged = damaged
        world.restart(1)
        calm(world)
    assert world.disk(1).damaged == set()
    assert world.terms(1) == world.terms(2)


def test_new_entries_arrive_while_old_ones_are_repaired() -> None:
    """A leader goes on, and its follower follows as far as it can vouch."""
    terms = [1] * 3_000
    world = damaged_world({1: set(range(1, 2_990))}, {1: terms, 2: terms, 3: terms})
    world.elect(2)
    for number in range(50):
        world.propose(2, str(number))
        world.deliver()
    calm(world, 10)
    assert world.disk(1).damaged == set()
    assert world.terms(1) == world.terms(2)
    assert len(world.nodes[1].applied) == world.raft(2).commit_index


# --- Who gives ---------------------------------------------------------------------------------


def test_any_node_gives_what_it_holds_and_nothing_else() -> None:
    """Raft §5.3: the same index in another term is another entry."""
    world = bench(LOG, 3)
    world.hand(fetch(2, 3, (2, 2, 1), (3, 3, 1), (5, 5, 3), (6, 9, 3)))
    given = fetched(1, 3, entry(2, 1), entry(5, 3), until=9, to=2)
    assert world.take_sent() == [given]


def test_who_has_lost_it_too_says_so() -> None:
    """So others are asked at once, and not when a heartbeat has passed."""
    world = damaged_bench(2, 3)
    world.take_sent()
    world.hand(fetch(2, 3, (1, 2, 1), (3, 4, 2)))
    assert fetched(1, 3, entry(1, 1), entry(4, 2), until=4, to=2) in world.take_sent(to=2)


def test_an_answer_is_cut_by_bytes_but_never_empty() -> None:
    """An entry larger than a message travels alone."""
    world = bench(LOG, 3, settings=RaftSettings(append_bytes_max=7))
    world.hand(fetch(2, 3, (1, 5, 1)), fetch(2, 3, (3, 4, 2)))
    assert world.take_sent() == [
        fetched(1, 3, entry(1, 1), entry(2, 1), until=5, to=2),
        fetched(1, 3, entry(3, 2), entry(4, 2), until=4, to=2),
    ]
    world = bench(LOG, 3, settings=RaftSettings(append_bytes_max=1))
    world.hand(fetch(2, 3, (3, 3, 2), (4, 5, 2)))
    assert world.take_sent() == [fetched(1, 3, entry(3, 2), until=3, to=2)]


def test_an_answer_is_cut_by_the_number_of_entries() -> None:
    """Small ones cost more than their bytes: a giver must not stand still."""
    world = bench([1] * 5_000, 3)
    world.hand(fetch(2, 3, (1, 5_000, 1)))
    (answer,) = world.take_sent()
    assert isinstance(answer, FetchEntriesReply)
    assert len(answer.entries) == answer.until == FETCHED_ENTRIES_MAX


def test_a_turn_answers_one_question_and_of_each_peer_the_latest() -> None:
    """Those that piled up while the giver stood still must not make it do so again."""
    world = bench(LOG, 3)
    questions = [fetch(2, 3, (1, 1, 1)), fetch(3, 3, (2, 2, 1)), fetch(2, 3, (5, 5, 3))]
    for question in questions:
        world.act(1, lambda raft, question=question: raft.step(question))
    world.take(1)
    assert world.said() == [fetched(1, 3, entry(5, 3), to=2)]
    assert world.raft().has_effects
    world.take(1)
    assert world.said() == [fetched(1, 3, entry(2, 1), to=3)]
    assert not world.raft().has_effects


def test_a_question_of_an_old_term_is_answered_with_the_newer_one() -> None:
    """Raft §5.1: else a node without a leader could ask for ever."""
    world = bench(LOG, 7)
    world.hand(fetch(2, 3, (2, 2, 1)))
    assert world.take_sent() == [fetched(1, 7, to=2)]


# --- Clusters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("node", [1, 2, 3])
def test_a_cluster_heals_one_damaged_node(node: int) -> None:
    """FAST'18, Protocol-Aware Recovery."""
    world = damaged_world({node: {1, 4, 5}}, {1: LOG, 2: LOG, 3: LOG})
    calm(world)
    assert world.disk(node).damaged == set()
    assert len(world.leaders) == 1
    assert world.terms(1) == world.terms(2) == world.terms(3)


def test_nodes_that_lost_different_entries_heal_each_other() -> None:
    """Between them nothing is lost, though no log is whole."""
    world = damaged_world({1: {1, 5}, 2: {2, 4}, 3: {3}}, {1: LOG, 2: LOG, 3: LOG})
    calm(world)
    assert [world.disk(node).damaged for node in (1, 2, 3)] == [set()] * 3
    assert len(world.leaders) == 1


def test_two_nodes_of_three_heal_each_other_without_the_third() -> None:
    """They are a majority, once they can vouch."""
    world = damaged_world({1: {4}, 2: {5}}, {1: LOG, 2: LOG, 3: LOG})
    world.crash(3)
    calm(world)
    assert len(world.leaders) == 1


def test_a_committed_entry_that_a_majority_lost_stops_the_cluster_and_is_not_lost() -> None:
    """1 and 2 held 4 and 5, and may have committed them; 3, which lacks them, never leads."""
    world = damaged_world({1: {5}, 2: {5}}, {1: LOG, 2: LOG, 3: LOG[:3]})
    calm(world, 200)
    assert world.leaders == []
    assert [one.term for one in world.disk(1).log] == LOG
    assert world.disk(1).log == world.disk(2).log
    assert world.disk(1).damaged == world.disk(2).damaged == {5}


def test_a_damaged_node_helps_a_whole_one_to_lead() -> None:
    """Its vote says what it held, and needs no entry to be read."""
    world = damaged_bench(4, 5)
    world.hand(pre_vote(2, 3, last=(5, 3)), request_vote(2, 4, last=(5, 3)))
    assert vote_reply(1, 4, to=2) in world.take_sent()


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_lost_comes_back_if_somebody_holds_it(seed: int) -> None:
    """Over a network that loses messages, small ones, and from peers that lack parts themselves."""
    chance = random.Random(seed)
    terms = sorted(chance.choices([1, 2, 3], k=40))
    disks = {}
    for node in (1, 2, 3):
        disks[node] = Disk(HardState(3), entries_of_terms(terms))
    for index in range(1, 41):
        for node in chance.sample((1, 2, 3), chance.choice([0, 1, 2, 2])):
            disks[node].damaged.add(index)
    small = RaftSettings(append_bytes_max=chance.choice([1, 12, 1 << 20]))
    world = World(3, disks=disks, seed=seed, settings=small)
    for _ in range(2):
        for _ in range(60):
            world.tick_all(50)
            world.bag = [message for message in world.bag if chance.random() < 0.7]
            world.deliver()
        calm(world, 40)
        assert [world.disk(node).damaged for node in (1, 2, 3)] == [set()] * 3
        assert len(world.leaders) == 1
        world.crash(3)
        world.disk(3).damaged = set(chance.sample(range(1, 41), 20))
        world.restart(3)
