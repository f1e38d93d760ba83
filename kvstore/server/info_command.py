"""INFO and CONFIG GET: what a node knows of itself, in the form that monitors of Redis read.

Law: every value is true of this node. What Redis counts and this node does not, is left out.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import sys
from pathlib import Path
from typing import Final, TypeAlias

from kvstore import api
from kvstore.api.glob import COMPILE_STEPS, Glob
from kvstore.server.client_command import REDIS_VERSION
from kvstore.server.client_state import ClientState
from kvstore.server.subcommands import (
    FOR_ADMINISTRATORS,
    HANDSHAKE,
    Builtin,
    builtin,
    with_subcommands,
)
from kvstore.server.view import ServerView
from kvstore.wire import resp
from kvstore.wire.catalogue import Arguments
from kvstore.wire.commands import CommandError

Fields: TypeAlias = dict[str, object]

_EVERYTHING: Final = {"all", "default", "everything"}
_INFO_STEPS: Final = 200
"""What INFO costs beside its bytes."""
_CONFIG_PATTERNS_MAX: Final = 8
_CONFIG_PATTERN_BYTES_MAX: Final = 32
"""To compile them takes some milliseconds at most."""
_IS_GLOB: Final = re.compile(rb"[*?\[]")
_PROCESS_MEMORY: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_SYSTEM: Final = f"{platform.system()} {platform.release()} {platform.machine()}"


# --- INFO ---------------------------------------------------------------------------------


def _info(state: ClientState, view: ServerView, args: Arguments) -> bytes:
    wanted = {a.decode("utf-8", "replace").lower() for a in args[1:]}
    is_wanted = not wanted or wanted & _EVERYTHING
    state.steps += _INFO_STEPS
    sections = _info_sections(view)
    chosen = [(n, f) for n, f in sections.items() if is_wanted or n.lower() in wanted]
    text = "\r\n".join(
        f"# {name}\r\n" + "".join(f"{k}:{v}\r\n" for k, v in fields.items())
        for name, fields in chosen
    )
    return resp.verbatim(text, state.resp_version)


def _info_sections(view: ServerView) -> dict[str, Fields]:
    status = view.status()
    return {
        "Server": _server(view, status),
        "Clients": {
            "connected_clients": view.doorkeeper.clients_count,
            "cluster_connections": view.doorkeeper.connections_count
            - view.doorkeeper.clients_count,
            "maxclients": view.doorkeeper.clients_max,
            "blocked_clients": 0,
        },
        "Memory": _memory(),
        # Every write is in the log, and on the disk, before it is answered.
        "Persistence": {
            "loading": 0,
            "rdb_bgsave_in_progress": 0,
            "aof_enabled": 1,
            "aof_rewrite_in_progress": 0,
            "aof_last_write_status": "ok",
        },
        "Stats": {
            "total_connections_received": view.traffic.connections_received,
            "total_commands_processed": view.commands_processed,
            "instantaneous_ops_per_sec": view.traffic.commands_per_second,
            "rejected_connections": view.traffic.connections_rejected,
            "expired_keys": 0,
            "evicted_keys": 0,
        },
        "Replication": {**_replication(view, status), **_raft(status)},
        "CPU": _cpu(),
        "Cluster": {"cluster_enabled": 0},
        "Keyspace": {"db0": f"keys={status.keys},expires=0,avg_ttl=0"} if status.keys else {},
    }


def _server(view: ServerView, status: api.StatusResult) -> Fields:
    uptime_s = view.traffic.uptime_ms // 1000
    return {
        "redis_version": REDIS_VERSION,
        "kvstore_version": status.version,
        "kvstore_format": status.format_version,
        "kvstore_protocol": "{}-{}".format(*status.speaks),
        "redis_mode": "standalone",
        "os": _SYSTEM,
        "arch_bits": 64 if sys.maxsize > 1 << 32 else 32,
        "process_id": os.getpid(),
        "tcp_port": view.settings.listens_at.port,
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s // 86_400,
    }


def _memory() -> Fields:
    """`used_memory` is this process's own; pages of files that it has mapped come on top in rss."""
    _, resident, of_files, *_ = map(int, _PROCESS_MEMORY.read_text().split())
    fields: Fields = {}
    for name, pages in (
        ("used_memory", resident - of_files),
        ("used_memory_rss", resident),
        ("total_system_memory", os.sysconf("SC_PHYS_PAGES")),
        ("maxmemory", 0),
    ):
        fields[name] = pages * _PAGE_BYTES
        fields[f"{name}_human"] = _human(pages * _PAGE_BYTES)
    return {**fields, "maxmemory_policy": "noeviction"}


def _human(size_bytes: int) -> str:
    """As Redis writes it."""
    size, units = float(size_bytes), iter("BKMGTP")
    unit = next(units)
    while size >= 1024:
        size, unit = size / 1024, next(units)
    return f"{size_bytes}B" if unit == "B" else f"{size:.2f}{unit}"


def _cpu() -> Fields:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return {"used_cpu_sys": f"{used.ru_stime:.6f}", "used_cpu_user": f"{used.ru_utime:.6f}"}


def _replication(view: ServerView, status: api.StatusResult) -> Fields:
    """A leader's followers that have a link to it; a follower's leader."""
    members, leader = view.reach.members, status.leader_id
    linked = [node for node in sorted(view.doorkeeper.linked) if node in members]
    if leader == status.node_id:
        followers = {
            f"slave{number}": f"ip={members[node].host},port={members[node].port},state=online,"
            f"offset={status.match_index.get(node, 0)}"
            for number, node in enumerate(linked)
        }
        offset = {"master_repl_offset": status.last_log_index}
        return {"role": "master", "connected_slaves": len(linked), **followers, **offset}
    address = (
        {}
        if leader is None or (there := view.reach.place_of(leader)) is None
        else {
            "master_host": there.host,
            "master_port": there.port,
        }
    )
    return {
        "role": "slave",
        **address,
        "master_link_status": "up" if leader in linked else "down",
        "slave_repl_offset": status.last_log_index,
        "slave_read_only": 1,
        "connected_slaves": 0,
    }


def _raft(status: api.StatusResult) -> Fields:
    return {
        "raft_node_id": status.node_id,
        "raft_cluster_id": status.cluster_id,
        "raft_incarnation": status.incarnation,
        "raft_role": status.role,
        "raft_term": status.term,
        "raft_voted_for": status.voted_for or 0,
        "raft_leader_id": status.leader_id or 0,
        "raft_leader_address": status.leader_address or "",
        "raft_first_log_index": status.first_log_index,
        "raft_last_log_index": status.last_log_index,
        "raft_log_bytes": status.log_bytes,
        "raft_commit_index": status.commit_index,
        "raft_last_applied": status.last_applied,
        "raft_is_voter": int(status.is_voter),
        "raft_damaged_entries": status.damaged_entries,
        "raft_room_bytes": status.room_bytes,
        "raft_waits_for_room": status.waits_for_room,
        "raft_state_differs_at": status.differs_at,
        **_transfers(status),
        "raft_sync_last_ms": round(status.sync_last_ms or 0.0, 3),
        "raft_sync_p99_ms": round(status.sync_p99_ms or 0.0, 3),
        "raft_cluster_version": status.cluster_version,
        **_comparison(status.check),
        "revision": status.revision,
    }


def _transfers(status: api.StatusResult) -> Fields:
    """Of snapshots: what comes, of how much, who fetches one here, and what keeps one waiting."""
    receiving = status.receiving
    return {
        "raft_lacks_data": int(status.lacks_data),
        "raft_receiving_bytes": receiving.done_bytes if receiving else 0,
        "raft_receiving_size_bytes": receiving.size_bytes if receiving else 0,
        "raft_sending_to": ",".join(map(str, sorted(status.sending))),
        "raft_snapshot_setback": status.snapshot_setback,
    }


def _comparison(check: api.CheckResult | None) -> Fields:
    """What a leader knows of the last one; 0 and nobody on other nodes."""
    return {
        "raft_compared_at": check.index if check else 0,
        "raft_states_differ": ",".join(map(str, check.differ)) if check else "",
    }


# --- CONFIG -------------------------------------------------------------------------------


def _config_get(state: ClientState, view: ServerView, args: Arguments) -> bytes:
    """A name is told as it was asked for; patterns find those that there are."""
    patterns = args[2:]
    if len(patterns) > _CONFIG_PATTERNS_MAX or max(map(len, patterns)) > _CONFIG_PATTERN_BYTES_MAX:
        raise CommandError("ERR too many or too long patterns")
    state.steps += sum(map(len, patterns)) * COMPILE_STEPS
    settings = _settings_as_redis(view)
    found = {}
    for pattern in patterns:
        if _IS_GLOB.search(pattern):
            glob = Glob(pattern.lower())
            found.update({name: text for name, text in settings.items() if glob.matches(name)})
        elif (text := settings.get(pattern.lower())) is not None:
            found[pattern] = text
    pairs = [(resp.bulk(name), resp.bulk(text.encode())) for name, text in found.items()]
    return resp.mapping(pairs, state.resp_version)


def _settings_as_redis(view: ServerView) -> dict[bytes, str]:
    """The settings that Redis clients and redis-benchmark ask for, as they are here."""
    settings = view.settings
    return {
        b"appendfsync": "always",
        b"appendonly": "yes",
        b"bind": settings.listens_at.host,
        b"cluster-enabled": "no",
        b"databases": "1",
        b"dir": str(settings.data_dir),
        b"maxclients": str(view.doorkeeper.clients_max),
        b"maxmemory": "0",
        b"maxmemory-policy": "noeviction",
        b"port": str(settings.listens_at.port),
        b"proto-max-bulk-len": str(settings.limits.value_bytes_max),
        b"save": "",
    }


ROWS: Final = (
    Builtin(
        name="info",
        arity=-1,
        usage="[<section> ...]",
        summary="What the node knows of itself, in sections",
        group="server",
        flags=HANDSHAKE,
        categories=("dangerous",),
        tips=("nondeterministic_output", "request_policy:all_shards", "response_policy:special"),
        answer=_info,
    ),
    with_subcommands(
        Builtin(name="config", arity=-2, summary="About settings", group="server"),
        [
            builtin(
                *("config|get", -3, _config_get),
                "Settings by their names or patterns; they are given at the start",
                "<pattern> ...",
                group="server",
                flags=FOR_ADMINISTRATORS,
            )
        ],
    ),
)
