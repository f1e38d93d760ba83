"""Members change one at a time, and only when it is certain where from (thesis §4.1).

Law: in no log that is whole do two configurations that follow each other differ in more than one
voting directory: so any majority of the one meets any of the other. A leader appends one only
when an entry of its own term is committed, and the configuration before it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

from kvstore.raft.configuration import Configuration
from kvstore.raft.types import LogStart, Role
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.log_start import FIRST

_Held: TypeAlias = tuple[int, Configuration]
"""Since which index a configuration is in force, and which."""


class Membership(Checker):
    """Remembers up to where each leader's configurations were looked at."""

    theorem = "members change one at a time"
    watches = Part.LOG

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._in_force: dict[int, Configuration] = {}

    def changed(self, host: Watched) -> None:
        log = host.running.raft.log
        if self._in_force.get(host.id) is log.configuration or log.damaged:
            return
        self._in_force[host.id] = log.configuration
        held = log.configurations.held
        for (_, before), (index, after) in pairwise(held):
            if before.members and len(_voting(before) ^ _voting(after)) > 1:
                self.fail(f"entry {index} on node {host.id} changes {before} to {after}")
        if len(held) > 1:
            self._check_own(host, held[-2], held[-1])

    def _check_own(self, host: Watched, before: _Held, latest: _Held) -> None:
        """If a leader appended the latest one itself, it could."""
        raft, index = host.running.raft, latest[0]
        if raft.role is not Role.LEADER or raft.log.term(index) != raft.current_term:
            return
        commit_index = raft.commit_index
        if raft.log.term(commit_index) != raft.current_term or before[0] > commit_index:
            self.fail(
                f"leader {host.id} of term {raft.current_term} appends configuration {index} when"
                f" {commit_index} is committed, and {before[0]} the one before"
            )


def _voting(configuration: Configuration) -> set[tuple[int, str]]:
    """Who votes, and by which directory."""
    return {(m.node_id, m.directory) for m in configuration.members if m.admitted_at >= 0}
