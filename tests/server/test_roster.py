"""Who the members are, and which strangers are believed, as the log goes on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from kvstore.address import Address
from kvstore.raft.configuration import NOT_ADMITTED, Configuration, Member
from kvstore.raft.core import Raft
from kvstore.raft.types import LogStart
from kvstore.server.roster import Roster


def at(node_id: int) -> Address:
    return Address("h", 9000 + node_id)


def of(*node_ids: int, learner: int = 0) -> Configuration:
    return Configuration(
        tuple(Member(i, str(at(i)), NOT_ADMITTED if i == learner else 0, "") for i in node_ids)
    )


class Log:
    """The configurations of a log, as the core keeps them; the test says what is committed."""

    def __init__(self, *found: tuple[int, Configuration]) -> None:
        self.found = [*found]
        self.commit_index = found[-1][0]
        self.configurations = self
        self.start = LogStart(found[0][0], 1)

    @property
    def configuration(self) -> Configuration:
        return self.found[-1][1]

    @property
    def in_force_at(self) -> int:
        return self.found[-1][0]

    def as_of(self, index: int) -> Configuration:
        return next(one for at, one in reversed(self.found) if at <= index)


class Case:
    """The roster of one node."""

    def __init__(
        self, node_id: int, *found: tuple[int, Configuration], joined_at: int | None = None
    ) -> None:
        self.log = Log(*found)
        self.raft: Any = SimpleNamespace(id=node_id, log=self.log, has_committed_in_term=False)
        self.raft.commit_index = self.log.commit_index
        self.roster = Roster(cast(Raft, self.raft), at(node_id), joined_at)

    def append(self, index: int, configuration: Configuration) -> None:
        self.log.found.append((index, configuration))

    def commit(self, index: int) -> None:
        self.log.commit_index = self.raft.commit_index = index


def test_members_are_those_of_the_configuration_in_force() -> None:
    case = Case(1, (0, of(1, 2, 3)))
    assert case.roster.members == {1: at(1), 2: at(2), 3: at(3)}
    assert case.roster.peers == {2: at(2), 3: at(3)}
    case.append(7, of(1, 2, 3, 4, learner=4))
    assert case.roster.peers == {2: at(2), 3: at(3), 4: at(4)}
    assert (case.roster.configured_at, case.roster.committed_at) == (7, 0)
    case.commit(7)
    assert case.roster.committed_at == 7


def test_who_leaves_is_heard_until_that_is_committed() -> None:
    """It may be the leader, whose last word is that it is."""
    case = Case(1, (0, of(1, 2, 3)))
    case.append(7, of(1, 3))
    assert case.roster.members.keys() == {1, 3}
    assert case.roster.peers.keys() == {2, 3}
    assert case.roster.believes(2, 0)
    case.commit(7)
    assert case.roster.peers.keys() == {3}
    assert not case.roster.believes(2, 0)


def test_what_is_truncated_was_never_so() -> None:
    case = Case(1, (0, of(1, 2, 3)))
    case.append(7, of(1, 3))
    assert case.roster.members.keys() == {1, 3}
    del case.log.found[-1]
    assert case.roster.members.keys() == {1, 2, 3}


def test_peers_are_another_object_whenever_they_may_be_others() -> None:
    case = Case(1, (0, of(1, 2, 3)))
    before = case.roster.peers
    assert case.roster.peers is before
    case.append(7, of(1, 3))
    uncommitted = case.roster.peers
    assert uncommitted is not before
    case.commit(7)
    assert case.roster.peers is not uncommitted


def test_a_stranger_is_believed_if_it_knows_a_newer_configuration() -> None:
    case = Case(1, (7, of(1, 2, 3)))
    assert not case.roster.believes(4, 7)
    assert not case.roster.believes(4, -1)
    assert case.roster.believes(4, 8)
    assert not case.roster.believes(1, 8), "that is itself"
    case.roster.meet(4, at(4), 8)
    assert case.roster.peers[4] == at(4)
    assert 4 not in case.roster.members


def test_a_node_that_knows_no_members_believes_whoever_is_one() -> None:
    case = Case(4, (0, Configuration()))
    assert case.roster.believes(1, 0)
    assert not case.roster.believes(5, -1), "nor does that one know anybody"
    case.roster.meet(1, at(1), 0)
    assert case.roster.peers == {1: at(1)}
    assert case.roster.configured_at == -1, "and is none itself"


def test_a_stranger_stays_until_the_log_knows_better() -> None:
    case = Case(4, (0, Configuration()))
    case.roster.meet(1, at(1), 9)
    case.roster.meet(2, at(2), 20)
    case.append(9, of(2, 3))
    case.commit(9)
    assert case.roster.peers == {2: at(2), 3: at(3)}
    case.append(20, of(3, 4))
    case.commit(20)
    assert case.roster.peers == {3: at(3)}


def test_strangers_are_few_and_the_newest() -> None:
    case = Case(1, (0, of(1, 2)))
    for node_id in range(10, 50):
        case.roster.meet(node_id, at(node_id), 9)
    case.roster.meet(43, at(43), 9)
    assert case.roster.peers.keys() == {2, *range(43, 50)}
    assert case.roster.said.keys() <= {1, 2, *range(43, 50)}


def test_a_stranger_that_has_moved_is_where_it_says_last() -> None:
    case = Case(1, (0, of(1, 2)))
    case.roster.meet(4, at(4), 9)
    case.roster.meet(4, at(5), 9)
    assert case.roster.peers[4] == at(5)


def test_a_member_is_where_the_log_says_whatever_it_says_itself() -> None:
    case = Case(1, (0, of(1, 2)))
    case.roster.meet(2, at(9), 0)
    assert case.roster.peers[2] == at(2)
    assert case.roster.said == {1: at(1), 2: at(9)}


def test_only_a_leader_is_sure_that_a_learner_was_removed() -> None:
    case = Case(1, (0, of(1, 2)))
    case.append(7, of(1, 2, 4, learner=4))
    case.append(9, of(1, 2))
    case.raft.has_committed_in_term = True
    assert case.roster.removed_at(4, 7) is None, "that may be taken back"
    case.raft.has_committed_in_term = False
    case.commit(9)
    assert case.roster.removed_at(4, 7) is None
    case.raft.has_committed_in_term = True
    assert case.roster.removed_at(4, 7) == 9
    assert case.roster.removed_at(4, -1) is None, "it never was one"
    assert case.roster.removed_at(4, 5) is None, "what made it one was truncated"
    case.raft.log.start = LogStart(6, 1)
    assert case.roster.removed_at(4, 5) == 9, "it may have been one"
    assert case.roster.removed_at(4, 12) is None, "it may be again"
    assert case.roster.removed_at(2, 7) is None
    case.append(10, of(1, 2, 4, learner=4))
    assert case.roster.removed_at(4, 7) is None


def test_a_node_that_joins_is_a_member_by_what_let_it_join_until_its_log_says_so() -> None:
    case = Case(4, (0, Configuration()), joined_at=7)
    assert case.roster.configured_at == 7
    case.append(5, of(1, 2))
    assert case.roster.configured_at == 7, "it goes through old configurations"
    case.append(7, of(1, 2, 4, learner=4))
    case.append(8, of(1, 3, 4, learner=4))
    assert case.roster.configured_at == 8


def test_a_node_says_that_it_is_not_where_the_configuration_has_it() -> None:
    case = Case(1, (0, of(1, 2)))
    assert not case.roster.is_elsewhere
    moved = Configuration((Member(1, str(at(7)), 0, ""), Member(2, str(at(2)), 0, "")))
    case.append(7, moved)
    assert case.roster.is_elsewhere
    case.append(8, of(2, 3))
    assert not case.roster.is_elsewhere, "it is looked for nowhere"


def test_a_node_that_lags_believes_a_peer_that_knows_newer_members_where_it_is() -> None:
    """By an old configuration the leader was elsewhere: it would wait for replies in vain."""
    case = Case(4, (0, Configuration()))
    case.roster.meet(2, at(9), 20)
    case.append(5, of(1, 2, 3))
    assert (case.roster.peers[2], case.roster.elsewhere(2)) == (at(2), at(9))
    moved = Configuration((Member(1, str(at(1)), 0, ""), Member(2, str(at(8)), 0, "")))
    case.append(20, moved)
    assert case.roster.elsewhere(2) is None, "it is where the configuration has it"
    case.roster.meet(2, at(9), 20)
    case.append(21, of(1, 3))
    case.commit(21)
    case.append(22, of(1, 2, 3))
    assert case.roster.elsewhere(2) is None, "what it said before it left is forgotten"


def test_who_says_that_it_is_elsewhere_is_believed_until_it_says_otherwise() -> None:
    case = Case(1, (0, of(1, 2, 3)))
    case.roster.meet(2, at(9), 0)
    assert case.roster.elsewhere(2) is None, "by its own configuration it is where it should be"
    case.roster.meet(2, at(9), 0, is_elsewhere=True)
    case.append(7, of(1, 2))
    assert case.roster.elsewhere(2) == at(9)
    assert case.roster.peers[2] == at(2)
    case.roster.meet(2, at(2), 0)
    assert case.roster.elsewhere(2) is None
    case.roster.meet(2, at(9), 0, is_elsewhere=True)
    case.append(8, of(1))
    case.commit(8)
    assert case.roster.members.keys() == {1}
    assert case.roster.elsewhere(2) is None, "it is nobody any more"
