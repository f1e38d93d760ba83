"""Commands that one node answers by itself: about the connection, the server and the cluster.

Law: no command here reads or writes the replicated data. Each returns its reply
at once; an unknown subcommand or argument gets the error that Redis gives.
"""

from __future__ import annotations

import functools
import os
import platform
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from kvstore import api
from kvstore.address import Address
from kvstore.glob import COMPILE_STEPS, Glob
from kvstore.wire import commands, resp

if TYPE_CHECKING:
    from kvstore.server.session import Session

Arguments: TypeAlias = list[bytes]


class Builtin(msgspec.Struct, frozen=True):
    """One row of `BUILTINS`. Without `answer`, the session itself carries it out."""

    name: str
    arity: int
    answer: Callable[[Session, Arguments], bytes] | None = None
    flags: tuple[str, ...] = ("loading", "stale", "fast")
    keys: tuple[int, int, int] = (0, 0, 0)


REDIS_VERSION: Final = "7.4.0"
"""The Redis whose command semantics this server follows, for clients that ask."""
SLOTS: Final = 16_384
_NAME: Final = re.compile(rb"[!-~]{0,128}")
_BAD_NAME: Final = (
    "ERR Client names cannot contain spaces, newlines or special characters, "
    "or be longer than 128 bytes"
)
_CONFIG_PATTERNS_MAX: Final = 8
_CONFIG_PATTERN_BYTES_MAX: Final = 32
"""To compile them takes some milliseconds at most."""
NO_TRANSACTIONS: Final = "MULTI is not supported; send the commands without it"


def _ping(_session: Session, args: Arguments) -> bytes:
    return resp.bulk(args[1]) if len(args) > 1 else resp.simple("PONG")


def _echo(_session: Session, args: Arguments) -> bytes:
    return resp.bulk(args[1])


def _select(_session: Session, args: Arguments) -> bytes:
    if args[1] == b"0":
        return resp.OK
    return resp.error("ERR DB index is out of range; there is only database 0")


def _quit(session: Session, _args: Arguments) -> bytes:
    session.close_after_replies()
    return resp.OK


def _readonly(session: Session, _args: Arguments) -> bytes:
    session.reads_stale = True
    return resp.OK


def _readwrite(session: Session, _args: Arguments) -> bytes:
    session.reads_stale = False
    return resp.OK


# --- MULTI, which is refused as a whole ---------------------------------------------------


def _multi(session: Session, _args: Arguments) -> bytes:
    """Refuse, and what follows too: a client that pipelines has sent it already."""
    session.refuses_transaction = True
    return resp.error(f"ERR {NO_TRANSACTIONS}")


def _exec(session: Session, _args: Arguments) -> bytes:
    if not session.refuses_transaction:
        return resp.error("ERR EXEC without MULTI")
    session.refuses_transaction = False
    return resp.error(f"EXECABORT nothing was done: {NO_TRANSACTIONS}")


def _discard(session: Session, _args: Arguments) -> bytes:
    if not session.refuses_transaction:
        return resp.error("ERR DISCARD without MULTI")
    session.refuses_transaction = False
    return resp.OK


# --- HELLO and CLIENT ---------------------------------------------------------------------


def _hello(session: Session, args: Arguments) -> bytes:
    if len(args) > 1:
        if args[1] not in (b"2", b"3"):
            return resp.error("NOPROTO unsupported protocol version; use 2 or 3")
        session.name = _name_of_hello(args[2:], session.name)
        session.resp_version = int(args[1])
    raft = session.context.node.raft
    return resp.mapping(
        [
            (resp.bulk(b"server"), resp.bulk(b"kvstore")),
            (resp.bulk(b"version"), resp.bulk(REDIS_VERSION.encode())),
            (resp.bulk(b"proto"), resp.integer(session.resp_version)),
            (resp.bulk(b"id"), resp.integer(session.number)),
            (resp.bulk(b"mode"), resp.bulk(b"standalone")),
            (resp.bulk(b"role"), resp.bulk(b"master" if raft.leader_id == raft.id else b"replica")),
            (resp.bulk(b"modules"), resp.array([])),
        ],
        session.resp_version,
    )


def _name_of_hello(options: Arguments, name: bytes) -> bytes:
    """What SETNAME says, otherwise `name`. Raises `CommandError`, for AUTH too."""
    position = 0
    while position < len(options):
        option = options[position].upper()
        if option == b"SETNAME" and position + 1 < len(options):
            name = options[position + 1]
            if not _NAME.fullmatch(name):
                raise commands.CommandError(_BAD_NAME)
            position += 2
        elif option == b"AUTH":
            raise commands.CommandError(
                "ERR this server has no users or passwords; connect without AUTH"
            )
        else:
            raise commands.CommandError("ERR syntax error in HELLO")
    return name


def _client(session: Session, args: Arguments) -> bytes:
    subcommand = args[1].upper()
    if subcommand == b"SETNAME" and len(args) == 3:
        if not _NAME.fullmatch(args[2]):
            return resp.error(_BAD_NAME)
        session.name = args[2]
        return resp.OK
    if subcommand == b"GETNAME" and len(args) == 2:
        return resp.bulk(session.name) if session.name else resp.null(session.resp_version)
    if subcommand == b"ID" and len(args) == 2:
        return resp.integer(session.number)
    if subcommand == b"INFO" and len(args) == 2:
        return resp.bulk(_line_of(session).encode())
    if subcommand == b"LIST" and len(args) == 2:
        return resp.bulk("".join(map(_line_of, session.context.sessions)).encode())
    if subcommand in (b"SETINFO", b"NO-EVICT", b"NO-TOUCH"):
        return resp.OK
    return _unknown_subcommand("client", args)


def _line_of(session: Session) -> str:
    """One line of CLIENT LIST."""
    return (
        f"id={session.number} addr={session.address} "
        f"name={session.name.decode('utf-8', 'replace')} db=0 resp={session.resp_version} "
        f"pending={len(session.replies.places)} omem={session.unsent_bytes}\n"
    )


# --- COMMAND ------------------------------------------------------------------------------


def _command(session: Session, args: Arguments) -> bytes:
    known = _known_commands()
    if len(args) == 1:
        return resp.array([*known.values()])
    subcommand = args[1].upper()
    if subcommand == b"COUNT":
        return resp.integer(len(known))
    if subcommand == b"LIST":
        return resp.array([resp.bulk(name.encode()) for name in known])
    if subcommand == b"INFO":
        nothing = resp.null_array(session.resp_version)
        names = [a.decode("utf-8", "replace").lower() for a in args[2:]] or list(known)
        return resp.array([known.get(name, nothing) for name in names])
    if subcommand == b"DOCS":
        return resp.mapping([], session.resp_version)
    return _unknown_subcommand("command", args)


@functools.cache
def _known_commands() -> dict[str, bytes]:
    """Every command, described, by its lower-case name, less the one that is for peers alone."""
    rows: list[Builtin | commands.Spec] = [*commands.COMMANDS.values(), *BUILTINS.values()]
    return {row.name: _describe(row) for row in rows if row.name != "raft"}


def _describe(row: Builtin | commands.Spec) -> bytes:
    """Name, arity, flags, first key, last key, step: what clients route by."""
    return resp.array(
        [
            resp.bulk(row.name.encode()),
            resp.integer(row.arity),
            resp.array([resp.simple(flag) for flag in row.flags]),
            *map(resp.integer, row.keys),
        ]
    )


# --- INFO and CONFIG ----------------------------------------------------------------------


@functools.cache
def _system() -> str:
    return f"{platform.system()} {platform.release()} {platform.machine()}"


def _info(session: Session, args: Arguments) -> bytes:
    wanted = {a.decode("utf-8", "replace").lower() for a in args[1:]}
    everything = not wanted or wanted & {"all", "default", "everything"}
    sections = _info_sections(session)
    chosen = [(n, f) for n, f in sections if everything or n.lower() in wanted]
    text = "\r\n".join(
        f"# {name}\r\n" + "".join(f"{k}:{v}\r\n" for k, v in fields.items())
        for name, fields in chosen
    )
    return resp.bulk(text.encode())


def _info_sections(session: Session) -> list[tuple[str, dict[str, object]]]:
    context = session.context
    status = context.status()
    leads = status.leader_id == status.node_id
    return [
        (
            "Server",
            {
                "redis_version": REDIS_VERSION,
                "kvstore_version": status.version,
                "redis_mode": "standalone",
                "os": _system(),
                "process_id": os.getpid(),
                "tcp_port": context.settings.listens_at.port,
            },
        ),
        ("Clients", {"connected_clients": len(context.sessions)}),
        ("Stats", {"total_commands_processed": context.commands_processed}),
        (
            "Replication",
            {
                "role": "master" if leads else "slave",
                "raft_node_id": status.node_id,
                "raft_cluster_id": status.cluster_id,
                "raft_incarnation": status.incarnation,
                "raft_role": status.role,
                "raft_term": status.term,
                "raft_voted_for": status.voted_for or 0,
                "raft_leader_id": status.leader_id or 0,
                "raft_leader_address": status.leader_address or "",
                "raft_last_log_index": status.last_log_index,
                "raft_commit_index": status.commit_index,
                "raft_last_applied": status.last_applied,
                "raft_is_voter": int(status.is_voter),
                "raft_damaged_entries": status.damaged_entries,
                "raft_room_bytes": status.room_bytes,
                "raft_waits_for_room": status.waits_for_room,
                "raft_sync_last_ms": round(status.sync_last_ms or 0.0, 3),
                "raft_sync_p99_ms": round(status.sync_p99_ms or 0.0, 3),
                "revision": status.revision,
            },
        ),
        ("Keyspace", {"db0": f"keys={status.keys},expires=0,avg_ttl=0"} if status.keys else {}),
    ]


def _config(session: Session, args: Arguments) -> bytes:
    if args[1].upper() != b"GET" or len(args) < 3:
        return resp.error("ERR only CONFIG GET is supported; settings are given at the start")
    patterns = args[2:]
    if len(patterns) > _CONFIG_PATTERNS_MAX or max(map(len, patterns)) > _CONFIG_PATTERN_BYTES_MAX:
        return resp.error("ERR too many or too long patterns")
    session.served += sum(map(len, patterns)) * COMPILE_STEPS
    globs = [Glob(pattern.lower()) for pattern in patterns]
    found = [
        (resp.bulk(name.encode()), resp.bulk(value.encode()))
        for name, value in _settings_as_redis(session).items()
        if any(glob.matches(name.encode()) for glob in globs)
    ]
    return resp.mapping(found, session.resp_version)


def _settings_as_redis(session: Session) -> dict[str, str]:
    """The settings that Redis clients and redis-benchmark ask for, as they are here."""
    settings = session.context.settings
    return {
        "appendfsync": "always",
        "appendonly": "yes",
        "bind": settings.listens_at.host,
        "cluster-enabled": "no",
        "databases": "1",
        "dir": str(settings.data_dir),
        "maxclients": str(settings.limits.connections_max),
        "port": str(settings.listens_at.port),
        "proto-max-bulk-len": str(settings.limits.value_bytes_max),
        "save": "",
    }


# --- CLUSTER: one shard that holds all slots ----------------------------------------------


def _cluster(session: Session, args: Arguments) -> bytes:
    handler = _CLUSTER.get(args[1].upper())
    if handler is None or len(args) != 2:
        return _unknown_subcommand("cluster", args)
    return handler(session, session.context.status())


def _node_name(cluster_id: str, node_id: int) -> str:
    """40 hex digits, as Redis cluster clients expect of a node's name."""
    return f"{node_id:08x}" + cluster_id.encode().hex()[:32].ljust(32, "0")


def _cluster_info(_session: Session, status: api.StatusResult) -> bytes:
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
    return resp.bulk("".join(f"{k}:{v}\r\n" for k, v in fields.items()).encode())


def _cluster_myid(_session: Session, status: api.StatusResult) -> bytes:
    return resp.bulk(_node_name(status.cluster_id, status.node_id).encode())


def _cluster_nodes(_session: Session, status: api.StatusResult) -> bytes:
    leader = status.leader_id
    lines = []
    for node, address in sorted(status.members.items()):
        name = _node_name(status.cluster_id, node)
        flags = "master" if node == leader else "slave"
        flags = f"myself,{flags}" if node == status.node_id else flags
        follows = "-" if node == leader or leader is None else _node_name(status.cluster_id, leader)
        slots = f" 0-{SLOTS - 1}" if node == leader else ""
        lines.append(f"{name} {address}@0 {flags} {follows} 0 0 {status.term} connected{slots}\n")
    return resp.bulk("".join(lines).encode())


def _leader_first(session: Session, status: api.StatusResult) -> list[tuple[int, Address]]:
    """The members, leader first; empty while no leader is known."""
    if status.leader_id is None:
        return []
    members = session.context.settings.members
    return sorted(members.items(), key=lambda item: (item[0] != status.leader_id, item[0]))


def _cluster_slots(session: Session, status: api.StatusResult) -> bytes:
    nodes = [
        resp.array(
            [
                resp.bulk(address.host.encode()),
                resp.integer(address.port),
                resp.bulk(_node_name(status.cluster_id, node).encode()),
            ]
        )
        for node, address in _leader_first(session, status)
    ]
    if not nodes:
        return resp.array([])
    return resp.array([resp.array([resp.integer(0), resp.integer(SLOTS - 1), *nodes])])


def _cluster_shards(session: Session, status: api.StatusResult) -> bytes:
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
                (text("health"), text("online")),
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


_CLUSTER: Final[dict[bytes, Callable[[Session, api.StatusResult], bytes]]] = {
    b"INFO": _cluster_info,
    b"MYID": _cluster_myid,
    b"NODES": _cluster_nodes,
    b"SLOTS": _cluster_slots,
    b"SHARDS": _cluster_shards,
}


def _unknown_subcommand(name: str, args: Arguments) -> bytes:
    subcommand = args[1][:64].decode("utf-8", "replace")
    return resp.error(
        f"ERR unknown subcommand or wrong number of arguments for '{name}|{subcommand}'"
    )


def unknown_command(args: Arguments) -> str:
    """The error text that Redis clients know; it quotes a bounded part of the input."""
    name, *rest = (arg[:128].decode("utf-8", "replace") for arg in args[:20])
    beginning = " ".join(f"'{arg}'" for arg in rest)[:128]
    return f"ERR unknown command '{name}', with args beginning with: {beginning}"


_ROWS: Final = (
    Builtin("ping", -1, _ping),
    Builtin("echo", 2, _echo),
    Builtin("hello", -1, _hello),
    Builtin("client", -2, _client),
    Builtin("select", 2, _select),
    Builtin("command", -1, _command),
    Builtin("info", -1, _info),
    Builtin("config", -2, _config),
    Builtin("cluster", -2, _cluster),
    Builtin("readonly", 1, _readonly),
    Builtin("readwrite", 1, _readwrite),
    Builtin("multi", 1, _multi),
    Builtin("exec", 1, _exec),
    Builtin("discard", 1, _discard),
    Builtin("quit", -1, _quit),
    Builtin("scan", -2, flags=("readonly",)),
    Builtin("kv", 2, flags=("write",)),
    Builtin("raft", -2),
)
BUILTINS: Final = {row.name.upper().encode(): row for row in _ROWS}
TRANSACTION_ENDS: Final = (b"EXEC", b"DISCARD", b"QUIT")
