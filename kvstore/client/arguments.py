"""What callers give to the client: checked, and made into what a request holds.

Law: whoever gives something else than is asked for is told so before anything is sent. Of the
wrong type, it is a TypeError; a setting, or what contradicts itself, a ConfigError; what no
node takes, a RefusedError, as if a node had been asked.

This module must not know who is asked, nor what becomes of it.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from kvstore import api
from kvstore.address import parse_address
from kvstore.config.limits import TIME_MS_CEILING, VALUE_BYTES_CEILING, Limits
from kvstore.errors import ConfigError, RefusedError

Text: TypeAlias = str | bytes | bytearray | memoryview
"""A key or a value; `str` is sent as UTF-8."""
Pairs: TypeAlias = Mapping[Any, Text] | Iterable[tuple[Text, Text]]
"""Keys with their values. (The keys of a Mapping are invariant: `Any` stands for Text.)"""

_TEXTS: Final = (str, bytes, bytearray, memoryview)
_BITS_MAX: Final = 128
"""Of a number that is told back; Python itself refuses to print the longest ones."""
_PLACES_MAX: Final = 1_000
"""A tenth of all sessions that a cluster has."""
_WIDEST: Final = Limits.for_values(VALUE_BYTES_CEILING)
"""The limits of a node that takes as much as any may."""
_T = TypeVar("_T")
_Request = TypeVar("_Request", bound=api.Request)

_encode = msgspec.msgpack.Encoder().encode
_decode_request = msgspec.msgpack.Decoder(api.Request).decode


def as_bytes(text: Text, what: str = "keys and values are") -> bytes:
    """A key or a value."""
    if isinstance(text, bytes):
        return text
    if isinstance(text, str):
        try:
            return text.encode()
        except UnicodeEncodeError:
            raise _refused(
                f"{_shown(text)} has no UTF-8, as half of a surrogate pair stands in it: give bytes"
            ) from None
    if isinstance(text, bytearray | memoryview):
        return bytes(text)
    raise TypeError(f"{what} str or bytes, not {type(text).__name__}")


def as_keys(keys: Iterable[Text]) -> tuple[bytes, ...]:
    """Several keys. A lone text is an iterable too, of characters: never what was meant."""
    return tuple(map(as_bytes, _items(keys, "several keys are wanted: give a list of them")))


def as_pairs(pairs: Pairs) -> tuple[tuple[bytes, bytes], ...]:
    """Keys with their values."""
    wanted = "keys with values are wanted: give a mapping, or a list of pairs"
    items = pairs.items() if isinstance(pairs, Mapping) else _items(pairs, wanted)
    return tuple(_as_pair(item, wanted) for item in items)


def as_guard(guard: tuple[Text, int] | None) -> api.Guard | None:
    """A key, and the `mod_revision` that it must have."""
    if guard is None:
        return None
    wanted = 'a guard is a key and the mod_revision that it must have, as ("lock", 17)'
    key, mod_revision = _two(guard, wanted)
    key = as_bytes(key, f"{wanted}: a guard's key is")
    return api.Guard(key, as_integer(mod_revision, f"{wanted}: a guard's revision is"))


def as_integer(number: int, what: str) -> int:
    """A whole number, which True is not; how large it may be is for others to say."""
    if type(number) is not int:
        raise TypeError(f"{what} an int, not {_named(number)}")
    if number.bit_length() > _BITS_MAX:
        raise _refused(f"{what} {_shown(number)}")
    return number


def as_timeout(timeout_ms: int) -> int:
    """A time in ms. Raises ConfigError."""
    if type(timeout_ms) is not int:
        raise TypeError(f"a timeout in ms is an int, not {_named(timeout_ms)}")
    if not 1 <= timeout_ms <= TIME_MS_CEILING:
        raise ConfigError(
            f"the timeout must be 1 to {TIME_MS_CEILING} ms, not {_shown(timeout_ms)}"
        )
    return timeout_ms


def as_limit(limit: int | None) -> int | None:
    """How many there may be at most. Raises ConfigError."""
    if not (limit is None or type(limit) is int):
        raise TypeError(f"a limit is an int, not {_named(limit)}")
    if limit is not None and limit < 1:
        raise ConfigError(f"a limit is at least 1, not {_shown(limit)}")
    return limit


def as_places(connections_max: int) -> int:
    """How many requests there may be at a time. Raises ConfigError."""
    if type(connections_max) is not int:
        raise TypeError(f"connections_max is an int, not {_named(connections_max)}")
    if not 1 <= connections_max <= _PLACES_MAX:
        raise ConfigError(
            f"connections_max must be 1 to {_PLACES_MAX:,}, not {_shown(connections_max)}"
        )
    return connections_max


def as_flag(flag: bool, name: str) -> bool:
    """True or False; whatever else Python takes for either is mostly a slip."""
    if type(flag) is not bool:
        raise TypeError(f"{name} is True or False, not {_named(flag)}")
    return flag


def as_text(text: str, what: str) -> str:
    """Text that is not sent."""
    if not isinstance(text, str):
        raise TypeError(f"{what} a str, not {_named(text)}")
    return text


def as_address(address: str) -> str:
    """Where a node is to be found, by all others: with its port."""
    return str(parse_address(as_text(address, "an address is"), default_port=None))


def as_node_id(node_id: int) -> int:
    """The id of a node."""
    return as_integer(node_id, "a node's id is")


def as_callback(callback: _T, name: str) -> _T:
    """Something to be called, or None."""
    if not (callback is None or callable(callback)):
        raise TypeError(f"{name} is called, and cannot be {_named(callback)}")
    return callback


def as_addresses(addresses: Iterable[str] | str) -> str:
    """A list of addresses with commas between them."""
    if isinstance(addresses, str):
        return addresses
    wanted = "addresses are text, as 'host:9001', or a list of such"
    return ",".join(as_text(one, f"{wanted}: an address is") for one in _items(addresses, wanted))


def as_patience(patience_s: float | None) -> float | None:
    """For how long something may be missing; None is for ever."""
    if patience_s is None:
        return None
    if isinstance(patience_s, bool) or not isinstance(patience_s, int | float):
        raise TypeError(f"a patience is a number of seconds, not {_named(patience_s)}")
    if not 0 < patience_s < float("inf"):
        raise ConfigError(f"a patience is more than 0 s, not {patience_s}")
    return float(patience_s)


def as_request(request: api.Request) -> api.Request:
    """A request whose parts are of the right types, each."""
    if isinstance(request, api.WATCHING):
        raise ConfigError("a watch has a connection of its own: ask for it with watch()")
    try:
        decoded: api.Request = _decode_request(_encode(request))
    except OverflowError:
        raise _refused("a number of this request has more than 64 bits") from None
    except RecursionError:
        raise _refused("its transactions stand too deep within each other") from None
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise TypeError(f"this is no request that a node understands: {error}") from None
    return decoded


def checked(request: _Request) -> _Request:
    """A request that some node may take."""
    if complaint := api.complaint_about(request, _WIDEST):
        raise _refused(complaint)
    return request


def _refused(complaint: str) -> RefusedError:
    code = api.FailureCode.INVALID.value
    return RefusedError(f"{code} {complaint}: no node takes more, so nothing was sent", code)


def _items(things: Iterable[_T], wanted: str) -> Iterable[_T]:
    if isinstance(things, _TEXTS) or not isinstance(things, Iterable):
        raise TypeError(f"{wanted}, not {_named(things)}")
    return things


def _as_pair(pair: object, wanted: str) -> tuple[bytes, bytes]:
    key, value = _two(pair, wanted)
    return as_bytes(key), as_bytes(value)


def _two(pair: object, wanted: str) -> tuple[Any, Any]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError(f"{wanted}, not {_named(pair)}")
    return pair[0], pair[1]


def _named(thing: object) -> str:
    """An argument as it is told back: what kind of thing, and which."""
    return f"{type(thing).__name__} ({_shown(thing)})"


class _Brief(reprlib.Repr):
    """Shows as much as fits into a line."""

    def repr_int(self, x: int, level: int) -> str:
        bits = x.bit_length()
        return str(x) if bits <= _BITS_MAX else f"a number of {bits} bits"


_shown: Final = _Brief().repr
