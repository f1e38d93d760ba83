"""The commands about the connection, and transactions, which are refused."""

from __future__ import annotations

from .cases import alike, same, since
from .differences import AUTH, COMMANDS, DATABASES, SHARD, TRANSACTIONS

_NAMES = ("worker-7", "!~", '""', '"a b"', '"a\\nb"', '"a\\x00b"', '"a\\x7f"', '"\\xff"', "n" * 128)

_PING = [
    *same(r"""
        PING | ping | PING hello | PING "" | PING "\x00\r\n" | PING a b | PING a b c
        ECHO hello | ECHO "" | ECHO "\x00\r\n\xff" | eChO x | ECHO | ECHO a b
        QUIT | QUIT; PING | QUIT x; PING | PING; quit | SET k v; QUIT
        SELECT 0 | SELECT -1 | SELECT x | SELECT 16 | SELECT "" | SELECT 00 | SELECT 1x
        SELECT 99999999999999999999 | SELECT 0 0 | SELECT 2147483648 | SELECT 1.0
    """),
    *DATABASES.shown_by("""
        SELECT 1 | SELECT 15
    """),
    *SHARD.shown_by("""
        READONLY | READWRITE | READONLY; GET k
    """),
    *same("""
        READONLY x | READWRITE x
    """),
]
_HELLO = [
    *alike("""
        HELLO | HELLO 2 | HELLO 3 | hello 3 | HELLO 3; HELLO 2 | HELLO 3; HELLO | HELLO 2; HELLO
    """),
    *same("""
        HELLO 1 | HELLO 4 | HELLO 0 | HELLO -1 | HELLO abc | HELLO "" | HELLO 03 | HELLO 3.0
        HELLO 99999999999999999999 | HELLO x AUTH a b | HELLO 4 BOGUS | HELLO x BOGUS
        HELLO BOGUS | HELLO 3 BOGUS | HELLO 3 SETNAME | HELLO 3 AUTH | HELLO 3 AUTH a
        HELLO SETNAME a | HELLO 4 SETNAME a; CLIENT GETNAME
    """),
    *alike("""
        HELLO 3 SETNAME a; GET k | HELLO 3 setname a | HELLO 3; GET k; HELLO 2; GET k
        HELLO 3 SETNAME a SETNAME b; CLIENT GETNAME
    """),
    *[case for name in _NAMES for case in alike(f"HELLO 2 SETNAME {name}; CLIENT GETNAME")],
    *since("8.0", {"HELLO 2 SETNAME a BOGUS; CLIENT GETNAME": "-ERR nil"}),
    *same("""
        AUTH | AUTH secret | AUTH a b c
    """),
    *AUTH.shown_by("""
        HELLO 3 AUTH nobody secret | AUTH nobody secret
        HELLO 2 AUTH default x | AUTH default x | HELLO 3 AUTH default x SETNAME a
    """),
]
_CLIENT = [
    *same("""
        CLIENT | CLIENT BOGUS | CLIENT "" | CLIENT GETNAME | CLIENT GETNAME x | client getname
        CLIENT SETNAME | CLIENT SETNAME a b | CLIENT SETNAME a; CLIENT SETNAME ""; CLIENT GETNAME
    """),
    *[case for name in _NAMES for case in same(f"CLIENT SETNAME {name}; CLIENT GETNAME")],
    *alike("""
        CLIENT ID | client id | CLIENT INFO | CLIENT LIST | client list | CLIENT LIST TYPE normal
    """),
    *same(r"""
        CLIENT ID x | CLIENT INFO x | CLIENT LIST x | CLIENT LIST TYPE | CLIENT LIST TYPE bogus
        CLIENT LIST TYPE pubsub | CLIENT LIST type REPLICA | CLIENT LIST TYPE master
        CLIENT LIST TYPE normal x | CLIENT LIST ID | CLIENT LIST ID x | CLIENT LIST ID 1 x
        CLIENT LIST ID 999999999 | CLIENT LIST ID -1 | CLIENT LIST id 99999999 99999998
        CLIENT LIST BOGUS 1 | CLIENT LIST ID 99999999999999999999
        CLIENT NO-EVICT ON | CLIENT NO-EVICT off | CLIENT NO-EVICT | CLIENT NO-EVICT x
        CLIENT NO-EVICT ON OFF | client no-evict on | CLIENT NO-EVICT ""
        CLIENT NO-TOUCH | CLIENT NO-TOUCH x | CLIENT NO-TOUCH ON OFF | CLIENT SETINFO
        CLIENT SETINFO LIB-NAME | CLIENT SETINFO BOGUS x | CLIENT SETINFO LIB-NAME a b
        CLIENT SETINFO LIB-NAME "a b" | CLIENT SETINFO lib-ver "1\n2"
    """),
    *since(
        "7.2",
        {
            "CLIENT NO-TOUCH ON": "+OK",
            "client no-touch off": "+OK",
            "CLIENT SETINFO LIB-NAME redis-py": "+OK",
            "CLIENT SETINFO lib-ver 8.1.0": "+OK",
            'CLIENT SETINFO LIB-NAME ""': "+OK",
        },
    ),
    *same("""
        CLIENT KILL | CLIENT REPLY | CLIENT TRACKING | CLIENT PAUSE | CLIENT UNBLOCK x
        CLIENT KILL 127.0.0.1:1 | CLIENT REPLY x | CLIENT PAUSE x | CLIENT TRACKING x
        CLIENT CACHING YES
    """),
    *COMMANDS.shown_by("""
        CLIENT KILL ID 9999 | CLIENT REPLY ON | CLIENT UNPAUSE | CLIENT GETREDIR
        CLIENT TRACKING OFF | CLIENT TRACKINGINFO | CLIENT UNBLOCK 9999
    """),
]
_MULTI = [
    *same("""
        EXEC | DISCARD | EXEC x | DISCARD x | MULTI x | MULTI x; EXEC | MULTI x; GET k; DISCARD
    """),
    *TRANSACTIONS.shown_by("""
        MULTI | multi | MULTI; EXEC | MULTI; DISCARD | MULTI; DISCARD; DISCARD
        MULTI; SET k v; EXEC; GET k | MULTI; SET k v; DISCARD; GET k
        MULTI; PING; EXEC | MULTI; MULTI; EXEC; EXEC | MULTI; EXEC x; EXEC
        MULTI; SET k; EXEC; GET k | MULTI; BOGUS; EXEC | MULTI; DISCARD x; EXEC
        MULTI; QUIT | WATCH k | UNWATCH
    """),
]

CASES = [*_PING, *_HELLO, *_CLIENT, *_MULTI]
