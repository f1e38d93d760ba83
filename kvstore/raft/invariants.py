"""The promises of the core as executable checks, for tests and simulation after every step.

Law: a check never changes what it looks at.
"""

from __future__ import annotations

import msgspec

from kvstore.raft.core import Raft
from kvstore.raft.safety import require
from kvstore.raft.types import Role


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """What `check_step` compares between two moments of one node."""

    term: int
    voted_for: int | None
    commit_index: int
    leader_id: int | None

    @staticmethod
    def of(raft: Raft) -> Snapshot:
        """The node as it is now."""
        standing = raft.standing
        return Snapshot(
            standing.current_term, standing.voted_for, raft.log.commit_index, raft.leader_id
        )


def check_state(raft: Raft) -> None:
    """What holds at every moment."""
    log = raft.log
    require(
        log.durable_index <= log.submitted_index <= log.last_index, "more is durable than exists"
    )
    require(raft.commit_index <= log.last_index, "committed past the end of the log")
    require(log.last_term <= raft.current_term, "the log is newer than the term")
    if raft.role is Role.LEADER:
        require(raft.leader_id == raft.id, "a leader follows another node")
        require(raft.voted_for == raft.id, "a leader did not vote for itself")
        require(log.last_term == raft.current_term, "a leader has not opened its term")
    log.check()
    raft.receiving.check()
    if raft.leadership is not None:
        raft.leadership.check()
    require(
        (raft.role is Role.LEADER) == (raft.leadership is not None),
        "a leader without its accounts",
    )
    if raft.role is Role.CANDIDATE:
        require(raft.voted_for == raft.id, "a candidate did not vote for itself")
        require(raft.leader_id is None, "a candidate follows a leader")


def check_step(before: Snapshot, raft: Raft) -> None:
    """What holds between two moments of one node without a restart in between."""
    standing = raft.standing
    require(standing.current_term >= before.term, "the term went back")
    require(raft.log.commit_index >= before.commit_index, "the commit index went back")
    if standing.current_term == before.term:
        require(before.voted_for in (None, standing.voted_for), "the vote changed within one term")
        require(
            before.leader_id is None or raft.leader_id in (None, before.leader_id),
            "two leaders in one term",
        )
