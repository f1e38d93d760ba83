"""RESP framing: bytes into requests, values into replies (RESP2 and RESP3).

Law: every length is checked before anything is kept for it, and a request costs
no more than its bytes, however they trickle in. It must not know what a command
means.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from kvstore.config import Limits
from kvstore.errors import ProtocolError

_CRLF: Final = b"\r\n"
_HEADER_BYTES_MAX: Final = 32
_INLINE_BYTES_MAX: Final = 64 << 10
_HTTP_METHODS: Final = (b"GET /", b"POST /", b"HEAD /", b"PUT /", b"OPTIONS /")
_COUNTS: Final = {b"*%d" % count: count for count in range(1, 64)}
_SIZES: Final = {b"$%d" % size: size for size in range(1024)}
"""Headers of short requests: a look-up is quicker than parsing the number."""


class RequestParser:
    """An incremental parser of requests: arrays of bulk strings, or inline words.

    * `_buffer[_position:]` and then `_fed` are the bytes not yet used.
    * `_args` are the arguments of the request under way, `_missing` how many it lacks.
    * `_ready` are whole requests, not yet returned.
    * With fewer than `_needed` bytes in the buffer, trying again is pointless.
    """

    def __init__(self, limits: Limits) -> None:
        self._request_bytes_max = limits.request_bytes_max
        self._arguments_max = limits.request_arguments_max
        self._buffer = b""
        self._position = 0
        self._fed: list[bytes] = []
        self._ready: deque[list[bytes]] = deque()
        self._fed_bytes = 0
        self._needed = 0
        self._args: list[bytes] = []
        self._missing = 0
        self._request_bytes = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrived."""
        if not data:
            return
        self._fed.append(data)
        self._fed_bytes += len(data)

    def next_command(self) -> list[bytes] | None:
        """The next whole request, None if it is not whole yet.

        Raises `ProtocolError`, after every whole request before the offence was returned.
        """
        if not self._ready and self._fed and self._join() and not self._missing:
            self._take_short_requests()
        return self._ready.popleft() if self._ready else self._next_long_request()

    def _next_long_request(self) -> list[bytes] | None:
        while not self._missing:
            line = self._take_line()
            if line is None:
                return None
            if line[:1] == b"*":
                self._missing = self._argument_count(line)
            elif words := _inline_words(line):
                return words
        if not self._take_arguments():
            return None
        args, self._args = self._args, []
        self._request_bytes = 0
        return args

    def _join(self) -> bool:
        """Put what was fed behind the buffer, once that can help."""
        if len(self._buffer) - self._position + self._fed_bytes < self._needed:
            return False
        rest = self._buffer[self._position :]
        self._buffer = b"".join((rest, *self._fed)) if rest or len(self._fed) > 1 else self._fed[0]
        self._position = 0
        self._fed.clear()
        self._fed_bytes = 0
        self._needed = 0
        return True

    def _take_short_requests(self) -> None:
        """The common case at the speed of `split`: whole, short, no line end in an argument.

        Whatever is otherwise stays in the buffer for the careful parser.
        """
        lines = self._buffer.split(_CRLF)
        used, last = 0, len(lines) - 1
        while (count := _COUNTS.get(lines[used])) is not None:
            end = used + 1 + 2 * count
            if end > last:
                break
            args = lines[used + 2 : end : 2]
            if [*map(_SIZES.get, lines[used + 1 : end : 2])] != [*map(len, args)]:
                break
            self._ready.append(args)
            used = end
        self._buffer = lines[last] if used == last else _CRLF.join(lines[used:])

    def _take_line(self) -> bytes | None:
        """An array header or an inline request, without its line end."""
        buffer, start = self._buffer, self._position
        limit = _HEADER_BYTES_MAX if buffer[start : start + 1] == b"*" else _INLINE_BYTES_MAX
        end = buffer.find(b"\n", start, start + limit)
        if end < 0:
            if len(buffer) - start >= limit:
                what = "mbulk count string" if limit == _HEADER_BYTES_MAX else "inline request"
                raise ProtocolError(f"Protocol error: too big {what}")
            return None
        self._position = end + 1
        return buffer[start:end].removesuffix(b"\r")

    def _argument_count(self, header: bytes) -> int:
        count = _decimal(header[1:])
        if count is None or count > self._arguments_max:
            raise ProtocolError("Protocol error: invalid multibulk length")
        return max(count, 0)

    def _take_arguments(self) -> bool:
        """Move whole bulk strings from the buffer to `_args`; whether that was the last."""
        buffer, position, args = self._buffer, self._position, self._args
        while self._missing:
            end = buffer.find(_CRLF, position, position + _HEADER_BYTES_MAX)
            if end < 0:
                self._position = position
                self._check_header(buffer[position : position + _HEADER_BYTES_MAX])
                return False
            size = _SIZES.get(buffer[position:end])
            if size is None:
                size = self._bulk_size(buffer[position:end])
            start = end + 2
            stop = start + size
            if len(buffer) < stop + 2:
                self._position = position
                self._needed = stop + 2 - position
                return False
            if buffer[stop : stop + 2] != _CRLF:
                raise ProtocolError("Protocol error: a bulk string is longer than it said")
            args.append(buffer[start:stop])
            self._request_bytes += size
            self._missing -= 1
            position = stop + 2
        self._position = position
        return True

    def _check_header(self, header: bytes) -> None:
        if header and header[:1] != b"$":
            raise ProtocolError(f"Protocol error: expected '$', got {header[:1]!r}")
        if len(header) == _HEADER_BYTES_MAX:
            raise ProtocolError("Protocol error: too big bulk count string")

    def _bulk_size(self, header: bytes) -> int:
        self._check_header(header)
        size = _decimal(header[1:])
        if size is None or size < 0:
            raise ProtocolError("Protocol error: invalid bulk length")
        if self._request_bytes + size > self._request_bytes_max:
            raise ProtocolError(
                f"Protocol error: request larger than {self._request_bytes_max} bytes"
            )
        return size


def _decimal(text: bytes) -> int | None:
    """A decimal integer in plain ASCII, None for anything else."""
    digits = text.removeprefix(b"-")
    if not digits.isdigit() or len(digits) > 19:
        return None
    return int(text)


def _inline_words(line: bytes) -> list[bytes]:
    """What someone typed into a plain connection; empty for a blank line."""
    if line.startswith(_HTTP_METHODS):
        raise ProtocolError("Protocol error: this port speaks the Redis protocol, not HTTP")
    return line.split()


# --- Requests, as this side sends them ----------------------------------------------------


def command(*args: bytes) -> bytes:
    """A request as an array of bulk strings."""
    parts = [b"*%d\r\n" % len(args)]
    for arg in args:
        parts += (b"$%d\r\n" % len(arg), arg, _CRLF)
    return b"".join(parts)


# --- Replies ------------------------------------------------------------------------------

OK: Final = b"+OK\r\n"
_NULLS: Final = {2: b"$-1\r\n", 3: b"_\r\n"}
_NULL_ARRAYS: Final = {2: b"*-1\r\n", 3: b"_\r\n"}
_SMALL_INTEGERS: Final = [b":%d\r\n" % n for n in range(1024)]


def simple(text: str) -> bytes:
    """A status reply; `text` is ours and holds no line end."""
    return b"+%b\r\n" % text.encode()


def error(text: str) -> bytes:
    """An error reply; its first word is the code."""
    return b"-%b\r\n" % text.replace("\r", " ").replace("\n", " ").encode("utf-8", "replace")


def integer(value: int) -> bytes:
    """A signed 64-bit integer."""
    return _SMALL_INTEGERS[value] if 0 <= value < 1024 else b":%d\r\n" % value


def bulk(value: bytes) -> bytes:
    """A binary-safe string."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def null(resp_version: int) -> bytes:
    """No value."""
    return _NULLS[resp_version]


def null_array(resp_version: int) -> bytes:
    """No value, where an array was expected."""
    return _NULL_ARRAYS[resp_version]


def array(items: Sequence[bytes]) -> bytes:
    """An array of encoded items."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))


def mapping(pairs: Iterable[tuple[bytes, bytes]], resp_version: int) -> bytes:
    """A map of encoded items; RESP2 has none and gets a flat array."""
    flat = [item for pair in pairs for item in pair]
    if resp_version == 2:
        return array(flat)
    return b"%%%d\r\n%b" % (len(flat) // 2, b"".join(flat))
