"""RESP framing: bytes into requests, values into replies (RESP2 and RESP3).

Law: every length is checked before anything is kept for it, and a request costs
no more than its bytes, however they trickle in. It must not know what a command
means.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from kvstore.config import Limits
from kvstore.errors import ProtocolError
from kvstore.wire.inline import split_words

_CRLF: Final = b"\r\n"
_HEADER_BYTES_MAX: Final = 32
_INLINE_BYTES_MAX: Final = 64 << 10
_DECIMAL: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_COUNTS: Final = {b"*%d" % count: count for count in range(1, 64)}
_SIZES: Final = {b"$%d" % size: size for size in range(4096)}
"""Headers of short requests: a look-up is quicker than parsing the number."""
_SHORT_REQUEST_BYTES_MAX: Final = len(_COUNTS) * len(_SIZES)


class RequestParser:
    """An incremental parser of requests: arrays of bulk strings, or inline words.

    * `_buffer[_position:]` and then `_fed` are the bytes not yet used.
    * `_args` are the arguments of the request under way, `_missing` how many it lacks.
    * `_ready` are whole requests, not yet returned.
    * `_is_fresh`: the buffer was not searched for short requests yet.
    * With fewer than `_needed` bytes in the buffer, trying again is pointless; so it is
      while an inline request lacks its line end, of which `_searched` bytes of `_fed` are free.
    """

    def __init__(self, limits: Limits) -> None:
        # Below the least, requests are quicker to take than to measure.
        self._request_bytes_max = max(limits.request_bytes_max, _SHORT_REQUEST_BYTES_MAX)
        self._arguments_max = limits.request_arguments_max
        self._buffer = b""
        self._position = 0
        self._fed = bytearray()
        self._is_fresh = False
        self._ready: deque[list[bytes]] = deque()
        self._needed = 0
        self._lacks_line_end = False
        self._searched = 0
        self._args: list[bytes] = []
        self._missing = 0
        self._request_bytes = 0
        self._offence: ProtocolError | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes as they arrived."""
        if self._buffer or self._fed:
            self._fed += data
        else:
            self._buffer = data
            self._is_fresh = True

    @property
    def held_bytes(self) -> int:
        """What is kept of requests that are not whole."""
        return len(self._buffer) - self._position + len(self._fed) + self._request_bytes

    def next_command(self) -> list[bytes] | None:
        """The next whole request, None if it is not whole yet.

        Raises `ProtocolError`, after every whole request before the offence was
        returned, and from then on always.
        """
        if self._ready:
            return self._ready.popleft()
        if self._offence is not None:
            raise self._offence
        if not self._buffer:
            return None
        try:
            return self._parse()
        except ProtocolError as error:
            self._offence = error
            self._buffer, self._fed, self._args = b"", bytearray(), []
            raise

    def _parse(self) -> list[bytes] | None:
        if self._fed and not self._join():
            return None
        if self._is_fresh:
            self._is_fresh = False
            if not self._missing:
                self._take_short_requests()
            if self._ready:
                return self._ready.popleft()
        args = self._next_long_request()
        if args is None and self._position:
            self._buffer = self._buffer[self._position :]
            self._position = 0
        return args

    def _join(self) -> bool:
        """Put what was fed behind the buffer, once that can help."""
        waiting = len(self._buffer) - self._position + len(self._fed)
        if waiting < self._needed:
            return False
        if (
            self._lacks_line_end
            and waiting < _INLINE_BYTES_MAX
            and self._fed.find(b"\n", self._searched) < 0
        ):
            self._searched = len(self._fed)
            return False
        self._buffer = b"".join((self._buffer[self._position :], self._fed))
        self._position = 0
        self._fed = bytearray()
        self._is_fresh = True
        self._needed = self._searched = 0
        self._lacks_line_end = False
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
        if used:
            self._buffer = lines[last] if used == last else _CRLF.join(lines[used:])

    def _next_long_request(self) -> list[bytes] | None:
        while not self._missing:
            line = self._take_line()
            if line is None:
                return None
            if line[:1] == b"*":
                self._missing = self._argument_count(line)
            elif words := split_words(line):
                return words
        if not self._take_arguments():
            return None
        args, self._args = self._args, []
        self._request_bytes = 0
        return args

    def _take_line(self) -> bytes | None:
        """An array header or an inline request, without its line end."""
        buffer, start = self._buffer, self._position
        is_header = buffer[start : start + 1] == b"*"
        limit = _HEADER_BYTES_MAX if is_header else _INLINE_BYTES_MAX
        end = buffer.find(b"\n", start, start + limit)
        if end < 0:
            if len(buffer) - start >= limit:
                what = "mbulk count string" if is_header else "inline request"
                raise ProtocolError(f"Protocol error: too big {what}")
            self._lacks_line_end = not is_header and start < len(buffer)
            return None
        self._position = end + 1
        return buffer[start:end].removesuffix(b"\r")

    def _argument_count(self, header: bytes) -> int:
        count = _COUNTS.get(header)
        if count is None:
            count = _decimal(header[1:])
        if count is None or count > self._arguments_max:
            raise ProtocolError("Protocol error: invalid multibulk length")
        return max(count, 0)

    def _take_arguments(self) -> bool:
        """Move whole bulk strings from the buffer to `_args`; whether that was the last."""
        buffer, position, args = self._buffer, self._position, self._args
        missing, request_bytes = self._missing, self._request_bytes
        while missing:
            end = buffer.find(_CRLF, position, position + _HEADER_BYTES_MAX)
            if end < 0:
                _check_header(buffer[position : position + _HEADER_BYTES_MAX])
                break
            size = _SIZES.get(buffer[position:end])
            if size is None:
                size = _bulk_size(buffer[position:end])
            if request_bytes + size > self._request_bytes_max:
                raise ProtocolError(
                    f"Protocol error: request too large: over {self._request_bytes_max} bytes"
                )
            start = end + 2
            stop = start + size
            if len(buffer) < stop + 2:
                self._needed = stop + 2 - position
                break
            if buffer[stop : stop + 2] != _CRLF:
                raise ProtocolError("Protocol error: a bulk string does not end where it said")
            args.append(buffer[start:stop])
            request_bytes += size
            missing -= 1
            position = stop + 2
        self._position, self._missing, self._request_bytes = position, missing, request_bytes
        return not missing


def _check_header(header: bytes) -> None:
    """Refuse what is not, or cannot become, the header of a bulk string."""
    if header and header[:1] != b"$":
        raise ProtocolError(f"Protocol error: expected '$', got {chr(header[0])!a}")
    if len(header) == _HEADER_BYTES_MAX:
        raise ProtocolError("Protocol error: too big bulk count string")


def _bulk_size(header: bytes) -> int:
    _check_header(header or _CRLF)
    size = _decimal(header[1:])
    if size is None or size < 0:
        raise ProtocolError("Protocol error: invalid bulk length")
    return size


def _decimal(text: bytes) -> int | None:
    """An integer in the one decimal form that Redis accepts, None for anything else."""
    return int(text) if _DECIMAL.fullmatch(text) else None


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
