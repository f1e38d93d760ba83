"""SCAN: its arguments, and its reply.

Law: pure. A Redis cursor is an integer, while keys are ordered bytes: where a
cursor goes on is for the server to remember.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvstore import api
from kvstore.api.glob import PATTERN_BYTES_MAX, compiled
from kvstore.config.limits import Limits
from kvstore.wire import resp
from kvstore.wire.catalogue import Arguments
from kvstore.wire.commands import CommandError, integer_argument

_COUNT_DEFAULT: Final = 10


class ScanArguments(msgspec.Struct, frozen=True):
    """SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]."""

    cursor: int
    pattern: bytes | None = None
    count: int = _COUNT_DEFAULT
    wants_strings: bool = True

    def request(self, start_key: bytes) -> api.Scan:
        """The page to read, from where the cursor stands."""
        prefix = b""
        if self.pattern is not None:
            prefix = compiled(self.pattern).literal_prefix[: api.KEY_BYTES_MAX]
        return api.Scan(start_key, prefix, self.count, with_values=False, pattern=self.pattern)

    def render(self, result: api.ScanResult, next_cursor: int) -> bytes:
        """The next cursor (0 at the end), and the keys of the page."""
        keys = [item.key for item in result.items if self.wants_strings]
        return resp.array([resp.bulk(b"%d" % next_cursor), resp.array([*map(resp.bulk, keys)])])


def parse_scan(args: Arguments, limits: Limits) -> ScanArguments:
    """Raises `CommandError`. COUNT is a hint in Redis, so a large one is cut, not refused."""
    if not args[1].isdigit() or len(args[1]) > 19:
        raise CommandError("ERR invalid cursor")
    if len(args) % 2:
        raise CommandError("ERR syntax error")
    pattern, count, wants_strings = None, _COUNT_DEFAULT, True
    for option, value in zip(args[2::2], args[3::2], strict=True):
        name = option.upper()
        if name == b"MATCH":
            if len(value) > PATTERN_BYTES_MAX:
                raise CommandError(f"ERR a pattern has at most {PATTERN_BYTES_MAX} bytes")
            pattern = value
        elif name == b"COUNT":
            count = integer_argument(value)
        elif name == b"TYPE":
            wants_strings = value.lower() == b"string"
        else:
            raise CommandError("ERR syntax error")
    if count < 1:
        raise CommandError("ERR syntax error")
    return ScanArguments(int(args[1]), pattern, min(count, limits.scan_keys_max), wants_strings)
