"""Bounds on typed requests: the same for Redis commands and for our own client.

Law: a refusal says which bound was broken and by what, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from typing import Any, Final

from kvstore import api
from kvstore.api.glob import PATTERN_BYTES_MAX
from kvstore.config.limits import NODE_ID_MAX, Limits

_EQUAL: Final = api.When.EQUAL  # A look-up in the class takes longer than the other checks.
_CLUSTER_ID_CHARACTERS_MAX: Final = 64
_PLACE_BYTES: Final = 256
"""What a reply takes that does not exist yet, or is short."""
_KEY_BYTES: Final = 56
"""What a key takes in memory beside its text."""
_KEY_STEPS: Final = 4
_SCAN_STEPS: Final = 6_000
"""As the state machine counts them: of a whole page, but for the record that ends it."""
_HISTORY_BYTES: Final = 24
"""What a record has beside its value."""


def check_call(call: api.Call, limits: Limits) -> api.Failure | None:
    """Why the call is refused, None if it is within every limit."""
    if not 0 <= call.min_term <= api.REVISION_MAX:
        complaint = f"the lowest term must be 0 to {api.REVISION_MAX}, not {call.min_term}"
        return api.Failure(api.FailureCode.INVALID, complaint)
    if len(call.cluster_id) > _CLUSTER_ID_CHARACTERS_MAX:
        complaint = f"a cluster's name has at most {_CLUSTER_ID_CHARACTERS_MAX} characters"
        return api.Failure(api.FailureCode.INVALID, complaint)
    if found := complaint_about(call.request, limits):
        return api.Failure(api.FailureCode.INVALID, found)
    return None


def complaint_about(request: api.Request, limits: Limits) -> str | None:
    """Why the request is refused, None if it is within every limit."""
    if isinstance(request, api.WRITES) and request.guard is not None:
        guard = request.guard
        if not 0 <= guard.mod_revision <= api.REVISION_MAX:
            return f"a guard's revision is 0 to {api.REVISION_MAX}, not {guard.mod_revision}"
        if complaint := _check_key(guard.key):
            return f"the guard's {complaint}"
    check = _CHECKS.get(type(request))
    return check(request, limits) if check else None


def place_bytes(request: api.Request, limits: Limits) -> int:
    """What is booked for a checked request until its reply is there.

    A write may be answered at any time, so it is its longest reply. A query is answered
    when there is room, so it is what the query itself takes.
    """
    if isinstance(request, api.Put):
        if request.return_previous:
            return _PLACE_BYTES + api.KEY_BYTES_MAX + limits.value_bytes_max
        return _PLACE_BYTES
    if isinstance(request, api.Once):
        return place_bytes(request.write, limits)
    if isinstance(request, api.Get) and len(request.keys) > 1:
        return _PLACE_BYTES + sum(map(len, request.keys)) + len(request.keys) * _KEY_BYTES
    return _PLACE_BYTES


def query_steps_bound(query: api.Query, limits: Limits) -> int:
    """What a checked query may cost the state machine, in its steps."""
    value_bytes = limits.value_bytes_max
    if isinstance(query, api.Get):
        keys = len(query.keys)
        # The value that is one too many is read as well.
        values_bytes = min(keys * value_bytes, limits.reply_bytes_max + value_bytes)
        return _KEY_STEPS * (1 + keys) + ((values_bytes + keys * _HISTORY_BYTES) >> 10)
    if isinstance(query, api.Scan):
        return _SCAN_STEPS + ((value_bytes + _HISTORY_BYTES) >> 10)
    return _KEY_STEPS


def _check_put(put: api.Put, limits: Limits) -> str | None:
    if put.when is _EQUAL or put.expected is not None:
        if put.when is not _EQUAL or put.expected is None:
            return "an expected value goes with the condition EQUAL, and only with it"
        if complaint := _check_value(put.expected, limits):
            return complaint
    return _check_key(put.key) or _check_value(put.value, limits)


def _check_put_many(put: api.PutMany, limits: Limits) -> str | None:
    if complaint := _check_count(put.pairs, limits):
        return complaint
    total = sum(len(key) + len(value) for key, value in put.pairs)
    if total > limits.value_bytes_max:
        # They are one log entry, which must travel to every node whole.
        return (
            f"the pairs have {total} bytes together, the limit is {limits.value_bytes_max}; "
            "write fewer at once"
        )
    return _first(_check_key(key) for key, _ in put.pairs)


def _check_keys(request: api.Delete | api.Get, limits: Limits) -> str | None:
    return _check_count(request.keys, limits) or _first(map(_check_key, request.keys))


def _check_count(keys: Sized, limits: Limits) -> str | None:
    if len(keys) > limits.request_keys_max:
        return f"too many keys, the limit is {limits.request_keys_max}; ask for fewer at once"
    return None


def _check_increment(increment: api.Increment, _limits: Limits) -> str | None:
    if not api.INTEGER_MIN <= increment.by <= api.INTEGER_MAX:
        return "increment is not a signed 64-bit integer"
    return _check_key(increment.key)


def _check_once(once: api.Once, limits: Limits) -> str | None:
    for what, number in (("session", once.session), ("sequence", once.sequence)):
        if not 1 <= number <= api.REVISION_MAX:
            return f"a {what} is numbered 1 to {api.REVISION_MAX}, not {number}"
    return complaint_about(once.write, limits)


def _check_scan(scan: api.Scan, limits: Limits) -> str | None:
    if not 1 <= scan.limit <= limits.scan_keys_max:
        return f"a scan takes 1 to {limits.scan_keys_max} keys at once, not {scan.limit}"
    if scan.pattern is not None and len(scan.pattern) > PATTERN_BYTES_MAX:
        return f"a pattern has {len(scan.pattern)} bytes, the limit is {PATTERN_BYTES_MAX}"
    return _check_key(scan.prefix) or _check_key(scan.start or b"")


def _check_hand_over(request: api.HandOver, _limits: Limits) -> str | None:
    if request.heir is not None and not 1 <= request.heir <= NODE_ID_MAX:
        return f"a node's id is 1 to {NODE_ID_MAX}, not {request.heir}"
    if not 0 <= request.term <= api.REVISION_MAX:
        return f"a term is 0 to {api.REVISION_MAX}, not {request.term}"
    return None


def _check_key(key: bytes) -> str | None:
    if len(key) > api.KEY_BYTES_MAX:
        return f"key has {len(key)} bytes, the limit is {api.KEY_BYTES_MAX}"
    return None


def _check_value(value: bytes, limits: Limits) -> str | None:
    if len(value) > limits.value_bytes_max:
        return f"value has {len(value)} bytes, the limit is {limits.value_bytes_max}"
    return None


def _first(complaints: Iterable[str | None]) -> str | None:
    return next(filter(None, complaints), None)


_CHECKS: Final[dict[type, Callable[[Any, Limits], str | None]]] = {
    api.Put: _check_put,
    api.PutMany: _check_put_many,
    api.Delete: _check_keys,
    api.Get: _check_keys,
    api.Increment: _check_increment,
    api.Once: _check_once,
    api.Scan: _check_scan,
    api.HandOver: _check_hand_over,
}
