"""What a node says of itself: its part of `kvstore status`, of INFO and of CLUSTER.

Law: it looks, and changes nothing; what it says costs no disk and no message.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set

from kvstore import api
from kvstore.server import refusals
from kvstore.server.node import Node
from kvstore.version import version


def status_of(
    node: Node,
    links: Mapping[int, str] | None = None,
    heard_from: Collection[int] = (),
    refused: Mapping[int, str] | None = None,
) -> api.StatusResult:
    """This node, as it sees itself and its cluster.

    `links`: per peer, why it has no link to it, "" if it has; `heard_from`: peers that have
    one to this node; `refused`: why the directory of a peer was, when it came last.
    """
    raft, settings, room, times = node.raft, node.settings, node.room, node.sync_times
    members = node.roster.members
    leader, speaks = raft.leader_id, node.cluster_version.speaks
    where = None if leader is None else node.reach.place_of(leader)
    return api.StatusResult(
        node_id=raft.id,
        cluster_id=settings.cluster_id,
        incarnation=node.log_store.identity.incarnation,
        role=raft.role.value,
        term=raft.current_term,
        voted_for=raft.voted_for,
        leader_id=leader,
        leader_address=None if where is None else str(where),
        commit_index=raft.commit_index,
        last_applied=node.machine.last_applied,
        last_log_index=raft.log.last_index,
        revision=node.machine.revision,
        keys=node.state_store.count(),
        members={member: str(address) for member, address in members.items()},
        match_index=raft.match_index,
        leader_ms=node.known_leader.age_ms(node.now_ms),
        is_voter=raft.is_voter,
        damaged_entries=len(raft.log.damaged),
        room_bytes=room.left_bytes,
        waits_for_room=room.waiting_index,
        sync_last_ms=times.last_ms,
        sync_p99_ms=times.p99_ms,
        is_short_of_room=room.is_short,
        links=dict(links or {}),
        heard_from=tuple(sorted(heard_from)),
        refused=dict(refused or {}),
        version=version(),
        format_version=node.log_store.identity.format_version,
        speaks=(speaks.oldest, speaks.newest),
        cluster_version=node.machine.cluster_version,
        first_log_index=raft.log.start.index + 1,
        log_bytes=node.log_store.sizes.total_bytes,
        lacks_data=raft.log.lacks_base,
        receiving=_receiving(node),
        sending=_sending(node),
        learners=tuple(one.node_id for one in raft.log.configuration.members if not one.is_voter),
        reached_at=str(settings.address),
        snapshot_setback=node.snapshot_setback,
        check=node.checking.result,
        differs_at=0 if (known := node.divergence.known) is None else known.index,
    )


def _receiving(node: Node) -> api.Transfer | None:
    receiving = node.raft.receiving
    if (name := receiving.name) is None:
        return None
    ms = node.now_ms - receiving.began_ms
    return api.Transfer(name.index, receiving.taken_bytes, name.size_bytes, ms)


def _sending(node: Node) -> dict[int, api.Transfer]:
    raft = node.raft
    if raft.leadership is None:
        return {}
    return {
        peer: api.Transfer(name.index, one.sent_bytes, name.size_bytes, node.now_ms - one.began_ms)
        for peer, one in raft.sending.receivers.items()
        if (name := one.fetches) is not None
    }


def members_of(node: Node, *, is_stale: bool) -> api.MembersResult | api.Failure:
    """The members, as this node knows them, if it leads or any may say so; else whom to ask."""
    raft, log = node.raft, node.raft.log
    if raft.leadership is None and not is_stale:
        return node.redirect()
    if not log.configuration.members:
        return refusals.KNOWS_NO_MEMBERS
    answering: Set[int] = frozenset()
    if raft.leadership is not None:
        answering = raft.leadership.answering
    match_index, index = raft.match_index, log.configurations.in_force_at
    found = node.reach.members
    return api.MembersResult(
        cluster_id=node.settings.cluster_id,
        leader_id=raft.leader_id,
        index=index,
        is_settled=index <= raft.commit_index,
        last_log_index=log.last_index,
        members=tuple(
            api.Member(
                one.node_id,
                one.address,
                api.MemberRole.VOTER if one.is_voter else api.MemberRole.LEARNER,
                one.node_id in answering,
                match_index.get(one.node_id, 0),
                "" if (there := str(found[one.node_id])) == one.address else there,
            )
            for one in log.configuration.members
        ),
    )
