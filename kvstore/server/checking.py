"""Replicas that are compared while they run: when the leader has it done, and what each node says.

Law: one comparison at a time, and only by a leader that has committed in its term. Each node says
the digest of its own state, and the leader names who differs from a majority of the voters; who
is named sees for itself that it differs (decision 50).

It must not know how a digest is taken, nor what becomes of a node that differs.
"""

from __future__ import annotations

from typing import Final

from kvstore import api
from kvstore.raft.comparing import Comparing, Verdict
from kvstore.raft.core import Raft
from kvstore.raft.events import Event
from kvstore.raft.state_events import StatesCompared, StatesDisputed
from kvstore.server.own_digest import NONE, OwnDigest
from kvstore.storage.base import Divergence

_GRACE_MS: Final = 5_000.0
"""So long a node is waited for that does not answer its leader; one that does, to the end."""


class Checking:
    """The part of one node in it.

    * `differs_at`: the last index as of which a majority has something else than this node.
    """

    def __init__(
        self,
        raft: Raft,
        own: OwnDigest,
        every_ms: float | None,
        time_ms: float,
        ask_interval_ms: float,
    ) -> None:
        """`every_ms`: how often it is done without being asked for, None for never; `time_ms`: how
        long a node may take; `ask_interval_ms`: how often who does not answer is asked.
        """
        self._raft = raft
        self._own = own
        self._every_ms = every_ms
        self._patience_ms = time_ms + _GRACE_MS
        self._ask_interval_ms = ask_interval_ms
        self._now_ms = 0.0
        self._last_ms: float | None = None
        """When the last entry of this kind was applied here, or this node began to tell."""
        self._last_index = 0
        self._proposed: tuple[int, int] = (0, 0)
        """(index, term) of the entry that this node proposed last."""
        self._comparing: Comparing | None = None
        self._last_result: api.CheckResult | None = None
        """What came of the comparison before, for who asked for it, if it was settled."""
        self._term = 0
        self._is_settled = False
        self._ask_ms = 0.0
        self._known = (0, False)
        """The last comparison of which this node has said what came of it: (index, whether a
        majority agreed)."""
        self._divergence: Divergence | None = None
        self.differs_at = 0

    # --- Time -----------------------------------------------------------------------------

    def tick(self, now_ms: float) -> list[Event]:
        """Let time pass: go on with the digest, answer, ask; what to say of it."""
        self._now_ms = now_ms
        self._own.tick(now_ms)
        if self._last_ms is None or self._own.index != self._last_index:
            self._last_ms, self._last_index = now_ms, self._own.index
        said = self._answer()
        replies = self._raft.state_talk.take_replies()
        if self._raft.leadership is None:
            self._comparing = self._last_result = None
            return said
        comparing = self._follow()
        if comparing is not None:
            for reply in replies:
                if reply.index == comparing.index:
                    comparing.take(reply)
            said += self._compare(comparing)
        if self._is_due:
            self.begin()
        return said

    @property
    def due_ms(self) -> float:
        """By when the next turn must begin for it."""
        due_ms = self._own.due_ms
        if self._comparing is not None and self._has_to_ask(self._comparing):
            due_ms = min(due_ms, self._ask_ms)
        return due_ms

    @property
    def _is_due(self) -> bool:
        assert self._last_ms is not None
        every_ms = self._every_ms
        return every_ms is not None and self._now_ms >= self._last_ms + every_ms

    # --- What a leader has done -----------------------------------------------------------

    @property
    def index_under_way(self) -> int:
        """Of the entry as of which states are being compared, or are to be; 0 for none."""
        index, term = self._proposed
        if term == self._raft.current_term and index > self._own.index:
            return index
        comparing = self._comparing
        return 0 if comparing is None or self._is_over(comparing) else comparing.index

    def _is_over(self, comparing: Comparing) -> bool:
        """Whether all who can be told know what came of it: another one would take its place."""
        raft = self._raft
        if not self._is_settled:
            return not self._is_in_time(comparing)
        assert raft.leadership is not None
        verdict = self._final(comparing.verdict(raft.log.configuration))
        listening = raft.leadership.answering - {raft.id}
        return not (verdict.is_known and comparing.unaware(listening))

    def begin(self) -> int:
        """Have states compared, if this node may; as of which entry, 0 for none.

        What is under way goes on instead.
        """
        if index := self.index_under_way:
            return index
        raft = self._raft
        if not (raft.has_committed_in_term and raft.takes_commands and raft.log.room.takes_noops):
            return 0
        index = raft.state_talk.propose()
        self._proposed = index, raft.current_term
        return index

    def find(self, since: int) -> int:
        """That entry, if what comes of it or of a later one is known, or is to come; else 0."""
        log, comparing = self._raft.log, self._comparing
        last_index = self.index_under_way or (0 if comparing is None else comparing.index)
        is_to_come = log.applied_index < since <= log.last_index
        return since if since <= last_index or is_to_come else 0

    def _follow(self) -> Comparing | None:
        """The comparison as of the last entry that was applied here; another leader's goes on."""
        index, term = self._own.index, self._raft.current_term
        is_new = self._comparing is None or (index, term) != (self._comparing.index, self._term)
        if index and is_new:
            if self._is_settled:
                self._last_result = self.result
            self._comparing, self._term = Comparing(index, self._now_ms), term
            self._is_settled, self._ask_ms = False, self._now_ms
        return self._comparing

    def _compare(self, comparing: Comparing) -> list[Event]:
        raft = self._raft
        configuration = raft.log.configuration
        if self._own.digest is not None:
            comparing.take_own(raft.id, self._own.digest, configuration)
        verdict = comparing.verdict(configuration)
        self._is_settled = self._is_settled or self._has_all(comparing)
        said = self._tell(comparing, verdict) if self._is_settled else []
        if raft.id in verdict.differ:
            self._see(comparing.index, verdict.digest)
        if self._now_ms >= self._ask_ms and self._has_to_ask(comparing):
            self._ask_ms = self._now_ms + self._ask_interval_ms
            self._ask(comparing, self._final(verdict))
        return said

    def _has_all(self, comparing: Comparing) -> bool:
        """Whether nothing is to come that is worth waiting for."""
        silent = comparing.silent(self._raft.log.configuration)
        waited_ms = self._now_ms - comparing.began_ms
        if not silent or waited_ms > self._patience_ms:
            return True
        assert self._raft.leadership is not None
        return waited_ms > _GRACE_MS and not silent & self._raft.leadership.answering

    def _final(self, verdict: Verdict) -> Verdict:
        """What may be told by now: that there is a dispute, only when nothing more is to come."""
        return verdict if verdict.digest or self._is_settled else Verdict()

    def _has_to_ask(self, comparing: Comparing) -> bool:
        """Whether somebody may not know yet, and there is time."""
        if not self._is_in_time(comparing):
            return False
        peers = self._raft.log.configuration.members_besides(self._raft.id)
        return bool(comparing.unaware(peers))

    def _is_in_time(self, comparing: Comparing) -> bool:
        return self._now_ms <= comparing.began_ms + self._patience_ms

    def _ask(self, comparing: Comparing, verdict: Verdict) -> None:
        peers = self._raft.log.configuration.members_besides(self._raft.id)
        for peer in comparing.unaware(peers):
            if verdict.is_known or peer not in comparing.digests:
                self._raft.state_talk.ask(peer, comparing.index, verdict)

    def _tell(self, comparing: Comparing, verdict: Verdict) -> list[Event]:
        """What to say once nothing more is to come, and if it came to more after all."""
        known = comparing.index, bool(verdict.digest)
        if known <= self._known:
            return []
        if verdict.digest and self._known == (comparing.index, False):
            comparing.tell_again()
        self._known = known
        term, index = self._raft.current_term, comparing.index
        if verdict.is_disputed:
            return [StatesDisputed(term, index)]
        result = self._result(comparing)
        absent = tuple(sorted(result.absent + result.silent))
        agree = tuple(sorted({*result.digests} - verdict.differ)) if verdict.digest else ()
        return [StatesCompared(term, index, agree, result.differ, absent)]

    # --- What any node says ---------------------------------------------------------------

    def _answer(self) -> list[Event]:
        """What the leader asked for is told, as soon as there is an answer."""
        question = self._raft.state_talk.question
        if question is None:
            return []
        index, own, log = question.index, self._own, self._raft.log
        is_to_come = index > max(own.index, log.applied_index) and not log.lacks_base
        digest = own.digest if index == own.index else NONE
        if is_to_come or digest is None:
            return []
        said = self._learn(index, question.digest) if question.is_verdict else []
        self._raft.state_talk.answer(self._raft.current_term, digest)
        return said

    def _learn(self, index: int, digest: bytes) -> list[Event]:
        """The leader tells what came of a comparison."""
        if (known := (index, bool(digest))) <= self._known:
            return []
        self._known = known
        if digest:
            self._see(index, digest)
            return []
        return [StatesDisputed(self._raft.current_term, index)]

    def _see(self, index: int, digest: bytes) -> None:
        """A majority has `digest`: does this node?"""
        own = self._own
        if index == own.index != self.differs_at and own.digest not in (None, NONE, digest):
            self._divergence, self.differs_at = Divergence(index, digest), index

    def take_divergence(self) -> Divergence | None:
        """What a majority has where this node has something else, if that is news."""
        divergence, self._divergence = self._divergence, None
        return divergence

    # --- What is known --------------------------------------------------------------------

    def result_for(self, index: int) -> api.CheckResult | None:
        """That of the comparison as of this entry, or else of the last one."""
        last = self._last_result
        return last if last is not None and last.index >= index else self.result

    @property
    def result(self) -> api.CheckResult | None:
        """What this leader knows of the last comparison, or of that under way."""
        return None if self._comparing is None else self._result(self._comparing)

    def _result(self, comparing: Comparing) -> api.CheckResult:
        configuration = self._raft.log.configuration
        verdict = comparing.verdict(configuration)
        return api.CheckResult(
            index=comparing.index,
            is_settled=self._is_settled,
            is_decided=bool(verdict.digest),
            digests={node: one.hex() for node, one in sorted(comparing.digests.items()) if one},
            differ=tuple(sorted(verdict.differ)),
            absent=tuple(sorted(node for node, one in comparing.digests.items() if not one)),
            silent=tuple(sorted(comparing.silent(configuration))),
        )
