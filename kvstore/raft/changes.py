"""How a leader changes the configuration: one change at a time, of one voting directory.

Law: it proposes nothing before an entry of its own term is committed, nor while the
configuration in force is not: only so do majorities of any two that are in force meet
(thesis §4.1, and its known mistake). A member whose directory was lost is a learner first, and
votes with its new directory by another change: both at once would change two voters.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

import msgspec

from kvstore.raft.configuration import NOT_ADMITTED, Configuration
from kvstore.raft.configurations import configuration_data
from kvstore.raft.log import RaftLog
from kvstore.raft.progress import Progress
from kvstore.raft.safety import require
from kvstore.raft.types import CONFIGURE

LAG_MAX: Final = 1_024
"""By so many entries, of which one message carries as many, may a learner lag that is promoted."""


def promoted(configuration: Configuration, node_id: int, directory: str, at: int) -> Configuration:
    """With this member as a voter by its directory of that name, from the entry at `at` on."""
    member = configuration.member(node_id)
    assert member is not None
    return configuration.with_member(
        msgspec.structs.replace(member, admitted_at=at, directory=directory)
    )


def demoted(configuration: Configuration, node_id: int) -> Configuration:
    """With this member as a learner, whatever directory it has."""
    member = configuration.member(node_id)
    assert member is not None
    return configuration.with_member(
        msgspec.structs.replace(member, admitted_at=NOT_ADMITTED, directory="")
    )


def reason_to_wait(log: RaftLog, *, has_committed: bool, is_handing_over: bool) -> str | None:
    """Why a leader with this log changes nothing for now; None if it may."""
    if not has_committed:
        return "this leader has not committed an entry of its own term yet"
    if log.configurations.in_force_at > log.commit_index:
        return f"another change is under way, entry {log.configurations.in_force_at} of the log"
    if is_handing_over:
        return "this leader is handing over"
    if not log.room.takes_noops:
        return "this leader's disk has no room left"
    return None


def propose(log: RaftLog, configuration: Configuration) -> int:
    """Have the cluster go over to `configuration`, which nothing speaks against; its index."""
    before = log.configuration
    require(
        len(before.voting_directories ^ configuration.voting_directories) <= 1,
        "a change of the configuration concerns more than one voter",
    )
    require(bool(configuration.voters), "a configuration has no voters")
    return log.add(log.last_term, CONFIGURE, configuration_data(configuration))


def promotion_of(log: RaftLog, learner: int, progress: Progress) -> Configuration | None:
    """In which it votes, by the directory that answers; None if it is no learner, or lags."""
    member = log.configuration.member(learner)
    if member is None or member.is_voter or not progress.directory:
        return None
    has_base = progress.match_index >= log.start.index
    if log.last_index - progress.match_index > LAG_MAX or not has_base:
        return None
    return promoted(log.configuration, learner, progress.directory, log.last_index + 1)


def demotion_for(
    log: RaftLog, voter: int, directory: str, answering: Set[int]
) -> Configuration | None:
    """In which a voter is a learner whose directory is lost, as another one of its answers.

    None if it is not, or if the voters that are left have no majority among those `answering`.
    """
    member = log.configuration.member(voter)
    if member is None or not member.is_voter or member.votes_as(directory):
        return None
    without = demoted(log.configuration, voter)
    return without if without.has_majority(answering) else None
