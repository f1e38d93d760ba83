"""The answers of all nodes, put together: who is there, who leads, who reaches whom.

Law: what no node said is not guessed: a node that was not asked is neither up nor down.

This module must not know how nodes are asked, nor what is to be done.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Sequence

import msgspec

from kvstore import api
from kvstore.raft.configuration import Configuration


class Why(enum.StrEnum):
    """Why a node did not answer."""

    DOWN = "down"
    """Nothing listens there."""
    OUT_OF_REACH = "out of reach"
    """Nobody even said that nothing listens."""
    FROZEN = "frozen"
    """It has the request, and says nothing."""
    FULL = "full"
    """It has no place for another connection."""
    STRANGER = "not a kvstore node"


class Silence(msgspec.Struct, frozen=True):
    """What came instead of a node's status."""

    why: Why
    reason: str


class Asked(msgspec.Struct, frozen=True):
    """A node that was asked; `expected`: which it is by the settings, if they say."""

    address: str
    answer: api.StatusResult | Silence
    expected: int | None = None


class View:
    """The cluster that most nodes belong to which answered, as they see it together.

    * `answers`: by node id; of one that answers twice, the answer of the newer term.
    * `leader`: who says that it leads the newest term.
    """

    def __init__(self, asked: Sequence[Asked]) -> None:
        all_answers = [one.answer for one in asked if isinstance(one.answer, api.StatusResult)]
        self.asked = asked
        self.clusters = Counter(answer.cluster_id for answer in all_answers)
        cluster_id = max(self.clusters, key=lambda name: self.clusters[name], default="")
        ours = [answer for answer in all_answers if answer.cluster_id == cluster_id]
        ours.sort(key=lambda answer: (answer.node_id, answer.term))
        self.answers = {answer.node_id: answer for answer in ours}
        self.leader = max(
            (answer for answer in ours if answer.leader_id == answer.node_id),
            key=lambda answer: answer.term,
            default=None,
        )
        # Who has just joined knows no members yet.
        views = Counter(tuple(sorted(answer.members)) for answer in ours if answer.members)
        members = self.leader and tuple(sorted(self.leader.members))
        self.members = members or max(views, key=lambda view: views[view], default=())
        known_by = self.leader or next(
            (one for one in ours if tuple(sorted(one.members)) == self.members), None
        )
        self.electors = frozenset(self.members).difference(known_by.learners if known_by else ())
        """The members that vote, or would if their directories were not lost."""
        self.majority = Configuration.of_founders(dict.fromkeys(self.electors, "")).majority
        self.silent = self._silent_members()

    def _silent_members(self) -> dict[int, Asked]:
        """Members that were asked where the others look for them, and did not answer."""
        found = {}
        for one in self.asked:
            if isinstance(one.answer, api.StatusResult):
                continue
            named = [one.expected, *(who for who in self.members if self.knows(who, one.address))]
            for member in named:
                if member is None or member in self.answers:
                    continue
                if self.leader is None or member in self.members:
                    found[member] = one
        return found

    def knows(self, member: int, address: str) -> bool:
        """Whether any node looks for a member there."""
        return any(answer.members.get(member) == address for answer in self.answers.values())

    def address(self, member: int) -> str:
        """Where the others look for a member."""
        return next(
            (
                answer.members[member]
                for node_id, answer in self.answers.items()
                if member in answer.members and node_id != member
            ),
            "an unknown address",
        )

    def without_link_to(self, member: int) -> dict[int, str]:
        """Nodes that have no link to a member, and why."""
        return {
            node_id: answer.links[member]
            for node_id, answer in self.answers.items()
            if answer.links.get(member)
        }

    def heard_by(self, member: int) -> list[int]:
        """Nodes to which a member has a link."""
        return [one.node_id for one in self.answers.values() if member in one.heard_from]

    def reason_not_there(self, member: int) -> str:
        """Why a member is not where it is looked for, though others hear it; "" if it may be."""
        if not self.heard_by(member):
            return ""
        there = self.silent[member].answer if member in self.silent else None
        nobody_there = ""
        if isinstance(there, Silence) and there.why is Why.DOWN:
            nobody_there = there.reason
        return next(iter(self.without_link_to(member).values()), nobody_there)

    def refusal_of(self, member: int) -> str | None:
        """Why a member's directory was refused when it came last, by whoever still says so."""
        refusals = (answer.refused.get(member) for answer in self.answers.values())
        return next((refusal for refusal in refusals if refusal), None)

    def linked_to(self, member: int) -> bool:
        """Whether any node has a link to a member."""
        return any(answer.links.get(member) == "" for answer in self.answers.values())

    @property
    def voters(self) -> list[int]:
        """Who answered, and whose directory counts."""
        return [one.node_id for one in self.answers.values() if one.is_voter]

    @property
    def waiting(self) -> list[int]:
        """Who answered, and does not vote yet."""
        return [one.node_id for one in self.answers.values() if not one.is_voter]

    @property
    def not_asked(self) -> list[int]:
        """Members of whom nobody knows more than what the others say."""
        return [one for one in self.members if one not in self.answers and one not in self.silent]

    @property
    def may_fail(self) -> int | None:
        """How many more nodes may fail; negative if too many have, None if nobody leads."""
        if self.leader is None:
            return None
        there = {*self.voters, *(one for one in self.not_asked if self.linked_to(one))}
        return len(there & self.electors) - self.majority
