"""The states of several nodes as of one entry: what their digests tell, and how they are told.

Law: a node is named only if a majority of the voters agrees against it: of two that differ nobody
knows which is right. Learners are compared, and do not count (decision 50).

It must not know what a digest is made of, nor when anybody wants one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Set
from typing import NamedTuple

from kvstore.raft.configuration import Configuration
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import CompareStates, CompareStatesReply
from kvstore.raft.outbox import Outbox
from kvstore.raft.types import CHECK


class Verdict(NamedTuple):
    """What the digests of several nodes tell.

    * `digest`: that of a majority of the voters; empty where there is none.
    * `differ`: the nodes that have another one; nobody without a majority.
    * `is_disputed`: several digests, and no majority.
    """

    digest: bytes = b""
    differ: frozenset[int] = frozenset()
    is_disputed: bool = False

    @property
    def is_known(self) -> bool:
        """Whether there is something to tell."""
        return self.is_disputed or bool(self.digest)


def verdict_of(digests: Mapping[int, bytes], voters: Set[int], majority: int) -> Verdict:
    """`digests` of some nodes as of one index, empty ones for who has none.

    `voters`: those of them who count; `majority`: how many of them must agree.
    """
    has = {node: digest for node, digest in digests.items() if digest}
    votes = Counter(digest for node, digest in has.items() if node in voters)
    for digest, count in votes.most_common(1):
        if count >= majority:
            differ = frozenset(node for node, other in has.items() if other != digest)
            return Verdict(digest, differ)
    return Verdict(is_disputed=len({*has.values()}) > 1)


class Comparing:
    """What a leader knows of the states as of the entry at `index`, since `began_ms`.

    * `digests`: per node that has spoken; empty for one that takes no part.
    """

    def __init__(self, index: int, began_ms: float) -> None:
        self.index = index
        self.began_ms = began_ms
        self.digests: dict[int, bytes] = {}
        self._admitted_at: dict[int, int] = {}
        """By which entry the directory that spoke came to vote."""
        self._told: set[int] = set()

    def take_own(self, node_id: int, digest: bytes, configuration: Configuration) -> None:
        """The leader's own, which votes if anybody of its name does."""
        if (own := configuration.member(node_id)) is not None:
            self._take(node_id, digest, own.admitted_at)

    def take(self, reply: CompareStatesReply) -> None:
        """A node has spoken. What it said once holds, though it knows nothing any more."""
        self._take(reply.sender, reply.digest, reply.admitted_at)
        if reply.knows_verdict:
            self._told.add(reply.sender)

    def _take(self, node_id: int, digest: bytes, admitted_at: int) -> None:
        if not self.digests.get(node_id):
            self.digests[node_id] = digest
            self._admitted_at[node_id] = admitted_at

    def verdict(self, configuration: Configuration) -> Verdict:
        """What is known so far; without a majority, it is final only when no more is to come."""
        members = [one for one in configuration.members if one.node_id in self.digests]
        voters = frozenset(
            one.node_id
            for one in members
            if one.is_voter and one.admitted_at == self._admitted_at[one.node_id]
        )
        digests = {one.node_id: self.digests[one.node_id] for one in members}
        return verdict_of(digests, voters, configuration.majority)

    def silent(self, configuration: Configuration) -> frozenset[int]:
        """The members that have not spoken."""
        return frozenset(one.node_id for one in configuration.members) - self.digests.keys()

    def tell_again(self) -> None:
        """It came to more than was told."""
        self._told.clear()

    def unaware(self, members: Iterable[int]) -> list[int]:
        """Those of them that were not told what came of it, as far as is known."""
        return [node for node in members if node not in self._told]


class StateTalk:
    """What a node and its leader say to each other of states.

    * `question`: the last one that is not answered yet, of the leader of the current term.
    """

    def __init__(self, log: RaftLog, outbox: Outbox, hear: Callable[[int], None]) -> None:
        """`hear` is told who leads."""
        self._log = log
        self._outbox = outbox
        self._hear = hear
        self.question: CompareStates | None = None
        self._replies: dict[int, CompareStatesReply] = {}

    def propose(self) -> int:
        """Have an entry as of which states are compared, in a leader's log; its index."""
        return self._log.add(self._log.last_term, CHECK, b"")

    def on_question(self, message: CompareStates) -> None:
        """The leader asks, or tells."""
        self._hear(message.sender)
        self.question = message

    def on_reply(self, message: CompareStatesReply) -> None:
        """A node has answered its leader."""
        self._replies[message.sender] = message

    def take_replies(self) -> list[CompareStatesReply]:
        """The last one of each node since the last call."""
        replies, self._replies = [*self._replies.values()], {}
        return replies

    def ask(self, peer: int, index: int, verdict: Verdict) -> None:
        """Ask a node for its digest, or tell it what came of the comparison."""
        digest, is_disputed = verdict.digest, verdict.is_disputed
        term = self._log.last_term
        self._outbox.compare_states(peer, term, index, digest=digest, is_disputed=is_disputed)

    def answer(self, term: int, digest: bytes) -> None:
        """Answer the leader's question, if it is still of this term."""
        question, self.question = self.question, None
        if question is not None and question.term == term:
            self._outbox.give_digest(question, digest)
