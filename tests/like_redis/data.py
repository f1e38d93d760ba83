"""The commands that read and write data."""

from __future__ import annotations

from .cases import parts, same, since
from .differences import CURSORS, EXPIRY, NULS, PATTERNS, SIZES
from .replies import View

_MAX, _MIN = 2**63 - 1, -(2**63)
_NUMBERS = [
    *(0, 1, -1, _MAX, _MIN, _MAX + 1, _MIN - 1, 2**64, 10**40),
    *parts(r"""-0 | +1 | 01 | -01 | 1.0 | 1e3 | 0x1 | x | "" | " 1" | "1 " | "1\x00" | "\n" | -"""),
]
_BINARY = r'"\x00\xff\r\n\t\""'

_GET = [
    *same("""
        GET absent | SET k v; GET k | GET k k | set k v; gEt k
        SET k ""; GET k
    """),
    *same(f"SET {_BINARY} {_BINARY}; GET {_BINARY}"),
    *same(f"SET k {'v' * (1 << 20)}; GET k", f"SET {'k' * 480} v; GET {'k' * 480}"),
    *same("""
        SET "" v; GET "" | INCR ""; DECR ""; INCRBY "" 3; DECRBY "" 1; STRLEN ""; SCAN 0
        MSET "" v a w; MGET a ""; EXISTS ""; DEL a ""
    """),
    *SIZES.shown_by(f"SET {'k' * 481} v", f"SET k {'v' * ((1 << 20) + 1)}; GET k"),
    *SIZES.shown_by(f"GET {'k' * 481}", f"INCR {'k' * 481}", f"MSET a v {'k' * 481} w; GET a"),
]
_SET = [
    *same("""
        SET k v NX; SET k w NX; GET k | SET k v XX; GET k | SET k v; SET k w XX; GET k
        SET k v NX NX; GET k | SET k v XX XX | SET k v; SET k w XX XX; GET k
        SET k v NX XX | SET k v XX NX | SET k v XX GET XX | SET k v NX GET NX; GET k
        SET k v GET | SET k v; SET k w GET; GET k | SET k v; SET k w GET GET; GET k
        SET k v NX GET; GET k | SET k v; SET k w NX GET; GET k | SET k v; SET k w GET NX
        SET k v XX GET; GET k | SET k v; SET k w XX GET; GET k | SET k v; SET k w GET XX
        SET k v nx | SET k v nX gEt | set k v xx get | SET k v BOGUS | SET k v NX BOGUS
        SET k v "" | SET k v NXX | SET k v "NX " | SET k NX NX; GET k
        SET k v BOGUS NX; GET k | SET k v GET BOGUS; GET k | SET k v NX XX GET
        SET k v EX | SET k v EX 0 | SET k v EX -1 | SET k v EX x | SET k v PX | SET k v PX 0
        SET k v EX 10 PX 10 | SET k v EX 10 KEEPTTL | SET k v EXAT 0
        SET k v KEEPTTL EX 10 | SET k v EX 10 BOGUS | SET k v BOGUS EX 10 | SET k v EX NX
    """),
    *EXPIRY.shown_by("""
        SET k v EX 10; GET k | SET k v PX 10000 | SET k v EXAT 99999999999
        SET k v PXAT 99999999999999 | SET k v KEEPTTL | SET k v NX EX 10
        SET k v EX 10 EX 10
        SET k v ex 10 NX | SET k v GET PX 9999 | SET k v KEEPTTL XX
    """),
    *NULS.shown_by(r"""
        SET k v "NX\x00" | SET k v "XX\x00y"
    """),
    *same("""
        SET k v IFEQ | SET k v IFEQ a NX | SET k v NX IFEQ a | SET k v IFEQ a BOGUS
    """),
    *since(
        "8.4",
        {
            "SET k v IFEQ a; GET k": "nil nil",
            "SET k v; SET k w IFEQ v; GET k": "+OK +OK $'w'",
            "SET k v; SET k w ifeq x; GET k": "+OK nil $'v'",
            "SET k v; SET k w IFEQ v GET; GET k": "+OK $'v' $'w'",
            "SET k v; SET k w GET IFEQ x; GET k": "+OK $'v' $'v'",
            'SET k ""; SET k w IFEQ ""; GET k': "+OK +OK $'w'",
        },
    ),
]
_DELETE = [
    *same("""
        DEL k | SET k v; DEL k; GET k | MSET a 1 b 2; DEL a b c | SET k v; DEL k k; EXISTS k
        EXISTS k | SET k v; EXISTS k k absent | MSET a 1 b 2; EXISTS a b c
    """),
]
_MANY = [
    *same("""
        MGET a | MSET a 1 b 2; MGET b none a b | MSET a 1 a 2; GET a | MSET a ""; MGET a
        MSET a | MSET a 1 b; GET a | MSET a 1 b 2 c | mset a 1 b 2; mget a b
    """),
    *same(f"MSET {' '.join(f'k{n} v{n}' for n in range(1000))}; DBSIZE; MGET k0 k999 k1000"),
    *same(f"MGET {' '.join(['k'] * 4096)}", f"DEL {' '.join(['k'] * 4096)}; PING"),
    *SIZES.shown_by(f"MGET {' '.join(['k'] * 4097)}", f"DEL {' '.join(['k'] * 70_000)}; PING"),
    *SIZES.shown_by(f"EXISTS {' '.join(['k'] * 200_000)}; PING"),
    *SIZES.shown_by(f"MSET {' '.join(['k v'] * 4_097)}; GET k"),
]
_COUNTERS = [
    *same("""
        INCR n; INCR n; GET n | DECR n; DECR n; GET n | INCRBY n 5; INCRBY n -7; GET n
        DECRBY n 5; DECRBY n -7; GET n
    """),
    *same(f"SET n -1; INCRBY n {_MIN}", f"SET n 1; INCRBY n {_MAX}"),
    *same(f"SET n 1; DECRBY n {_MAX}; GET n", f"SET n -2; DECRBY n {_MAX}; GET n"),
    *same(f"SET n 0; DECRBY n {_MIN}; GET n", f"SET n {_MIN}; INCRBY n {_MAX}; GET n"),
    *same(*[f"SET n {number}; INCR n; GET n" for number in _NUMBERS]),
    *same(*[f"SET n {number}; DECR n; GET n" for number in _NUMBERS]),
    *same(*[f"INCRBY n {number}; GET n" for number in _NUMBERS]),
    *same(*[f"DECRBY n {number}; GET n" for number in _NUMBERS]),
    *same(*[f"SET n 5; INCRBY n {number}; GET n" for number in _NUMBERS]),
    *same("""
        INCR n; incr n; DeCr n; incrby n 3; decrby n 1 | SET n abc; INCRBY n x; GET n
    """),
]
_LENGTHS = [
    *same("""
        STRLEN k | SET k value; STRLEN k | SET k ""; STRLEN k
    """),
    *same(f"SET k {_BINARY}; STRLEN k"),
    *same("""
        DBSIZE | MSET a 1 b 2; DBSIZE; DEL a; DBSIZE | DBSIZE x
    """),
]
_GLOBS = parts(r"""
    * | k* | *1 | k? | ? | k[1-2] | k[^1] | k[12 | k[ | k\* | k\[ | *k*1* | K1 | "" | k[2-1]
    [] | [^] | k[\1] | k1\ | ** | k[a- | [k-k]? | "\x00*" | [^a-j]*
""")
_SCAN = [
    *same("""
        SCAN 0 | SET k v; SCAN 0 | SET k v; scan 0 match k* count 5 | SCAN 0 TYPE string
        SET k v; SCAN 0 TYPE string | SET k v; SCAN 0 TYPE STRING | SET k v; SCAN 0 TYPE list
        SCAN x | SCAN 1x | SCAN 0x1 | SCAN 99999999999999999999
        SCAN 0 COUNT 0 | SCAN 0 COUNT -1 | SCAN 0 COUNT x | SCAN 0 COUNT | SCAN 0 MATCH
        SCAN 0 BOGUS 1 | SCAN 0 BOGUS | SCAN 0 MATCH * COUNT | SCAN 0 TYPE | SCAN 0 0
        SET k v; SCAN 0 MATCH x MATCH k | SET k v; SCAN 0 COUNT 1 COUNT 100 match K
        SCAN x COUNT 0
    """),
    *same(f"SET k v; SCAN 0 COUNT {_MAX}", f"SCAN 0 COUNT {_MAX + 1}"),
    *same("""
        SET k v; SCAN 00 | SCAN " 0" | SCAN "0 " | SET k v; SCAN 000
    """),
    *same(
        *[f"MSET k1 a k2 b k3 c; SCAN 0 MATCH {glob} COUNT 1000" for glob in _GLOBS],
        "MSET a 1 b 2 c 3 d 4 e 5; SCAN 0 COUNT 1000",
        view=View.ANY_ORDER,
    ),
    *CURSORS.shown_by("""
        SCAN 999999999 | SCAN 18446744073709551615 | SCAN -1 | SCAN +0 | SCAN ""
    """),
    *PATTERNS.shown_by(f"SET k v; SCAN 0 MATCH {'*' * 513}"),
]

CASES = [*_GET, *_SET, *_DELETE, *_MANY, *_COUNTERS, *_LENGTHS, *_SCAN]
