"""CLUSTER: the nodes as one shard that holds all slots, whose master is the leader.

Law: cluster clients find the leader by it, and nothing here is of use to them when no leader
is known. It must not know how leaders are elected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kvstore import api
from kvstore.address import Address
from kvstore.server.subcommands import Answer, Builtin, with_subcommands
from kvstore.wire import resp
from kvstore.wire.catalogue import Arguments

if TYPE_CHECKING:
    from kvstore.server.session import Session

SLOTS: Final = 16_384


def _node_name(cluster_id: str, node_id: int) -> str:
    """40 hex digits, as Redis cluster clients expect of a node's name."""
    return f"{node_id:08x}" + cluster_id.encode().hex()[:32].ljust(32, "0")


def _info(session: Session, _args: Arguments) -> bytes:
    status = session.context.status()
    state = "fail" if status.leader_id is None else "ok"
    slots = 0 if status.leader_id is None else SLOTS
    fields = {
        "cluster_state": state,
        "cluster_slots_assigned": SLOTS,
        "cluster_slots_ok": slots,
        "cluster_slots_pfail": 0,
        "cluster_slots_fail": SLOTS - slots,
        "cluster_known_nodes": len(status.members),
        "cluster_size": 1,
        "cluster_current_epoch": status.term,
        "cluster_my_epoch": status.term,
    }
    text = "".join(f"{k}:{v}\r\n" for k, v in fields.items())
    return resp.verbatim(text, session.resp_version)


def _my_id(session: Session, _args: Arguments) -> bytes:
    status = session.context.status()
    return resp.bulk(_node_name(status.cluster_id, status.node_id).encode())


def _nodes(session: Session, _args: Arguments) -> bytes:
    status = session.context.status()
    leader = status.leader_id
    lines = []
    for node, address in sorted(status.members.items()):
        name = _node_name(status.cluster_id, node)
        flags = "master" if node == leader else "slave"
        flags = f"myself,{flags}" if node == status.node_id else flags
        follows = "-" if node == leader or leader is None else _node_name(status.cluster_id, leader)
        slots = f" 0-{SLOTS - 1}" if node == leader else ""
        link = "disconnected" if status.links.get(node) else "connected"
        lines.append(f"{name} {address}@0 {flags} {follows} 0 0 {status.term} {link}{slots}\n")
    return resp.verbatim("".join(lines), session.resp_version)


def _leader_first(session: Session, status: api.StatusResult) -> list[tuple[int, Address]]:
    """The members, leader first; empty while no leader is known."""
    if status.leader_id is None:
        return []
    members = session.context.settings.members
    return sorted(members.items(), key=lambda item: (item[0] != status.leader_id, item[0]))


def _slots(session: Session, _args: Arguments) -> bytes:
    status = session.context.status()
    nodes = [
        resp.array(
            [
                resp.bulk(address.host.encode()),
                resp.integer(address.port),
                resp.bulk(_node_name(status.cluster_id, node).encode()),
                resp.mapping([], session.resp_version),  # Other names of the node.
            ]
        )
        for node, address in _leader_first(session, status)
    ]
    if not nodes:
        return resp.array([])
    return resp.array([resp.array([resp.integer(0), resp.integer(SLOTS - 1), *nodes])])


def _shards(session: Session, _args: Arguments) -> bytes:
    status = session.context.status()
    version = session.resp_version

    def text(value: str) -> bytes:
        return resp.bulk(value.encode())

    nodes = [
        resp.mapping(
            [
                (text("id"), text(_node_name(status.cluster_id, node))),
                (text("port"), resp.integer(address.port)),
                (text("ip"), text(address.host)),
                (text("endpoint"), text(address.host)),
                (text("role"), text("master" if node == status.leader_id else "replica")),
                (text("replication-offset"), resp.integer(status.commit_index)),
                (text("health"), text("fail" if status.links.get(node) else "online")),
            ],
            version,
        )
        for node, address in _leader_first(session, status)
    ]
    if not nodes:
        return resp.array([])
    slots = resp.array([resp.integer(0), resp.integer(SLOTS - 1)])
    shard = [(text("slots"), slots), (text("nodes"), resp.array(nodes))]
    return resp.array([resp.mapping(shard, version)])


def _subcommand(name: str, answer: Answer, summary: str, *tips: str) -> Builtin:
    return Builtin(
        name=f"cluster|{name}",
        arity=2,
        summary=summary,
        group="cluster",
        flags=("stale",),
        tips=tips,
        answer=answer,
    )


_TELLS_NEWS: Final = "nondeterministic_output"
ROWS: Final = (
    with_subcommands(
        Builtin(name="cluster", arity=-2, summary="About the nodes, as one shard", group="cluster"),
        [
            _subcommand("info", _info, "Whether there is a leader", _TELLS_NEWS),
            _subcommand("myid", _my_id, "The name of this node"),
            _subcommand("nodes", _nodes, "One line for each node", _TELLS_NEWS),
            _subcommand("shards", _shards, "The nodes, the leader first", _TELLS_NEWS),
            _subcommand("slots", _slots, "The same, as older clients read it", _TELLS_NEWS),
        ],
    ),
)
