"""Bytes: lines of words, frames, pipelines, and what breaks the protocol."""

from __future__ import annotations

from .cases import same, same_bytes, sent
from .differences import FRAMES, HTTP, INLINE, SIZES

_LINES = [
    *same_bytes(r"""
        PING\r\n | PING\n | \x20 PING\x20\x20\r\n | \tping\thello \r\n | \r\nPING\r\n | \n\nPING\n
        \x20  \r\nPING\r\n | \t\r\nPING\r\n | \x0b\x0c\r\nPING\r\n | PING\r\r\n | \rPING\r\n
        PING | PING\r | +PING\r\n | $4\r\nPING\r\n | -ERR x\r\n | %1\r\nPING\r\n | BOGUS a b\r\n
        ECHO a\x0bb\r\n | ECHO a\x0cb\r\n | ECHO \x0ba\r\n | ECHO\x0ba\r\n | ECHO a\x0b\r\n
        ECHO a \x0b\r\n | \x0bPING\r\n | ECHO a\rb\r\n | ECHO a\x1cb\r\n | ECHO a\xa0b\r\n
        ECHO \xff\xfe\r\n | ECHO a\\nb\r\n | ECHO a\\\r\n | ECHO \x7f\x01\r\n
        SET k v\r\nGET k\r\n | set k 'a b' nx\r\nget k\r\n | GET\r\nPING\r\n
    """),
    *same_bytes(r"""
        ECHO "a b"\r\n | ECHO ""\r\n | ECHO ''\r\n | ECHO 'a b'\r\n | ECHO "a\\"b"\r\n | ""\r\n
        ECHO "\\n\\r\\t\\b\\a\\x41\\xfF\\q\\\\"\r\n | ECHO 'a\\'b\\n\\x41'\r\n | ECHO '\\\\'\r\n
        ECHO "\\x4"\r\n | ECHO "\\xgg"\r\n | ECHO "\\x"\r\n | ECHO "\\"\r\n | ECHO "a\x0bb"\r\n
        ECHO a"b c"\r\n | ECHO a'b c'\r\n | ECHO "a"b\r\n | ECHO 'a'b\r\n | ECHO "a"'b'\r\n
        ECHO "a\r\n | ECHO 'a\r\n | ECHO a"\r\n | ECHO "a"\x0b"b"\r\n | ECHO "a"\x0b\r\n | "\r\n
        ECHO "a"\x0c\r\n | "ECHO" "a"\r\n | ECHO "it's"\r\n | ECHO 'say "hi"'\r\n
        "PING\r\nPING\r\n | ECHO "a""b"\r\n | ECHO a"" b\r\n | ECHO ""a\r\n
    """),
    *same(b"ECHO " + b"x" * 4000 + b"\r\n", b"PING\r\n" * 2000),
    *INLINE.shown_by(b"ECHO " + b"x" * 5000 + b"\r\n"),
    *HTTP.shown_by(
        *sent(r"GET / HTTP/1.1\r\nHost: x\r\n\r\n | POST / HTTP/1.1\r\nHost: x\r\n\r\n")
    ),
]
_ARRAYS = [
    *same_bytes(r"""
        *0\r\n | *-1\r\n | *-5\r\n | *0\r\n*1\r\n$4\r\nPING\r\n | *1\r\n$4\r\nPING\r\n | *1\r\n | *
        *abc\r\n | *\r\n | * 1\r\n | *+1\r\n | *1 \r\n | *01\r\n | *1.0\r\n | *1x\r\n | *-0\r\n
        *99999999999999999999\r\n | *2147483648\r\n | *1048577\r\n | *2147483647\r\n
        *1\r\n$abc\r\n | *1\r\n$\r\n | *1\r\n$-1\r\n | *1\r\n$-5\r\n | *1\r\n$+4\r\nPING\r\n
        *1\r\n$04\r\nPING\r\n | *1\r\n$ 4\r\nPING\r\n | *1\r\n$4 \r\nPING\r\n | *1\r\n$-0\r\n\r\n
        *1\r\n$99999999999999999999\r\n | *1\r\n$9999999999999\r\n | *1\r\n$4.0\r\nPING\r\n
        *1\r\nPING\r\n | *1\r\n:4\r\n | *1\r\n*1\r\n$4\r\nPING\r\n | *1\r\n\r\n | *1\r\n+PING\r\n
        *1\r\n\xff\r\n | *2\r\n$4\r\nPING\r\nPING\r\n | *1\r\n$0\r\n\r\n
        *2\r\n$4\r\nECHO\r\n$0\r\n\r\n | *2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n
        *2\r\n$4\r\nECHO\r\n$5\r\n*1\r\n$\r\n | *2\r\n$4\r\nECHO\r\n$4\r\nab
        *3\r\n$3\r\nSET\r\n$1\r\nk\r\n$-1\r\n | SET k v\r\n*1\r\n$x\r\n | PING\r\n*abc\r\nPING\r\n
        *1\r\n$4\r\nPING\r\n*x\r\n | *1\r\n$4\r\nPING\r\nPING\r\n*1\r\n$4\r\nPING\r\n
    """),
    *same(b"*1" + b"1" * 100 + b"\r\n", b"*1\r\n$" + b"1" * 100 + b"\r\n"),
    *same(b"*" + b"1" * 70_000, b"*1\r\n$" + b"1" * 70_000),
    *same(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n" * 500 + b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
    *FRAMES.shown_by(*sent(r"*1\r\n$4\r\nPINGxx | *1\r\n$4\r\nPING\n\n | *1\r\n$3\r\nPING\r\n")),
    *SIZES.shown_by(b"*1\r\n$536870913\r\n"),
]

CASES = [*_LINES, *_ARRAYS]
