"""No term without a majority's consent (thesis §9.6): a node that is cut off moves none.

Law: whoever starts a term was told to by a leader of the term before (thesis §3.10), or
got pre-votes of a majority that were given in the term before, itself included. Only a node
that has heard of a term beyond belief stands without, once.
"""

from __future__ import annotations

from collections import defaultdict

from kvstore.raft.messages import TERM_LEAP_MAX, Message, PreVoteReply, TimeoutNow
from kvstore.raft.types import LogStart, Role
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.checkers.majority import are_majority
from kvstore.sim.checkers.voters import voters_of
from kvstore.sim.log_start import FIRST


class Consent(Checker):
    """Remembers who would have voted for whom, by what they said."""

    theorem = "no term without a majority's consent"
    watches = Part.ROLE
    heeds = (PreVoteReply, TimeoutNow)

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._given: dict[tuple[int, int], set[int]] = defaultdict(set)
        """(node, term) -> who said in that term that it would vote for the node."""
        self._told: set[tuple[int, int]] = set()
        """(node, term) that a leader of that term told to stand."""
        self._stood: dict[int, int] = {}
        """The last term in which each node was a candidate."""
        self._shaken: set[int] = set()
        """Nodes that heard of a term beyond belief, and have not stood since."""

    def started(self, host: Watched) -> None:
        self._shaken.discard(host.id)

    def hears(self, host: Watched, message: Message) -> None:
        if message.term > host.running.raft.current_term + TERM_LEAP_MAX:
            self._shaken.add(host.id)

    def speaks(self, host: Watched, message: Message) -> None:
        if isinstance(message, PreVoteReply) and message.vote_granted:
            self._given[message.recipient, message.term].add(host.id)
        elif isinstance(message, TimeoutNow):
            self._told.add((message.recipient, message.term))

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        if raft.role is not Role.CANDIDATE:
            return
        before = (host.id, raft.current_term - 1)
        if self._stood.get(host.id) == raft.current_term:
            return
        self._stood[host.id] = raft.current_term
        if before in self._told or are_majority(self._given[before] | {host.id}, voters_of(host)):
            return
        is_shaken = host.id in self._shaken
        self._shaken.discard(host.id)
        if not is_shaken:
            self.fail(
                f"node {host.id} starts term {raft.current_term} with the consent of"
                f" {sorted(self._given[before])} only"
            )
