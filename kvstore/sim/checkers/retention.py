"""What is committed stays with whoever could elect, whatever directories are lost.

Law: from the moment an entry is committed on, the voters whose disks lack it are no
majority; a voter on whose disk it is keeps it; and a node on whose disk it ever was, as
a voter's, is not a voter with a later directory and without it. A voter is a directory that
counts: it was admitted, and no later one of its node was. docs/verification.md proves it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TypeAlias

from kvstore.raft.types import NOT_ADMITTED, DurableUpdate, LogStart
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.checkers.majority import are_majority
from kvstore.sim.indexed import Indexed
from kvstore.sim.log_start import FIRST

_EntryName: TypeAlias = tuple[int, int]
"""(index, term)."""


class Retention(Checker):
    """Remembers what is committed, and what was ever on the disks of voters."""

    theorem = "what is committed stays with the voters"
    watches = Part.COMMITTED

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._hosts: dict[int, Watched] = {}
        self._terms = Indexed[int](start.index)
        """Of the committed entries."""
        self._admitted_at: dict[int, int] = {}
        """Node -> where its latest directory that counts was admitted."""
        self._had: defaultdict[int, set[_EntryName]] = defaultdict(set)
        """Node -> what was ever on the disk of that one: not all of it stays, or is committed."""
        self._had_before: defaultdict[int, set[_EntryName]] = defaultdict(set)
        """Node -> what was ever on the disks of those before it."""
        self._owes: defaultdict[int, int] = defaultdict(int)
        """Node -> the last committed entry that it must hold to be a voter."""
        self._held: dict[int, int] = {}
        """Node -> the last committed entry on its present disk."""

    def started(self, host: Watched) -> None:
        self._hosts[host.id] = host
        self._note(host, ())
        self._look_at(host)
        self._judge()

    def directory_changed(self, host: Watched) -> None:
        self._look_at(host)

    def synced(self, host: Watched, update: DurableUpdate) -> None:
        self._note(host, [(entry.index, entry.term) for entry in update.entries])
        self._look_at(host)
        self._judge()

    def changed(self, host: Watched) -> None:
        raft = host.running.raft
        known = self._terms.last
        if raft.commit_index <= known:
            return
        for index in range(known + 1, raft.commit_index + 1):
            term = raft.log.term(index)
            self._terms.append(term)
            for node in self._admitted_at:
                if (index, term) in self._had_before[node] or self._has(node, index, term):
                    self._owes[node] = index
        for one in self._hosts.values():
            self._look_at(one)
        self._judge()

    def _has(self, node: int, index: int, term: int) -> bool:
        """Whether a voter's disk holds it now."""
        log = self._hosts[node].disk.log
        is_voter = log.hard_state.admitted_at == self._admitted_at[node]
        return is_voter and (index <= log.start.index or log.terms.get(index) == term)

    def _note(self, host: Watched, names: Iterable[_EntryName]) -> None:
        """What is new on a disk is remembered, if it is a voter's; all of it, if it was none."""
        log, node = host.disk.log, host.id
        admitted_at = log.hard_state.admitted_at
        latest = self._admitted_at.get(node, NOT_ADMITTED)
        if admitted_at == NOT_ADMITTED or admitted_at < latest:
            return
        if admitted_at > latest:
            self._admitted_at[node] = admitted_at
            self._had_before[node] |= self._had.pop(node, set())
            self._owe(node, self._had_before[node])
            names = log.terms.numbered()
        new = list(names)
        self._had[node].update(new)
        self._owe(node, new)

    def _owe(self, node: int, names: Iterable[_EntryName]) -> None:
        for index, term in names:
            if self._terms.get(index) == term:
                self._owes[node] = max(self._owes[node], index)

    def _judge(self) -> None:
        committed = self._terms.last
        lacking: list[int] = []
        for node, admitted_at in self._admitted_at.items():
            log = self._hosts[node].disk.log
            if log.hard_state.admitted_at != admitted_at:
                continue
            held, owed = self._held[node], self._owes[node]
            if held < owed:
                self.fail(
                    f"node {node} counts with a disk that holds what is committed up to {held}"
                    f" only; before, its disk held it up to {owed}"
                )
            if held < committed:
                lacking.append(node)
        if lacking and are_majority({*lacking}, self.members):
            self.fail(
                f"entry {committed} is committed, and the disks of {lacking} of"
                f" {list(self.members)} count without it"
            )

    def _look_at(self, host: Watched) -> None:
        """Find the last committed entry on a disk; all before it are there too (log matching).

        Or they were dropped, as was whatever its log begins after.
        """
        terms, committed = host.disk.log.terms, self._terms
        index = min(terms.last, committed.last)
        while index > terms.start and terms[index] != committed[index]:
            index -= 1
        self._held[host.id] = index
