"""How the text of one setting becomes its value.

Law: what is refused is refused with a `ConfigError` that says what would be taken.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from kvstore.address import Address, parse_addresses, parse_int, quoted
from kvstore.api.base import NODE_ID_MAX
from kvstore.cluster_names import CHARACTERS_MAX
from kvstore.config.limits import (
    CHECK_EVERY_MS_CEILING,
    LOG_KEPT_BYTES_FLOOR,
    MAP_BYTES_CEILING,
    MAP_BYTES_FLOOR,
    TIME_MS_CEILING,
    VALUE_BYTES_CEILING,
)
from kvstore.config.sources import LOG_FORMATS, Given
from kvstore.errors import ConfigError

_UNITS: Final = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_NEVER: Final = "never"
_PERIODS_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_T = TypeVar("_T")


def read(given: Mapping[str, Given], name: str, parse: Callable[[str], _T], default: _T) -> _T:
    if name not in given:
        return default
    try:
        return parse(given[name].text)
    except ConfigError as error:
        raise ConfigError(f"{given[name].source}: {error}") from None


def parse_id(text: str) -> int:
    return parse_int(text, 1, NODE_ID_MAX, "a node id")


def parse_time_ms(text: str) -> int:
    return parse_int(text, 1, TIME_MS_CEILING, "a time in milliseconds")


def parse_check_every(text: str) -> int | None:
    """A period with its unit; None for never."""
    if text == _NEVER:
        return None
    match = re.fullmatch(rf"([0-9]{{1,9}}) ?({'|'.join(_PERIODS_MS)})", text.strip())
    period_ms = int(match[1]) * _PERIODS_MS[match[2]] if match else 0
    if not 0 < period_ms <= CHECK_EVERY_MS_CEILING:
        raise ConfigError(
            f"{quoted(text)} is not a period: give a number with its unit, "
            f"{', '.join(_PERIODS_MS)} (as 12h), at most a year, or {_NEVER}"
        )
    return period_ms


def parse_range_ms(text: str) -> tuple[int, int]:
    low, dash, high = text.partition("-")
    if not dash:
        raise ConfigError(f"{text!r} is not a range: write the shortest and longest, as 500-1000")
    return parse_time_ms(low), parse_time_ms(high)


def parse_value_bytes(text: str) -> int:
    return _parse_bytes(text, 1, VALUE_BYTES_CEILING)


def parse_map_bytes(text: str) -> int:
    return _parse_bytes(text, MAP_BYTES_FLOOR, MAP_BYTES_CEILING)


def parse_kept_bytes(text: str) -> int:
    return _parse_bytes(text, LOG_KEPT_BYTES_FLOOR, MAP_BYTES_CEILING)


def _parse_bytes(text: str, low: int, high: int) -> int:
    """A number of bytes, as it is or in binary units."""
    match = re.fullmatch(rf"([0-9]{{1,19}}) ?({'|'.join(_UNITS)})?", text.strip())
    size = int(match[1]) * _UNITS.get(match[2], 1) if match else -1
    if not low <= size <= high:
        raise ConfigError(
            f"{quoted(text)} is not a size that is allowed here: give a number of bytes from "
            f"{_in_units(low)} to {_in_units(high)}, plain or in {', '.join(_UNITS)} (as 8GiB)"
        )
    return size


def _in_units(size_bytes: int) -> str:
    for unit, unit_bytes in reversed(_UNITS.items()):
        if size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return str(size_bytes)


def parse_cluster(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", text) or len(text) > CHARACTERS_MAX:
        raise ConfigError(
            f"{text!r} is not a cluster name: use 1 to {CHARACTERS_MAX} of A-Z a-z 0-9 . _ -"
        )
    return text


def parse_nodes(text: str) -> tuple[Address, ...]:
    return tuple(parse_addresses(text))


def parse_path(text: str) -> Path:
    if not text:
        raise ConfigError("a directory is needed, for instance data/n1")
    return Path(text)


def parse_log_format(text: str) -> str:
    if text not in LOG_FORMATS:
        raise ConfigError(f"{text!r} is not a log format: say {' or '.join(LOG_FORMATS)}")
    return text
