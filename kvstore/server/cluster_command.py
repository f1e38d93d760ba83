"""CLUSTER: the nodes as one shard that holds all slots, whose master is the leader.

Law: cluster clients find the leader by it. While none can be reached, a node that may see one
elected names itself, so that they ask it again; one that is cut off names nobody, so that they
ask others. It must not know how leaders are elected.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from kvstore import api
from kvstore.address import Address
from kvstore.server.client_state import ClientState
from kvstore.server.subcommands import Builtin, builtin, with_subcommands
from kvstore.server.view import ServerView
from kvstore.wire import resp
from kvstore.wire.catalogue import Arguments
from kvstore.wire.key_slots import SLOTS


def _node_name(cluster_id: str, node_id: int) -> str:
    """40 hex digits, as Redis cluster clients expect of a node's name."""
    return f"{node_id:08x}" + cluster_id.encode().hex()[:32].ljust(32, "0")


def _info(state: ClientState, view: ServerView, _args: Arguments) -> bytes:
    status = view.status()
    health = "fail" if status.leader_id is None else "ok"
    slots = 0 if status.leader_id is None else SLOTS
    fields = {
        "cluster_state": health,
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
    return resp.verbatim(text, state.resp_version)


def _my_id(_state: ClientState, view: ServerView, _args: Arguments) -> bytes:
    settings = view.settings
    return resp.bulk(_node_name(settings.cluster_id, settings.node_id).encode())


def _owner(state: ClientState, view: ServerView) -> int | None:
    """Who is to be asked for any key; None if this node cannot tell."""
    state.follows_moved = True
    if (leader := view.reach.leader) is not None:
        return leader
    return view.settings.node_id if view.reach.has_majority else None


def _nodes(state: ClientState, view: ServerView, _args: Arguments) -> bytes:
    status = view.status()
    owner = _owner(state, view)
    lines = []
    for node, address in sorted(view.reach.members.items()):
        name = _node_name(status.cluster_id, node)
        flags = "master" if node == owner else "slave"
        flags = f"myself,{flags}" if node == status.node_id else flags
        follows = "-" if node == owner or owner is None else _node_name(status.cluster_id, owner)
        slots = f" 0-{SLOTS - 1}" if node == owner else ""
        link = "disconnected" if status.links.get(node) else "connected"
        where = f"{address.host}:{address.port}@0"  # Without brackets, as clients split it.
        lines.append(f"{name} {where} {flags} {follows} 0 0 {status.term} {link}{slots}\n")
    return resp.verbatim("".join(lines), state.resp_version)


def _owner_first(view: ServerView, owner: int | None) -> list[tuple[int, Address]]:
    """The members, whoever is to be asked first; empty if nobody is."""
    if owner is None:
        return []
    members = view.reach.members
    return sorted(members.items(), key=lambda item: (item[0] != owner, item[0]))


def _offset(status: api.StatusResult, node: int) -> int:
    """How far a node's log is known to go; 0 if that is not known here."""
    own = status.last_log_index
    return own if node == status.node_id else status.match_index.get(node, 0)


def _slots(state: ClientState, view: ServerView, _args: Arguments) -> bytes:
    status = view.status()
    nodes = [
        resp.array(
            [
                resp.bulk(address.host.encode()),
                resp.integer(address.port),
                resp.bulk(_node_name(status.cluster_id, node).encode()),
                resp.mapping([], state.resp_version),  # Other names of the node.
            ]
        )
        for node, address in _owner_first(view, _owner(state, view))
    ]
    if not nodes:
        return resp.array([])
    return resp.array([resp.array([resp.integer(0), resp.integer(SLOTS - 1), *nodes])])


def _shards(state: ClientState, view: ServerView, _args: Arguments) -> bytes:
    status = view.status()
    owner = _owner(state, view)
    version = state.resp_version

    def text(value: str) -> bytes:
        return resp.bulk(value.encode())

    nodes = [
        resp.mapping(
            [
                (text("id"), text(_node_name(status.cluster_id, node))),
                (text("port"), resp.integer(address.port)),
                (text("ip"), text(address.host)),
                (text("endpoint"), text(address.host)),
                (text("role"), text("master" if node == owner else "replica")),
                (text("replication-offset"), resp.integer(_offset(status, node))),
                (text("health"), text("fail" if status.links.get(node) else "online")),
            ],
            version,
        )
        for node, address in _owner_first(view, owner)
    ]
    if not nodes:
        return resp.array([])
    slots = resp.array([resp.integer(0), resp.integer(SLOTS - 1)])
    shard = [(text("slots"), slots), (text("nodes"), resp.array(nodes))]
    return resp.array([resp.mapping(shard, version)])


_subcommand: Final = partial(builtin, group="cluster", flags=("stale",))
_telling_news: Final = partial(_subcommand, tips=("nondeterministic_output",))
ROWS: Final = (
    with_subcommands(
        Builtin(name="cluster", arity=-2, summary="About the nodes, as one shard", group="cluster"),
        [
            _telling_news("cluster|info", 2, _info, "Whether there is a leader"),
            _subcommand("cluster|myid", 2, _my_id, "The name of this node"),
            _telling_news("cluster|nodes", 2, _nodes, "One line for each node"),
            _telling_news("cluster|shards", 2, _shards, "The nodes, the leader first"),
            _telling_news("cluster|slots", 2, _slots, "The same, as older clients read it"),
        ],
    ),
)
