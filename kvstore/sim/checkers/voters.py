"""Who votes by a node's own log, as the checkers read it.

Law: it shares nothing with what counts in `raft/`: it looks at the entries themselves, so that
who takes one configuration for another is found out here.
"""

from __future__ import annotations

from kvstore.raft.configuration import Member
from kvstore.sim.checkers.checker import Watched


def members_of(host: Watched) -> tuple[Member, ...]:
    """The members by the latest configuration in a running node's log."""
    return host.running.raft.log.configuration.members


def voters_of(host: Watched) -> tuple[int, ...]:
    """Of these, who votes."""
    return tuple(one.node_id for one in members_of(host) if one.admitted_at >= 0)


def directory_of(host: Watched, node: int) -> str | None:
    """By which directory a node votes, as a running node knows it; None if it does not vote."""
    for one in members_of(host):
        if one.node_id == node and one.admitted_at >= 0:
            return one.directory
    return None
