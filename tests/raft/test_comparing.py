"""What digests of several nodes tell, and how nodes and their leader speak of them."""

from __future__ import annotations

import pytest

from kvstore.raft.comparing import Comparing, Verdict, verdict_of
from kvstore.raft.configuration import NOT_ADMITTED, Configuration, Member
from kvstore.raft.types import CHECK, Role

from .harness import World, bench, leader_bench
from .messages import compare, compared, of_directory

A, B, C = (bytes([one]) * 32 for one in b"abc")
OF = {"a": A, "b": B, "c": C, "-": b""}
NOBODY: frozenset[int] = frozenset()


@pytest.mark.parametrize(
    ("digests", "voters", "told"),
    [
        ("aaa", 3, Verdict(A)),
        ("aba", 3, Verdict(A, frozenset({2}))),
        ("abc", 3, Verdict(is_disputed=True)),
        ("aa", 3, Verdict(A)),
        ("ab", 3, Verdict(is_disputed=True)),
        ("a", 1, Verdict(A)),
        ("a", 3, Verdict()),
        ("--a", 3, Verdict()),
        ("---", 3, Verdict()),
        ("a-a", 3, Verdict(A)),
        ("aabb", 4, Verdict(is_disputed=True)),
        ("aab", 5, Verdict(is_disputed=True)),
        ("aabca", 5, Verdict(A, frozenset({3, 4}))),
        ("", 3, Verdict()),
    ],
)
def test_a_node_is_named_only_if_most_voters_agree_against_it(
    digests: str, voters: int, told: Verdict
) -> None:
    said = {node: OF[one] for node, one in enumerate(digests, start=1)}
    assert verdict_of(said, frozenset(range(1, voters + 1)), voters // 2 + 1) == told


def test_learners_are_compared_and_do_not_count() -> None:
    said = {1: A, 2: B, 3: B, 4: B}
    assert verdict_of(said, frozenset({1, 2}), 2) == Verdict(is_disputed=True)
    assert verdict_of({**said, 2: A}, frozenset({1, 2}), 2) == Verdict(A, frozenset({3, 4}))


CONFIGURATION = Configuration((Member(1), Member(2), Member(3), Member(4, "", NOT_ADMITTED)))


def test_a_directory_that_does_not_vote_does_not_count() -> None:
    """Another one than that which the configuration names is compared all the same."""
    comparing = Comparing(5, 0.0)
    comparing.take_own(1, A, CONFIGURATION)
    comparing.take(of_directory(compared(2, 3, 5, A), admitted_at=9))
    assert comparing.verdict(CONFIGURATION) == Verdict()
    comparing.take(compared(3, 3, 5, A))
    comparing.take(of_directory(compared(4, 3, 5, B), admitted_at=NOT_ADMITTED))
    assert comparing.verdict(CONFIGURATION) == Verdict(A, frozenset({4}))


def test_what_was_said_once_holds() -> None:
    comparing = Comparing(5, 0.0)
    comparing.take(compared(2, 3, 5, A))
    comparing.take(compared(2, 3, 5))
    assert comparing.digests == {2: A}
    assert comparing.silent(CONFIGURATION) == {1, 3, 4}


def test_who_is_no_member_any_more_tells_nothing() -> None:
    comparing = Comparing(5, 0.0)
    for node in (1, 2, 9):
        comparing.take(compared(node, 3, 5, B if node == 9 else A))
    assert comparing.verdict(CONFIGURATION) == Verdict(A)


def test_who_knows_the_verdict_is_not_told_again_unless_it_is_another() -> None:
    comparing = Comparing(5, 0.0)
    comparing.take(compared(2, 3, 5, A, knows=True))
    comparing.take(compared(3, 3, 5, A))
    assert comparing.unaware((2, 3, 4)) == [3, 4]
    comparing.tell_again()
    assert comparing.unaware((2, 3, 4)) == [2, 3, 4]


# --- Messages -----------------------------------------------------------------------------


def following() -> World:
    world = bench([1, 1], 3)
    world.hand(compare(2, 3, 2))
    return world


def test_a_question_is_a_leaders_word_and_waits_for_the_driver() -> None:
    world = following()
    assert world.raft().leader_id == 2
    assert world.take_sent() == []
    world.raft().state_talk.answer(3, A)
    world.turn(1)
    assert world.take_sent() == [compared(1, 3, 2, A, to=2)]
    world.raft().state_talk.answer(3, A)
    world.turn(1)
    assert world.take_sent() == []


def test_who_is_told_what_came_of_it_says_so() -> None:
    world = following()
    world.hand(compare(2, 3, 2, A))
    world.raft().state_talk.answer(3, B)
    world.turn(1)
    assert world.take_sent() == [compared(1, 3, 2, B, knows=True, to=2)]


def test_a_question_of_an_older_term_gets_no_answer() -> None:
    world = following()
    world.hand(compare(3, 4, 2))
    question = world.raft().state_talk.question
    assert question is not None
    assert question.sender == 3
    world.raft().state_talk.answer(5, A)
    world.turn(1)
    assert world.take_sent() == []


def test_a_leader_has_the_last_word_of_each_and_asks_for_more() -> None:
    world = leader_bench([1, 2], term=3)
    raft = world.raft()
    assert raft.role is Role.LEADER
    index = raft.state_talk.propose()
    world.turn(1)
    entry = world.log()[-1]
    assert (entry.index, entry.term, entry.kind, entry.data) == (index, 3, CHECK, b"")
    world.hand(compared(2, 3, index, A))
    world.hand(compared(2, 3, index, B))
    assert raft.state_talk.take_replies() == [compared(2, 3, index, B)]
    assert raft.state_talk.take_replies() == []
    raft.state_talk.ask(2, index, Verdict(A))
    world.turn(1)
    assert compare(1, 3, index, A, to=2) in world.take_sent()
