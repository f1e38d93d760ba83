"""Where a node sends a client whose request it does not carry out.

Law: it says what is known of who leads, and promises that the request changed nothing.
"""

from __future__ import annotations

import msgspec

from kvstore import api
from kvstore.raft.core import Raft
from kvstore.server import refusals
from kvstore.server.reach import Reach


def elsewhere(raft: Raft, reach: Reach) -> api.Failure:
    """Why this node does not take the request, and where to go."""
    leader = raft.leader_id
    if leader is None and (lost := raft.log.damaged.first_from(1)):
        return refusals.cannot_stand(raft.id, lost, raft.log.term(lost))
    if (heir := raft.heir) is not None:
        return refusals.no_leader(f"leadership is moving to node {heir}; try again")
    if leader is None or leader == raft.id:
        return refusals.no_leader("no leader is known, an election may be under way; try again")
    if (there := reach.place_of(leader)) is None:
        return refusals.no_leader(
            f"node {leader} leads, and where it is is not known here; try again"
        )
    return refusals.not_leader(leader, str(there))


def rolled_back(failure: api.Failure) -> api.Failure:
    """The same, of a write that this node had taken and that can never happen."""
    message = f"{failure.message}; the write was rolled back"
    return msgspec.structs.replace(failure, message=message)
