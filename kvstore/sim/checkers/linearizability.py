"""Linearizability: judges whether one order of the operations explains what clients saw.

Law: a history passes only if an order was found that explains every answer on a single
copy of the data, and in which an operation that returned before another was invoked
comes first. What could not be decided is a finding too. The copy is a model of its own,
one value or none for each key, and shares nothing with `kvstore.kv.machine`, which it
judges.

The search is that of Wing and Gong (1993), with the memory of Lowe (2017): how an order
can go on depends only on which operations it has placed and on the value they leave, so
no such node is visited twice. Keys are judged apart, as linearizability is local
(Herlihy and Wing 1990), and an operation of several keys by its shares (`shares`). Four
rules keep the search small, and lose no order:

* An answer that says that nothing was changed, and that is right now, is placed at once:
  an order that has it later can do without it there, and have it here.
* An operation of unknown outcome may be left out. So it is never placed where it changes
  nothing, nor where what comes next would do the same without it; and a node is dropped
  if one was visited that placed the same answers, left the same value, and spent only
  some of the unknown ones.
* Of unknown operations that ask for the same, the one invoked first is placed first.
* Values that no client named or was shown are told apart by nobody. One stands for all
  of them, and unknown writes of them ask for the same.

It must not know nodes, logs or revisions.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from kvstore import api
from kvstore.sim.checkers.shares import Share, shares
from kvstore.sim.history import Operation
from kvstore.sim.words import bare, describe, shown

STEPS_MAX: Final = 100_000
"""Nodes that the search for one key may look at; each may stay in memory."""

_LINES_MAX: Final = 12
"""Operations in a list of a finding; more would not be read."""


def check_history(operations: Sequence[Operation], steps_max: int = STEPS_MAX) -> list[str]:
    """One finding for each key whose operations no order explains; empty if there is none.

    Raises `ValueError` for requests that do not name their keys.
    """
    by_key: dict[bytes, list[Share]] = {}
    for operation in operations:
        for share in shares(operation):
            by_key.setdefault(share.key, []).append(share)
    findings: list[str] = []
    for key, of_key in by_key.items():
        search = _Search(_calls(of_key))
        stuck = search.run(steps_max)
        if stuck is not None:
            findings.append(_explain(key, search, stuck))
    return findings


# --- The model ----------------------------------------------------------------------------

_State: TypeAlias = bytes | None
_Step: TypeAlias = Callable[[Any, _State], tuple[_State, object]]
"""Of a request and the value it meets: the value it leaves, and the answer it gives."""

_REFUSED: Final = object()
"""The answer to an increment of what is not an integer, or would no longer be one."""

_ABSURD: Final = object()
"""An answer that fits no state."""


class _Untold:
    """The answer where none is known: it is equal to every other."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # what is equal to all has no place in a set


def _put(put: api.Put, state: _State) -> tuple[_State, object]:
    is_written = _holds(put, state)
    answer = is_written, state if put.return_previous else None
    return put.value if is_written else state, answer


def _holds(put: api.Put, state: _State) -> bool:
    if put.when is api.When.ALWAYS:
        return True
    if put.when is api.When.ABSENT:
        return state is None
    if put.when is api.When.PRESENT:
        return state is not None
    return state is not None and state == put.expected


def _delete(_request: api.Delete, state: _State) -> tuple[_State, object]:
    return None, int(state is not None)


def _increment(increment: api.Increment, state: _State) -> tuple[_State, object]:
    current = 0 if state is None else _integer(state)
    if current is None or not _is_in_range(current + increment.by):
        return state, _REFUSED
    return b"%d" % (current + increment.by), current + increment.by


def _get(get: api.Get, state: _State) -> tuple[_State, object]:
    return state, state if get.with_values else state is not None


def _integer(value: bytes) -> int | None:
    """The number whose one decimal form this is."""
    try:
        number = int(value)
    except ValueError:
        return None
    return number if value == b"%d" % number and _is_in_range(number) else None


def _is_in_range(number: int) -> bool:
    return -(2**63) <= number < 2**63


_STEPS: Final[dict[type, _Step]] = {
    api.Put: _put,
    api.Delete: _delete,
    api.Increment: _increment,
    api.Get: _get,
}


# --- What clients saw, in the model's terms -----------------------------------------------


class _Call(msgspec.Struct, frozen=True):
    """An operation that constrains the order, or, if `is_open`, may be placed or left out.

    * `request` is the client's, except that a value told apart by nobody is replaced.
    * `until_ms` bounds nothing for an open one: it may take effect at any later time.
    * `may_write` is false if it left what it met, whatever that was; a write of the value
      that is there already is a write.
    """

    operation: Operation
    request: api.Request
    step: _Step
    answer: object
    is_open: bool
    may_write: bool
    from_ms: float
    until_ms: float


def _calls(of_key: Sequence[Share]) -> list[_Call]:
    """In the order of their invocation, without those that say and change nothing."""
    kept = [share for share in of_key if _matters(share.operation)]
    kept.sort(key=lambda share: share.operation.invoked_ms)
    requests = _without_idle_values([share.operation for share in kept])
    return [
        _Call(
            operation=operation,
            request=request,
            step=_STEPS[type(request)],
            answer=_answer(key, operation) if tells else _Untold(),
            is_open=operation.is_unknown,
            may_write=_may_write(operation),
            from_ms=operation.invoked_ms,
            until_ms=operation.returned_ms,
        )
        for (key, operation, tells), request in zip(kept, requests, strict=True)
    ]


def _matters(operation: Operation) -> bool:
    """Whether it may have changed something, or says something of the value that it met."""
    if operation.is_unknown:
        return not isinstance(operation.request, api.Get)
    if isinstance(operation.result, api.GuardFailed):
        # It depends on a revision, and the model has none: `revisions` judges it.
        return False
    if operation.is_refused:
        # All other refusals promise that nothing was changed, and do not depend on the value.
        is_invalid = getattr(operation.result, "code", None) is api.FailureCode.INVALID
        return is_invalid and isinstance(operation.request, api.Increment)
    return True


def _may_write(operation: Operation) -> bool:
    match operation.result:
        case (
            api.GetResult()
            | api.PutResult(written=False)
            | api.Repeated(succeeded=False)
            | api.DeleteResult(deleted=0)
        ):
            return False
    return not operation.is_refused


def _answer(key: bytes, operation: Operation) -> object:
    match operation.request, operation.result:
        case api.Put(), api.PutResult(written=is_written, previous=previous):
            return is_written, _value(key, previous)
        case api.Put(), api.Repeated(succeeded=is_written):
            return is_written, None
        case api.Delete(), api.DeleteResult(deleted=deleted):
            return deleted
        case api.Increment(), api.IncrementResult(value=value):
            return value
        case api.Increment(), api.Failure():
            return _REFUSED
        case api.Get(with_values=with_values), api.GetResult(items=(item,)):
            return _value(key, item) if with_values else item is not None
    return _ABSURD


def _value(key: bytes, item: api.KeyValue | None) -> object:
    if item is None:
        return None
    return item.value if item.key == key else _ABSURD


def _answered(operation: Operation) -> api.Request:
    """The request, without what its answer does not tell."""
    if isinstance(operation.result, api.Repeated):
        return msgspec.structs.replace(operation.request, return_previous=False)
    return operation.request


def _without_idle_values(operations: Sequence[Operation]) -> list[api.Request]:
    """The requests, with one value put for all that nobody can tell apart."""
    named = {value for operation in operations for value in _named(operation)}
    has_arithmetic = any(isinstance(one.request, api.Increment) for one in operations)

    def is_idle(value: bytes) -> bool:
        return value not in named and not (has_arithmetic and _integer(value) is not None)

    stand_in: bytes | None = None
    requests: list[api.Request] = []
    for request in map(_answered, operations):
        if isinstance(request, api.Put) and is_idle(request.value):
            stand_in = request.value if stand_in is None else stand_in
            request = msgspec.structs.replace(request, value=stand_in)
        requests.append(request)
    return requests


def _named(operation: Operation) -> Iterator[bytes | None]:
    """The values that the model compares something with."""
    if isinstance(operation.request, api.Put):
        yield operation.request.expected
    if isinstance(operation.result, api.PutResult) and operation.result.previous is not None:
        yield operation.result.previous.value
    if isinstance(operation.result, api.GetResult):
        yield from (item.value for item in operation.result.items if item is not None)


# --- The search ---------------------------------------------------------------------------


class _Node(NamedTuple):
    """The beginning of an order: all of `parent`'s, then `calls`.

    Bits of `missing` are answered calls not yet placed, those of `spent` open calls
    that are; both count in the order of invocation.
    """

    missing: int
    spent: int
    state: _State
    parent: _Node | None
    calls: tuple[_Call, ...]


class _Stuck(NamedTuple):
    """The longest beginning that was found; `steps` if the search was cut off there."""

    node: _Node
    steps: int | None


class _Search:
    """Depth first through the orders of one key's calls.

    * `answered` and `open` are in the order of invocation.
    * `_visited` has, for the answers placed and the value left, each set of open calls
      that was spent on that; nodes that spend more are of no use.
    """

    def __init__(self, calls: Sequence[_Call]) -> None:
        self.answered = [call for call in calls if not call.is_open]
        self.open = [call for call in calls if call.is_open]
        self._twins = _earlier_twins(self.open)
        self._visited: dict[tuple[int, _State], list[int]] = {}

    def run(self, steps_max: int) -> _Stuck | None:
        """None if an order places every answered call."""
        deepest = _Node((1 << len(self.answered)) - 1, 0, None, None, ())
        # Iterators, so that what waits to be visited takes no memory.
        waiting = [iter((deepest,))]
        for _ in range(steps_max):
            following = _next(waiting)
            if following is None:
                return _Stuck(deepest, None)
            node, ways = self._settled(following)
            if not node.missing:
                return None
            if node.missing.bit_count() < deepest.missing.bit_count():
                deepest = node
            if self._is_new(node):
                # Open calls are tried when all others have failed.
                waiting.append(itertools.chain(ways, self._by_open_calls(node)))
        return _Stuck(deepest, steps_max)

    def candidates(self, missing: int) -> Iterator[tuple[int, _Call]]:
        """Of the missing calls, those invoked before any other one had returned."""
        horizon_ms = math.inf
        while missing:
            bit = missing & -missing
            call = self.answered[bit.bit_length() - 1]
            if call.from_ms > horizon_ms:
                return
            horizon_ms = min(horizon_ms, call.until_ms)
            missing ^= bit
            yield bit, call

    def open_candidates(self, node: _Node) -> Iterator[tuple[int, _Call]]:
        """The open calls not spent, and invoked before any missing one had returned."""
        horizon_ms = min(call.until_ms for _, call in self.candidates(node.missing))
        for index, call in enumerate(self.open):
            if call.from_ms > horizon_ms:
                return
            if not node.spent >> index & 1:
                yield 1 << index, call

    def _settled(self, node: _Node) -> tuple[_Node, list[_Node]]:
        """The node with all placed that changes nothing, and where answered calls lead from it."""
        missing, state = node.missing, node.state
        placed: list[_Call] = []
        while True:
            before = missing
            ways: list[tuple[int, _Call, _State]] = []
            for bit, call in self.candidates(before):
                after, answer = call.step(call.request, state)
                if answer != call.answer:
                    continue
                if call.may_write:
                    ways.append((bit, call, after))
                else:
                    missing ^= bit
                    placed.append(call)
            if missing == before:
                break
        if placed:
            node = node._replace(missing=missing, calls=(*node.calls, *placed))
        return node, [
            _Node(missing ^ bit, node.spent, after, node, (call,))
            for bit, call, after in ways
            if not _is_idle(node, call, after)
        ]

    def _by_open_calls(self, node: _Node) -> Iterator[_Node]:
        """Where open calls lead."""
        for bit, call in self.open_candidates(node):
            if self._twins[bit.bit_length() - 1] & ~node.spent:
                continue
            after, _ = call.step(call.request, node.state)
            if after != node.state and not _is_idle(node, call, after):
                yield _Node(node.missing, node.spent | bit, after, node, (call,))

    def _is_new(self, node: _Node) -> bool:
        """Whether nothing was visited from which the same and more is possible."""
        visited = self._visited.setdefault((node.missing, node.state), [])
        if any(not spent & ~node.spent for spent in visited):
            return False
        visited.append(node.spent)
        return True


def _next(waiting: list[Iterator[_Node]]) -> _Node | None:
    """The next node in depth-first order."""
    while waiting:
        node = next(waiting[-1], None)
        if node is not None:
            return node
        waiting.pop()
    return None


def _is_idle(node: _Node, call: _Call, after: _State) -> bool:
    """Whether the node's last call is an open one, without which `call` does the same."""
    if node.parent is None or node.parent.missing != node.missing:
        return False
    same, answer = call.step(call.request, node.parent.state)
    return same == after and (call.is_open or answer == call.answer)


def _earlier_twins(calls: Sequence[_Call]) -> list[int]:
    """For each call, the bit of the last one before it that asks for the same, 0 if none."""
    bits: dict[api.Request, int] = {}
    twins: list[int] = []
    for index, call in enumerate(calls):
        asked = call.request
        if isinstance(asked, api.Put):
            asked = msgspec.structs.replace(asked, return_previous=False)
        twins.append(bits.get(asked, 0))
        bits[asked] = 1 << index
    return twins


# --- Findings -----------------------------------------------------------------------------


def _explain(key: bytes, search: _Search, stuck: _Stuck) -> str:
    node, order = stuck.node, _order(stuck.node)
    state: _State = None
    for call in order:
        # The client's own request, for its own value.
        state, _ = call.step(call.operation.request, state)
    answered = len(search.answered)
    verdict = "no order explains"
    if stuck.steps is not None:
        verdict = f"not decided within {stuck.steps} steps whether an order explains"
    lines = [f"key {bare(key)}: {verdict} what clients saw in {answered} operations"]
    if order:
        placed = answered - node.missing.bit_count()
        lines += [f"  the longest order found explains {placed} of them, and ends"]
        lines += _lines(order[-_LINES_MAX:])
    lines += [f"  so {bare(key)} is {shown(state)}, and none of these can come next"]
    lines += _lines([call for _, call in search.candidates(node.missing)])
    if unspent := [call for _, call in search.open_candidates(node)]:
        lines += [f"  with or without {len(unspent)} whose outcome is unknown, the latest"]
        lines += _lines(unspent[-_LINES_MAX:])
    return "\n".join(lines)


def _order(node: _Node) -> list[_Call]:
    """All calls placed, first to last."""
    parts: list[tuple[_Call, ...]] = []
    at: _Node | None = node
    while at is not None:
        parts.append(at.calls)
        at = at.parent
    return [call for part in reversed(parts) for call in part]


def _lines(calls: Sequence[_Call]) -> list[str]:
    return [f"    {describe(call.operation)}" for call in calls]
