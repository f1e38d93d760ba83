"""RESP framing: bytes into requests, values into replies (RESP2 and RESP3).

Law: every length is checked before anything is kept for it, and a request costs
no more than its bytes, however they trickle in. It must not know what a command
means.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from kvstore.config.limits import Limits
from kvstore.errors import ProtocolError
from kvstore.wire.inline import split_words

ANNOUNCED_BYTES_MAX: Final = 4 << 30
"""An argument announced to be longer is no mistake that is worth reading to its end."""
ANNOUNCED_ARGUMENTS_MAX: Final = (1 << 31) - 1
"""As in Redis: what is more than a limit is read to its end, and costs no memory."""
_CRLF: Final = b"\r\n"
_HEADER_BYTES_MAX: Final = 32
_INLINE_BYTES_MAX: Final = 4 << 10
"""Words take longer than arguments."""
_DECIMAL: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_COUNTS: Final = {b"*%d" % count: count for count in range(1, 64)}
_SIZES: Final = {b"$%d" % size: size for size in range(4096)}
"""Headers of short requests: a look-up is quicker than parsing the number."""
_PIECE_BYTES: Final = 4 << 10
"""So much is searched for short requests at once: what is found takes memory, and time."""
_COST_OF_SHORT: Final = 10
"""Bytes of memory for each byte of short requests that are found."""
_VALUE_BYTES_LEAST: Final = 4 << 10
"""Shorter arguments are not measured here."""
_ARGUMENT_BYTES: Final = 56
"""What an argument takes beside its text."""


class OversizeError(ProtocolError):
    """A request was over a limit. It was read to its end, and the next one may follow.

    * `name`: its first argument, if that came before what was too much.
    """

    def __init__(self, message: str, name: bytes) -> None:
        super().__init__(message)
        self.name = name


class Bounds(NamedTuple):
    """What one request may be."""

    arguments_max: int
    argument_bytes_max: int
    request_bytes_max: int
    envelope: bytes
    """The request of which one argument may be as long as all together."""

    @classmethod
    def of_client(cls, limits: Limits) -> Bounds:
        """A value is the longest argument, but for typed requests, which come as one."""
        value_bytes = max(limits.value_bytes_max, _VALUE_BYTES_LEAST)
        return cls(limits.request_arguments_max, value_bytes, limits.request_bytes_max, b"KV")

    @classmethod
    def of_peer(cls, limits: Limits) -> Bounds:
        """Peers say how much they send by bounds of their own."""
        size = limits.peer_message_bytes_max
        return cls(limits.request_arguments_max, size, size, b"RAFT")


class RequestParser:
    """An incremental parser of requests: arrays of bulk strings, or inline words.

    * `_buffer[_position:]` and then `_fed`, which waits for what is in the buffer, are the
      bytes not yet used.
    * `_args` are the arguments of the request under way, `_missing` how many it lacks.
    * `ready` are whole requests, not yet returned: taken from there, or by `next_command`.
      Short ones are found as they are fed, unless others still wait.
    * `_is_fresh`: the buffer was not searched for short requests yet.
    * `_complaint`, if any: the request under way is over a limit, and is dropped as it
      comes; `_skip` bytes of it are the rest of an argument.
    * `arguments` counts what was taken so far: what parsing costs.
    * With fewer than `_needed` bytes in the buffer, trying again is pointless; so it is
      while an inline request lacks its line end, of which `_searched` bytes of `_fed` are free.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.arguments = 0
        self._complaint = ""
        self._skip = 0
        self._ready_bytes = 0
        self._buffer = b""
        self._position = 0
        self._fed = bytearray()
        self._is_fresh = False
        self.ready: deque[list[bytes]] = deque()
        self._needed = 0
        self._lacks_line_end = False
        self._searched = 0
        self._args: list[bytes] = []
        self._missing = 0
        self._request_bytes = 0
        self._offence: ProtocolError | None = None

    def feed(self, data: bytes, *, is_thrifty: bool = False) -> None:
        """Take bytes as they arrived; `is_thrifty` is explained at `next_command`."""
        if self._skip:
            dropped = min(self._skip, len(data))
            self._skip -= dropped
            data = data[dropped:]
        if self._buffer or self._fed:
            self._fed += data
        else:
            self._buffer = data
            is_under_way = self._missing or self._complaint or self._offence
            if is_under_way or self.ready or is_thrifty:
                self._is_fresh = True
            else:
                self._is_fresh = False
                self._take_short_requests()

    @property
    def held_bytes(self) -> int:
        """The memory that is taken by what was fed and has not been returned."""
        ready_bytes = self._ready_bytes if self.ready else 0
        arguments_bytes = self._request_bytes + len(self._args) * _ARGUMENT_BYTES
        return len(self._buffer) - self._position + len(self._fed) + ready_bytes + arguments_bytes

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not (self._buffer or self.ready or self._missing or self._complaint)

    @property
    def is_in_request(self) -> bool:
        """Whether a request has begun that is not whole."""
        return not self.ready and bool(self._missing or self._buffer or self._fed)

    def next_command(self, *, is_thrifty: bool = False) -> list[bytes] | None:
        """The next whole request, None if it is not whole yet.

        `is_thrifty`: one at a time, as memory is short. Raises `OversizeError`, and the
        next call goes on behind that request. Raises `ProtocolError`, after every whole
        request before the offence was returned, and from then on always.
        """
        if self.ready:
            return self.ready.popleft()
        if self._offence is not None:
            raise self._offence
        if not (self._buffer or self._complaint):
            return None
        try:
            return self._parse(is_thrifty=is_thrifty)
        except OversizeError:
            raise
        except ProtocolError as error:
            self._offence = error
            self._buffer, self._fed, self._args = b"", bytearray(), []
            self._position = self._missing = self._request_bytes = 0
            raise

    def _parse(self, *, is_thrifty: bool) -> list[bytes] | None:
        if self._fed and not self._join():
            return None
        if self._is_fresh and not is_thrifty:
            self._is_fresh = False
            if not (self._missing or self._complaint):
                self._take_short_requests()
            if self.ready:
                return self.ready.popleft()
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
        piece, ready = self._buffer, self.ready
        if self._position or len(piece) > _PIECE_BYTES:
            piece = piece[self._position : self._position + _PIECE_BYTES]
        lines = piece.split(_CRLF)
        used, last = 0, len(lines) - 1
        while count := _COUNTS.get(lines[used]):
            end = used + 1 + 2 * count
            if end > last:
                break
            args = lines[used + 2 : end : 2]
            if [*map(_SIZES.get, lines[used + 1 : end : 2])] != [*map(len, args)]:
                break
            ready.append(args)
            used = end
        if not used:
            return
        self.arguments += used // 2
        rest = lines[last] if used == last else _CRLF.join(lines[used:])
        taken = len(piece) - len(rest)
        self._ready_bytes = _COST_OF_SHORT * taken
        if taken == len(self._buffer):
            self._buffer = b""
            return
        self._position += taken
        if self._position == len(self._buffer):
            self._buffer, self._position = b"", 0
        else:
            self._is_fresh = self._position + len(rest) < len(self._buffer)

    def _next_long_request(self) -> list[bytes] | None:
        while not (self._missing or self._complaint):
            line = self._take_line()
            if line is None:
                return None
            if line[:1] == b"*":
                self._missing = self._argument_count(line)
            elif words := split_words(line):
                self.arguments += len(words)
                return words
        if not self._complaint and not self._take_arguments():
            return None
        if self._complaint:
            self._drop_arguments()
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
        if count is None or count > ANNOUNCED_ARGUMENTS_MAX:
            raise ProtocolError("Protocol error: invalid multibulk length")
        if count > self.bounds.arguments_max:
            self._complaint = (
                f"the request has {count} arguments, the limit is {self.bounds.arguments_max}; "
                "ask for less at once"
            )
        return max(count, 0)

    def _take_arguments(self) -> bool:
        """Move whole bulk strings from the buffer to `_args`; whether that was the last."""
        buffer, position, args = self._buffer, self._position, self._args
        missing, request_bytes, bounds = self._missing, self._request_bytes, self.bounds
        while missing:
            end = buffer.find(_CRLF, position, position + _HEADER_BYTES_MAX)
            if end < 0:
                _check_header(buffer[position : position + _HEADER_BYTES_MAX])
                break
            size = _SIZES.get(buffer[position:end])
            if size is None:
                size = _bulk_size(buffer[position:end])
            if size > bounds.argument_bytes_max and not (
                args and args[0].upper() == bounds.envelope
            ):
                self._complaint = (
                    f"value has {size} bytes, the limit is {bounds.argument_bytes_max}"
                )
            elif request_bytes + size > bounds.request_bytes_max:
                self._complaint = (
                    f"the request has {request_bytes + size} bytes or more, the limit is "
                    f"{bounds.request_bytes_max}; ask for less at once"
                )
            if self._complaint:
                break
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
        self.arguments += self._missing - missing
        self._position, self._missing, self._request_bytes = position, missing, request_bytes
        return bool(self._complaint) or not missing

    def _drop_arguments(self) -> None:
        """Let go of a request that is over a limit, as far as it has come.

        Raises `OversizeError` when it has come to its end.
        """
        name = self._args[0] if self._args else b""
        self._args, self._request_bytes = [name] * bool(self._args), 0
        while not self._skip and self._missing:
            position = self._position
            end = self._buffer.find(_CRLF, position, position + _HEADER_BYTES_MAX)
            if end < 0:
                _check_header(self._buffer[position : position + _HEADER_BYTES_MAX])
                return
            size = _bulk_size(self._buffer[position:end]) + len(_CRLF)
            here = min(size, len(self._buffer) - end - 2)
            self._position = end + 2 + here
            self._skip = size - here
            self._missing -= 1
            self.arguments += 1
        if not self._skip:
            complaint, self._complaint, self._args = self._complaint, "", []
            raise OversizeError(complaint, name)


def _check_header(header: bytes) -> None:
    """Refuse what is not, or cannot become, the header of a bulk string."""
    if header and header[:1] != b"$":
        raise ProtocolError(f"Protocol error: expected '$', got {chr(header[0])!a}")
    if len(header) == _HEADER_BYTES_MAX:
        raise ProtocolError("Protocol error: too big bulk count string")


def _bulk_size(header: bytes) -> int:
    _check_header(header or _CRLF)
    size = _decimal(header[1:])
    if size is None or not 0 <= size <= ANNOUNCED_BYTES_MAX:
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


def verbatim(text: str, resp_version: int) -> bytes:
    """Text for people, which RESP3 tells from other strings."""
    if resp_version == 2:
        return bulk(text.encode())
    return b"=%d\r\ntxt:%b\r\n" % (len(encoded := text.encode()) + 4, encoded)


def null(resp_version: int) -> bytes:
    """No value."""
    return _NULLS[resp_version]


def null_array(resp_version: int) -> bytes:
    """No value, where an array was expected."""
    return _NULL_ARRAYS[resp_version]


def array(items: Sequence[bytes]) -> bytes:
    """An array of encoded items."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))


def unordered(items: Sequence[bytes], resp_version: int) -> bytes:
    """A set of encoded items; RESP2 has none and gets an array."""
    return array(items) if resp_version == 2 else b"~%d\r\n%b" % (len(items), b"".join(items))


def mapping(pairs: Iterable[tuple[bytes, bytes]], resp_version: int) -> bytes:
    """A map of encoded items; RESP2 has none and gets a flat array."""
    flat = [item for pair in pairs for item in pair]
    if resp_version == 2:
        return array(flat)
    return b"%%%d\r\n%b" % (len(flat) // 2, b"".join(flat))
