"""This store: steps become its requests, and its results `answers.py`'s.

Law: nothing is understood here but names and numbers.
"""

from __future__ import annotations

import socket
from abc import ABC, abstractmethod

import msgspec
from process.resp import ask_for_bulk

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.kv.effect import Effect
from kvstore.kv.machine import StateMachine
from kvstore.kv.record import to_key_value
from kvstore.kv.view import Applied
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState
from kvstore.wire import typed

from .answers import (
    Answer,
    Decided,
    Deleted,
    Done,
    Event,
    Found,
    Granted,
    Happened,
    Item,
    Known,
    Lives,
    Refused,
    Why,
    Written,
)
from .steps import (
    FROM_KEY,
    Compare,
    DeleteRange,
    Grant,
    Leases,
    Operation,
    Put,
    Range,
    Revoke,
    Step,
    Target,
    TimeToLive,
    Txn,
    Watch,
)

_IDENTITY = Identity(format_version=1, cluster_id="like etcd", node_id=1, incarnation="0" * 32)
_LIMITS = Limits()
_WHY = {
    api.FailureCode.COMPACTED: Why.COMPACTED,
    api.FailureCode.FUTURE: Why.FUTURE,
    api.FailureCode.INVALID: Why.INVALID,
    api.FailureCode.LEASE_EXISTS: Why.LEASE_EXISTS,
    api.FailureCode.NO_LEASE: Why.NO_LEASE,
}
_TARGETS = {
    Target.VERSION: api.CompareTarget.VERSION,
    Target.CREATE: api.CompareTarget.CREATE,
    Target.MOD: api.CompareTarget.MOD,
    Target.VALUE: api.CompareTarget.VALUE,
}
_EVERYTHING = api.DeleteRange(b"", FROM_KEY)


def is_there(step: Step | Compare) -> bool:
    """Whether this store can be asked that."""
    match step:
        case Put():
            return not step.keep_value and not step.keep_lease
        case Txn():
            return all(map(_is_there_within, step.compares + step.then + step.otherwise))
        case Compare():
            return step.target is not Target.LEASE
        case Watch(since):
            return since > 0
        case Range(at=at):
            # No revision before the sequence can be compacted yet.
            return at is None or at >= 0
    return isinstance(step, DeleteRange | Grant | Revoke | TimeToLive | Leases)


def _is_there_within(part: Compare | Operation) -> bool:
    """Whether a transaction can consist of that."""
    return part == Range(part.key) if isinstance(part, Range) else is_there(part)


class Ours(ABC):
    """A `Player`, wherever it is asked."""

    def begin(self) -> None:
        # As at an etcd that was asked other things before: no revision of a sequence is the
        # one of what was never there.
        self._carried_out(api.Put(b"a", b""))
        emptied = self._carried_out(_EVERYTHING)
        assert isinstance(emptied, api.DeleteResult)
        self._base = emptied.revision
        known = self._carried_out(api.Leases())
        assert isinstance(known, api.LeasesResult)
        for lease in known.leases:
            self._carried_out(api.Revoke(lease))

    @abstractmethod
    def _carried_out(self, request: api.Request) -> api.Result:
        """What the request is answered."""

    def ask(self, step: Step) -> Answer:
        return self._answer(self._carried_out(self._request(step)))

    # --- Requests -------------------------------------------------------------------------

    def _request(self, step: Step) -> api.Request:
        match step:
            case Put():
                return api.Put(
                    step.key, step.value, return_previous=step.previous, lease=step.lease
                )
            case DeleteRange():
                return api.DeleteRange(step.key, step.end, return_previous=step.previous)
            case Range():
                return self._range(step)
            case Grant(lease, ttl_s):
                return api.Grant(min(ttl_s * 1_000, api.INTEGER_MAX), lease)
            case Revoke(lease):
                return api.Revoke(lease)
            case TimeToLive(lease):
                return api.TimeToLive(lease, with_keys=True)
            case Leases():
                return api.Leases()
            case Txn():
                return api.Txn(
                    tuple(map(self._compare, step.compares)),
                    tuple(map(self._operation, step.then)),
                    tuple(map(self._operation, step.otherwise)),
                )
        raise AssertionError(f"{step} cannot be asked for")

    def _range(self, asked: Range) -> api.Range:
        return api.Range(
            asked.key,
            asked.end,
            revision=self._absolute(asked.at),
            limit=asked.limit,
            order=api.Order[asked.order.name],
            target=api.Target[asked.target.name],
            keys_only=asked.keys_only,
            count_only=asked.count_only,
            min_mod=self._absolute(asked.min_mod),
            max_mod=self._absolute(asked.max_mod),
            min_create=self._absolute(asked.min_create),
            max_create=self._absolute(asked.max_create),
        )

    def _absolute(self, revision: int | None) -> int:
        return 0 if revision is None else self._base + revision

    def _operation(self, operation: Operation) -> api.Operation:
        """Within a transaction one key is read."""
        if isinstance(operation, Range):
            return api.Get((operation.key,))
        return self._request(operation)

    def _compare(self, compare: Compare) -> api.Compare:
        target, operand = compare.target, compare.operand
        number = operand if isinstance(operand, int) else 0
        if target in (Target.CREATE, Target.MOD) and operand is not None:
            number += self._base
        return api.Compare(
            compare.key,
            _TARGETS[target],
            api.Relation[compare.relation.name],
            number=number,
            value=operand if isinstance(operand, bytes) else b"",
            range_end=compare.end,
        )

    # --- Answers --------------------------------------------------------------------------

    def _answer(self, result: api.Result, *, is_nested: bool = False) -> Answer:
        match result:
            case api.Failure(code):
                return Refused(_WHY[code])
            case api.PutResult():
                previous = None if result.previous is None else self._item(result.previous)
                return Written(result.revision - self._base, previous)
            case api.DeleteResult():
                gone = tuple(map(self._item, result.previous))
                return Deleted(result.revision - self._base, result.deleted, gone)
            case api.GetResult():
                items = tuple(self._item(one) for one in result.items if one is not None)
                return Found(result.revision - self._base, items, more=False, count=len(items))
            case api.RangeResult():
                items = tuple(map(self._item, result.items))
                return Found(result.revision - self._base, items, result.more, result.count)
            case api.TxnResult():
                results = tuple(self._answer(one, is_nested=True) for one in result.results)
                revision = None if is_nested else result.revision - self._base
                return Decided(revision, result.succeeded, results)
        return self._answer_of_lease(result)

    def _answer_of_lease(self, result: api.Result) -> Answer:
        match result:
            case api.GrantResult(lease, ttl_ms):
                return Granted(lease, ttl_ms // 1_000)
            case api.RevokeResult():
                return Done(result.revision - self._base)
            case api.TimeToLiveResult(ttl_ms=0):
                return Refused(Why.NO_LEASE)
            case api.TimeToLiveResult():
                return Lives(result.ttl_ms // 1_000, frozenset(result.keys))
            case api.LeasesResult():
                return Known(frozenset(result.leases))
        raise AssertionError(f"nobody asked for {result}")

    def _item(self, item: api.KeyValue) -> Item:
        return Item(
            item.key,
            item.value,
            item.create_revision - self._base,
            item.mod_revision - self._base,
            item.version,
            item.lease,
        )


class Machine(Ours):
    """The state machine in memory, a new one for each sequence."""

    def begin(self) -> None:
        self._machine = StateMachine(
            MemoryState(_IDENTITY), Applied(), _LIMITS.reply_bytes_max, api.SessionRules()
        )
        self._effects: list[Effect] = []
        super().begin()

    def ask(self, step: Step) -> Answer:
        return self._happened(step.since) if isinstance(step, Watch) else super().ask(step)

    def _carried_out(self, request: api.Request) -> api.Result:
        if complaint := api.complaint_about(request, _LIMITS):
            return api.Failure(api.FailureCode.INVALID, complaint)
        if isinstance(request, api.QUERIES):
            return self._machine.query(request)
        if api.COMMAND_ROW_OF[type(request)].needs_time:
            request = api.Stamped(0, request)
        data = msgspec.msgpack.encode(request)
        effect = self._machine.apply(self._machine.last_applied + 1, data)
        self._effects.append(effect)
        return effect.result

    def _happened(self, since: int) -> Happened:
        """As whoever watches hears it when it happens."""
        return Happened(
            tuple(
                Event(
                    effect.revision - self._base,
                    key,
                    self._item_of(key, new),
                    self._item_of(key, old),
                )
                for effect in self._effects
                if effect.revision >= self._base + since
                for key, new, old in effect.changes
            )
        )

    def _item_of(self, key: bytes, record: bytes | None) -> Item | None:
        return None if record is None else self._item(to_key_value(key, record))


class Node(Ours):
    """A node that runs, over one connection of a typed client."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def _carried_out(self, request: api.Request) -> api.Result:
        asked = typed.encode_call(api.Call(request))
        return typed.decode_reply(ask_for_bulk(self._connection, asked)).result
