"""What requests of one client learn at the same time: it never goes back, and nothing is lost."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable

import pytest
from scripted_node import OK, ScriptedNode, reply

from kvstore import Client, OutcomeUnknownError, UnreachableError, api
from kvstore.address import Address
from kvstore.client.knowledge import Knowledge, Known

from .answers import FOUND

A, B = Address("a", 1), Address("b", 2)


def found(index: int, *nodes: Address) -> api.MembersResult:
    members = tuple(
        api.Member(number, str(node), api.MemberRole.VOTER, True, 0)
        for number, node in enumerate(nodes, 1)
    )
    return api.MembersResult("scripted", 1, index, True, index, members)


def in_term(term: int) -> api.Reply:
    return reply(FOUND, term=term)


def test_a_term_does_not_go_back_and_only_a_leader_s_is_one() -> None:
    knowledge = Knowledge()
    for term, of_leader in [(3, True), (2, True), (9, False)]:
        knowledge.hear(in_term(term), of_leader=of_leader)
        assert knowledge.now.term == 3


def test_members_do_not_go_back() -> None:
    knowledge = Knowledge()
    knowledge.hear(reply(FOUND, members_at=7), of_leader=True)
    knowledge.hear(reply(FOUND, members_at=5), of_leader=True)
    for index, node in [(7, A), (5, B)]:
        knowledge.meet(found(index, node))
    assert knowledge.now == Known("scripted", 1, None, (A,), 7, 7)


def test_a_leader_is_forgotten_for_what_it_did_itself() -> None:
    knowledge = Knowledge()
    knowledge.lead(A)
    knowledge.forget_leader(B)
    assert knowledge.now.leader == A
    knowledge.forget_leader(A)
    assert knowledge.now.leader is None


def test_nothing_is_learned_of_another_cluster() -> None:
    knowledge = Knowledge()
    assert knowledge.hear(in_term(2), of_leader=True)
    assert not knowledge.hear(
        reply(FOUND, cluster_id="other", term=9, members_at=9), of_leader=True
    )
    assert knowledge.now == Known("scripted", term=2)


@pytest.mark.parametrize("copied", [Knowledge.copied, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_knows_as_much_and_learns_for_itself(
    copied: Callable[[Knowledge], Knowledge],
) -> None:
    knowledge = Knowledge()
    knowledge.hear(in_term(2), of_leader=True)
    other = copied(knowledge)
    assert other.now == knowledge.now
    other.hear(in_term(3), of_leader=True)
    assert (knowledge.now.term, other.now.term) == (2, 3)


class Interrupted(api.Reply, frozen=True):
    """Somebody else learns something while this is being learned: a signal handler, or a thread."""

    def __getattribute__(self, name: str) -> object:
        if name == "members_at" and MEANWHILE:
            MEANWHILE.pop()()
        return super().__getattribute__(name)


MEANWHILE: list[Callable[[], object]] = []


def test_what_is_learned_in_the_middle_of_learning_is_kept() -> None:
    knowledge = Knowledge()
    MEANWHILE.append(lambda: knowledge.hear(in_term(5), of_leader=True))
    MEANWHILE.append(lambda: knowledge.lead(A))
    knowledge.hear(Interrupted("scripted", 1, 3, 1, FOUND, 8), of_leader=True)
    assert knowledge.now == Known("scripted", 5, A, newest_members_at=8)


def test_threads_find_what_they_learned_before() -> None:
    knowledge, wrong = Knowledge(), list[str]()

    def run(thread: int) -> None:
        for n in range(400):
            term = 8 * n + thread
            knowledge.hear(in_term(term), of_leader=True)
            if knowledge.now.term < term:
                wrong.append(f"{term} was learned, and {knowledge.now.term} is known")

    switch_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=run, args=(n,), daemon=True) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(15)
    finally:
        sys.setswitchinterval(switch_s)
    assert not wrong
    assert knowledge.now.term == 8 * 399 + 7


@pytest.mark.parametrize("exactly_once", [True, False])
def test_all_first_answers_come_from_one_cluster(exactly_once: bool) -> None:
    """Two threads may begin at the same time, at nodes of two clusters."""

    def others_come_first() -> api.Result:
        client._caller._knowledge.hear(reply(FOUND, cluster_id="theirs"), of_leader=True)
        return OK

    with (
        ScriptedNode(others_come_first, OK) as node,
        Client([node.address], timeout_ms=2_000, exactly_once=exactly_once) as client,
    ):
        # A session was opened in the cluster that came first, or it is in doubt what was written.
        if exactly_once:
            node.scripts_sessions = True
            expected: type[Exception] = UnreachableError
        else:
            expected = OutcomeUnknownError
        with pytest.raises(expected, match="belongs to cluster scripted"):
            client.put("k", "v")
