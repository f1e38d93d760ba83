"""etcd's JSON gateway: steps become its requests, and its answers `answers.py`'s.

Law: nothing is understood here but names and numbers. Whatever is not known is an error.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
from typing import Any

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
    Compact,
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

Json = dict[str, Any]

_PATIENCE_S = 60.0
_SILENCE_S = 5.0
"""Who is watched and says nothing for so long has nothing to say, which will be a difference."""
_WHY = {
    "etcdserver: duplicate key given in txn request": Why.INVALID,
    "etcdserver: key not found": Why.INVALID,
    "etcdserver: lease already exists": Why.LEASE_EXISTS,
    "etcdserver: lease is provided": Why.INVALID,
    "etcdserver: mvcc: required revision has been compacted": Why.COMPACTED,
    "etcdserver: mvcc: required revision is a future revision": Why.FUTURE,
    "etcdserver: requested lease not found": Why.NO_LEASE,
    "etcdserver: too large lease TTL": Why.INVALID,
    "etcdserver: too many operations in txn request": Why.INVALID,
    "etcdserver: value is provided": Why.INVALID,
}
_EVERYTHING = DeleteRange(FROM_KEY, FROM_KEY)


class _RefusedError(Exception):
    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.why = _WHY[words]


class Gateway:
    """A `Player`: one etcd, asked over one connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = self._connected()
        self._base = 0

    def _connected(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_S)

    def is_up(self) -> bool:
        """Whether it leads itself, and so answers."""
        self._connection.close()
        self._connection.request("GET", "/health")
        return json.loads(self._connection.getresponse().read()).get("health") == "true"

    def close(self) -> None:
        self._connection.close()

    def begin(self) -> None:
        for lease in self._known():
            self._call("lease/revoke", ID=lease)
        # A change: who has compacted to this revision already would refuse to do so again.
        self._call("kv/put", **self._put(Put(FROM_KEY)))
        deleted = self._call("kv/deleterange", **self._delete_range(_EVERYTHING))
        self._base = _revision(deleted)
        self._call("kv/compaction", revision=self._base)

    def ask(self, step: Step) -> Answer:
        try:
            return self._ask(step)
        except _RefusedError as refused:
            return Refused(refused.why)

    def _ask(self, step: Step) -> Answer:
        match step:
            case Put():
                return self._written(self._call("kv/put", **self._put(step)))
            case DeleteRange():
                return self._deleted(self._call("kv/deleterange", **self._delete_range(step)))
            case Range():
                return self._found(self._call("kv/range", **self._range(step)))
            case Txn():
                return self._decided(self._call("kv/txn", **self._txn(step)))
            case Compact(at):
                return self._done(self._call("kv/compaction", revision=self._base + at))
            case Watch(since):
                return self._happened(self._base + since)
        return self._ask_of_lease(step)

    def _ask_of_lease(self, step: Grant | Revoke | TimeToLive | Leases) -> Answer:
        match step:
            case Grant(lease, ttl_s):
                granted = self._call("lease/grant", ID=lease, TTL=ttl_s)
                return Granted(int(granted["ID"]), int(granted["TTL"]))
            case Revoke(lease):
                return self._done(self._call("lease/revoke", ID=lease))
            case TimeToLive(lease):
                told = self._call("lease/timetolive", ID=lease, keys=True)
                if told.get("TTL") == "-1":
                    return Refused(Why.NO_LEASE)
                keys = frozenset(map(base64.b64decode, told.get("keys", ())))
                return Lives(int(told["grantedTTL"]), keys)
            case Leases():
                return Known(frozenset(self._known()))

    def _known(self) -> list[int]:
        return [int(one["ID"]) for one in self._call("lease/leases").get("leases", ())]

    def _call(self, path: str, **request: Any) -> Json:
        self._connection.request("POST", f"/v3/{path}", json.dumps(request))
        answer = self._connection.getresponse()
        told: Json = json.loads(answer.read())
        if answer.status != http.client.OK:
            raise _RefusedError(told["error"])
        return told

    def _happened(self, since: int) -> Answer:
        """Watch until what happened last was told: etcd does not say that it was all.

        From the revision that was compacted to it does not tell of deletions.
        """
        newest = _revision(self._call("kv/range", **self._range(Range(FROM_KEY))))
        told: list[Json] = []
        with contextlib.closing(self._connected()) as connection:
            connection.timeout = _SILENCE_S
            wanted = {**_bounds(FROM_KEY, FROM_KEY), "start_revision": since, "prev_kv": True}
            connection.request("POST", "/v3/watch", json.dumps({"create_request": wanted}))
            stream = connection.getresponse()
            while since <= newest and not (told and _mod(told[-1]) == newest):
                try:
                    heard = json.loads(stream.readline())["result"]
                except TimeoutError:
                    break
                if heard.get("canceled"):
                    assert "compact_revision" in heard, heard
                    return Refused(Why.COMPACTED)
                told += heard.get("events", ())
        return Happened(tuple(map(self._event, told)))

    # --- Requests -------------------------------------------------------------------------

    def _put(self, put: Put) -> Json:
        return {
            "key": _text(put.key),
            "value": _text(put.value),
            "lease": put.lease,
            "prev_kv": put.previous,
            "ignore_value": put.keep_value,
            "ignore_lease": put.keep_lease,
        }

    def _delete_range(self, delete: DeleteRange) -> Json:
        return {**_bounds(delete.key, delete.end), "prev_kv": delete.previous}

    def _range(self, asked: Range) -> Json:
        return {
            **_bounds(asked.key, asked.end),
            "revision": self._absolute(asked.at),
            "limit": asked.limit,
            "sort_order": asked.order.value,
            "sort_target": asked.target.value,
            "keys_only": asked.keys_only,
            "count_only": asked.count_only,
            "min_mod_revision": self._absolute(asked.min_mod),
            "max_mod_revision": self._absolute(asked.max_mod),
            "min_create_revision": self._absolute(asked.min_create),
            "max_create_revision": self._absolute(asked.max_create),
        }

    def _txn(self, txn: Txn) -> Json:
        return {
            "compare": [self._compare(one) for one in txn.compares],
            "success": [self._operation(one) for one in txn.then],
            "failure": [self._operation(one) for one in txn.otherwise],
        }

    def _operation(self, operation: Operation) -> Json:
        match operation:
            case Put():
                return {"request_put": self._put(operation)}
            case DeleteRange():
                return {"request_delete_range": self._delete_range(operation)}
            case Range():
                return {"request_range": self._range(operation)}
            case Txn():
                return {"request_txn": self._txn(operation)}

    def _compare(self, compare: Compare) -> Json:
        target, operand = compare.target, compare.operand
        name = target.value.lower()
        if isinstance(operand, bytes):
            told: str | int = _text(operand)
        elif target in (Target.CREATE, Target.MOD):
            name, told = f"{name}_revision", self._absolute(operand)
        else:
            told = operand or 0
        return {
            **_bounds(compare.key, compare.end),
            "target": target.value,
            "result": compare.relation.value,
            name: told,
        }

    def _absolute(self, revision: int | None) -> int:
        return 0 if revision is None else self._base + revision

    # --- Answers --------------------------------------------------------------------------

    def _relative(self, answer: Json) -> int:
        return _revision(answer) - self._base

    def _done(self, answer: Json) -> Done:
        return Done(self._relative(answer))

    def _written(self, answer: Json) -> Written:
        previous = answer.get("prev_kv")
        return Written(self._relative(answer), previous and self._item(previous))

    def _deleted(self, answer: Json) -> Deleted:
        previous = tuple(map(self._item, answer.get("prev_kvs", ())))
        return Deleted(self._relative(answer), int(answer.get("deleted", 0)), previous)

    def _found(self, answer: Json) -> Found:
        items = tuple(map(self._item, answer.get("kvs", ())))
        count = int(answer.get("count", 0))
        return Found(self._relative(answer), items, answer.get("more", False), count)

    def _decided(self, answer: Json) -> Decided:
        results = tuple(map(self._result, answer.get("responses", ())))
        is_nested = "revision" not in answer["header"]
        revision = None if is_nested else self._relative(answer)
        return Decided(revision, answer.get("succeeded", False), results)

    def _result(self, response: Json) -> Answer:
        ((kind, result),) = response.items()
        match kind:
            case "response_put":
                return self._written(result)
            case "response_delete_range":
                return self._deleted(result)
            case "response_range":
                return self._found(result)
            case "response_txn":
                return self._decided(result)
        raise AssertionError(f"etcd answers {kind}, which nobody asked for")

    def _event(self, told: Json) -> Event:
        is_deletion = told.get("type") == "DELETE"
        previous = told.get("prev_kv")
        return Event(
            _mod(told) - self._base,
            base64.b64decode(told["kv"]["key"]),
            None if is_deletion else self._item(told["kv"]),
            previous and self._item(previous),
        )

    def _item(self, told: Json) -> Item:
        return Item(
            key=base64.b64decode(told["key"]),
            value=base64.b64decode(told.get("value", "")),
            create=int(told["create_revision"]) - self._base,
            mod=int(told["mod_revision"]) - self._base,
            version=int(told["version"]),
            lease=int(told.get("lease", 0)),
        )


def _revision(answer: Json) -> int:
    return int(answer["header"]["revision"])


def _mod(event: Json) -> int:
    return int(event["kv"]["mod_revision"])


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bounds(key: bytes, end: bytes | None) -> Json:
    return {"key": _text(key), "range_end": "" if end is None else _text(end)}
