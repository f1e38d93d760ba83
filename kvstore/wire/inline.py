"""Inline requests: a line of words, as someone types them into a plain connection.

Law: the line is split as Redis splits it, quotes and escapes included, so that
what is stored is what redis-cli would store. It must not know what the words mean.
"""

from __future__ import annotations

import re
from typing import Final

from kvstore.errors import ProtocolError

_BARE: Final = re.compile(rb"\S[^ \t\r\n]*+")
"""Vertical tabs and form feeds part words, but do not end one."""
_DOUBLE_QUOTED: Final = rb'"(?:[^"\\]|\\.)*+"'
_SINGLE_QUOTED: Final = rb"'(?:[^'\\]|\\'|\\(?!'))*+'"
_WORD: Final = re.compile(
    rb"""([^ \t\r\n"']*+(?:%b|%b)(?!\S)|[^ \t\r\n"']++(?!["']))\s*"""
    % (_DOUBLE_QUOTED, _SINGLE_QUOTED),
    re.DOTALL,
)
_QUOTED: Final = re.compile(rb"%b|%b" % (_DOUBLE_QUOTED, _SINGLE_QUOTED), re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"a": b"\a"}
_HTTP_REQUEST: Final = re.compile(rb"(GET|HEAD|POST|PUT|DELETE|OPTIONS|PATCH|CONNECT) \S+ HTTP/\d")


def split_words(line: bytes) -> list[bytes]:
    """The words of a line; none for a blank one. Raises `ProtocolError`."""
    if _HTTP_REQUEST.match(line):
        raise ProtocolError("Protocol error: this port speaks the Redis protocol, not HTTP")
    if b'"' not in line and b"'" not in line:
        return _BARE.findall(line)
    words = []
    line = line.lstrip()
    position = 0
    while position < len(line):
        word = _WORD.match(line, position)
        if word is None:
            raise ProtocolError("Protocol error: unbalanced quotes in request")
        words.append(_QUOTED.sub(_without_quotes, word[1]))
        position = word.end()
    return words


def _without_quotes(quoted: re.Match[bytes]) -> bytes:
    """What stands between the quotes; only double ones know more than one escape."""
    text = quoted[0][1:-1]
    if quoted[0][:1] == b"'":
        return text.replace(b"\\'", b"'")
    return _ESCAPE.sub(_unescape, text)


def _unescape(escape: re.Match[bytes]) -> bytes:
    code = escape[1]
    return bytes.fromhex(code[1:].decode()) if len(code) == 3 else _ESCAPED.get(code, code)
