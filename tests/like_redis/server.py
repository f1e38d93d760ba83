"""The commands about the server and its commands, and those that this store has not."""

from __future__ import annotations

from .cases import alike, parts, same, same_in_cluster
from .differences import COMMANDS, CONFIG, ENTRIES, FIELDS, PATTERNS, SHARD, SIZES
from .replies import View

_NAMES = parts("""
    get | set | del | exists | mget | mset | incr | incrby | decr | decrby | strlen | dbsize | scan
    ping | echo | hello | select | info | quit | readonly | readwrite | multi | exec | discard
""")
_CALLS = parts(r"""
        GET k | SET k v | SET k v NX GET | SET k v get | DEL a b c | EXISTS a | MGET a b | mget a
        MSET a 1 b 2 | MSET a 1 b | INCR n | INCRBY n 1 | DECR n | DECRBY n 1 | STRLEN k
        DBSIZE | PING | SCAN 0 | COMMAND | CLIENT ID | INFO | HELLO 3 | EXEC | CONFIG GET x
        GET | GET a b | MSET a | BOGUS | BOGUS a | GET "" | GET "\x00" | CLIENT SETNAME x
    """)

_COMMAND = [
    *alike("command count | COMMAND LIST | COMMAND HELP | CLIENT HELP | CONFIG HELP"),
    *same("""
        COMMAND BOGUS | COMMAND COUNT x | COMMAND "" | COMMAND LIST x | COMMAND GETKEYS
    """),
    *same(*[f"COMMAND INFO {name}" for name in _NAMES]),
    *same(r"""
        COMMAND INFO bogus | COMMAND INFO GET bogus sEt | COMMAND INFO "" | command info get get
        COMMAND INFO client|bogus | COMMAND INFO get|x | COMMAND INFO "\xff" | COMMAND INFO a|b
        COMMAND INFO client|id | COMMAND INFO CONFIG|get | COMMAND INFO command|count
    """),
    *same(*[f"COMMAND GETKEYS {call}" for call in _CALLS]),
    *same(*[f"COMMAND GETKEYSANDFLAGS {call}" for call in _CALLS]),
    *same("""
        COMMAND DOCS bogus | COMMAND DOCS bogus bogus | COMMAND GETKEYSANDFLAGS
        COMMAND LIST FILTERBY | COMMAND LIST FILTERBY PATTERN | COMMAND LIST FILTERBY BOGUS x
        COMMAND LIST FILTERBY PATTERN get | command list filterby pattern GET
        COMMAND LIST BOGUS a b
        COMMAND LIST FILTERBY PATTERN zz*y | COMMAND LIST FILTERBY MODULE x
        COMMAND LIST FILTERBY ACLCAT x
    """),
    *same(
        "COMMAND LIST FILTERBY PATTERN a b",
        "COMMAND LIST FILTERBY PATTERN decr*",
        view=View.ANY_ORDER,
    ),
    *alike("""
        COMMAND LIST FILTERBY ACLCAT read | COMMAND LIST filterby aclcat @string
    """),
    *same(f"COMMAND INFO {' '.join(['get'] * 256)}"),
    *SIZES.shown_by(f"COMMAND INFO {' '.join(['get'] * 257)}"),
    *PATTERNS.shown_by(f"COMMAND LIST FILTERBY PATTERN {'*' * 129}"),
    *ENTRIES.shown_by("""
        COMMAND COUNT | COMMAND INFO lpush | COMMAND GETKEYS LPUSH a b | COMMAND DOCS get
        COMMAND | COMMAND INFO | COMMAND DOCS
    """),
]
_INFO = [
    *alike("""
        INFO | info | INFO server | INFO SERVER | INFO server clients | INFO all | INFO default
        INFO everything | INFO replication bogus | INFO Keyspace
    """),
    *same("""
        INFO bogus | INFO "" | INFO bogus bogus2
    """),
    *FIELDS.shown_by("INFO modules | INFO commandstats"),
]
_CONFIG = [
    *same("""
        CONFIG | CONFIG BOGUS | CONFIG GET | CONFIG GET bogus | CONFIG GET bogus bogus | CONFIG SET
        CONFIG GET save | config get SAVE | CONFIG GET sav[e] | CONFIG GET save save | CONFIG SET a
        CONFIG GET cluster-enabled | CONFIG SET bogus 1 | CONFIG RESETSTAT x | CONFIG GET ""
    """),
    *alike("""
        CONFIG GET maxclients | CONFIG GET databases | CONFIG GET port | CONFIG GET appendonly
        CONFIG GET dir | CONFIG GET appendfsync | CONFIG GET bind | CONFIG GET proto-max-bulk-len
        CONFIG GET save databases | CONFIG GET maxclients port bogus
    """),
    *CONFIG.shown_by("""
        CONFIG SET save "" | CONFIG RESETSTAT | CONFIG GET timeout
    """),
    *PATTERNS.shown_by(
        f"CONFIG GET {'*' * 33}save", f"CONFIG GET {' '.join(['save'] * 9)}", view=View.SHAPES
    ),
]
_CLUSTER = [
    *same("""
        CLUSTER | CLUSTER KEYSLOT k | CLUSTER BOGUS | CLUSTER INFO x | CLUSTER ""
    """),
    *SHARD.shown_by("""
        CLUSTER INFO | CLUSTER MYID | CLUSTER NODES | CLUSTER SLOTS | CLUSTER SHARDS
        CLUSTER HELP
    """),
]
_IN_CLUSTER = [
    *same_in_cluster("READONLY | READWRITE | READONLY; GET k; READWRITE"),
    *same_in_cluster(
        "CLUSTER | CLUSTER BOGUS | CLUSTER INFO x | CLUSTER SLOTS x | CLUSTER SHARDS x"
    ),
    *same_in_cluster("SET k v; READONLY; GET k | SELECT 1"),
    *same_in_cluster(
        "CLUSTER INFO | CLUSTER MYID | CLUSTER NODES | CLUSTER SLOTS | CLUSTER SHARDS",
        "COMMAND INFO cluster|info | COMMAND INFO cluster|slots | COMMAND INFO cluster|myid",
        view=View.SHAPES,
    ),
]
_UNKNOWN = [
    *same(r"""
        BOGUS | BOGUS a b c | "" | "" x | "\xff\x00\r\n" "\xfe"
    """),
    *same(f"{'B' * 1000} {'x' * 1000}"),
    *same(r"""
        "GET " | "GET\x00" k | "\r\nPING" | GETX k | GE | RAFTX
    """),
    *same(f"BOGUS {' '.join(['x'] * 1000)}"),
    *COMMANDS.shown_by("""
        APPEND k v | GETSET k v | SETNX k v | GETDEL k | SETRANGE k 0 v | KEYS *
        TTL k | EXPIRE k 10 | PERSIST k | TYPE k | UNLINK k | TOUCH k | RANDOMKEY
        LPUSH l a | SADD s a | HSET h f v | ZADD z 1 a | XADD x * f v | PFADD p a
        SUBSCRIBE c | PUBLISH c m | EVAL "return 1" 0 | FLUSHALL | FLUSHDB | SAVE
        TIME | ROLE | LASTSAVE | RESET | WAIT 0 0 | SLOWLOG LEN | LATENCY LATEST
        MEMORY USAGE k | OBJECT HELP | ACL WHOAMI | MODULE LIST
    """),
]

CASES = [*_COMMAND, *_INFO, *_CONFIG, *_CLUSTER, *_IN_CLUSTER, *_UNKNOWN]
