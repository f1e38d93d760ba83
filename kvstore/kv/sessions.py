"""Client sessions: what makes a request that arrives again have one effect and one answer.

Law: deterministic. When a session ends follows from the log alone: from the order in
which sessions were used, and from the clock of the log. No other
clock is read, and every replica ends the same session at the same entry. What an
entry costs is bounded, however many sessions there are. A kept answer is told only to
the write that it answers.

It must not know what a write does, Raft, or LMDB: it sees a `Table`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from struct import Struct
from typing import Final

import msgspec

from kvstore import api
from kvstore.kv.clock import LogClock
from kvstore.kv.effect import Effect
from kvstore.kv.view import Table

EXPIRED_AT_ONCE: Final = 16
"""Expired sessions removed by one entry, at most; the others count as ended anyhow."""

_DIGEST_BYTES: Final = 16
"""Enough that no two writes ever share a digest by chance."""

_KEY: Final = Struct(">Q")
_encode_write = msgspec.msgpack.Encoder().encode
_encode_result = msgspec.msgpack.Encoder().encode
_decode_result = msgspec.msgpack.Decoder(api.Result).decode


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """A session: its last use, by index and by time, and the last request with its answer.

    Of the write itself a digest is kept: it tells a write that arrives again from another
    one under the same number.
    """

    used_index: int
    used_ms: int
    sequence: int
    digest: bytes
    result: bytes


_encode_record = msgspec.msgpack.Encoder().encode
_decode_record = msgspec.msgpack.Decoder(_Record).decode


class Sessions:
    """All sessions of a cluster; a session's number is the index of the entry that opened it.

    * `_records` mirrors the table, the session that was not used for longest first.
    """

    def __init__(self, table: Table, rules: api.SessionRules, clock: LogClock) -> None:
        self._table = table
        self._rules = rules
        self._clock = clock
        found = [(_KEY.unpack(key)[0], _decode_record(record)) for key, record in table.scan(b"")]
        self._records: dict[int, _Record] = dict(sorted(found, key=lambda one: one[1].used_index))

    def open(self, index: int) -> api.Result:
        """Begin a session, if need be in the place of the one that was not used for longest."""
        self._end_expired()
        while len(self._records) >= self._rules.sessions_max:
            self._end(next(iter(self._records)))
        self._keep(index, _Record(index, self._clock.time_ms, 0, b"", b""))
        return api.SessionResult(index)

    def once(self, index: int, once: api.Once, carry_out: Callable[[api.Write], Effect]) -> Effect:
        """The answer to a request; `carry_out` is called if it comes for the first time."""
        self._end_expired()
        record = self._records.get(once.session)
        if record is None or self._is_expired(record):
            return Effect(_no_session(once))
        if once.sequence < max(1, record.sequence):
            return Effect(_overtaken(once, record))
        digest = _digest(once.write)
        if once.sequence > record.sequence:
            effect = carry_out(once.write)
            kept = self._kept(effect.result)
        elif digest == record.digest:
            effect = Effect(_decode_result(record.result))
            kept = record.result
        else:
            return Effect(_given_to_another(once))
        used_ms = self._clock.time_ms
        self._keep(once.session, _Record(index, used_ms, once.sequence, digest, kept))
        return effect

    def _end_expired(self) -> None:
        for _ in range(EXPIRED_AT_ONCE):
            session, record = next(iter(self._records.items()), (0, None))
            if record is None or not self._is_expired(record):
                return
            self._end(session)

    def _is_expired(self, record: _Record) -> bool:
        return self._clock.time_ms - record.used_ms > self._rules.ttl_ms

    def _kept(self, result: api.Result) -> bytes:
        encoded = _encode_result(result)
        if len(encoded) > self._rules.result_bytes_max:
            return _encode_result(_without_records(result))
        return encoded

    def _keep(self, session: int, record: _Record) -> None:
        self._records.pop(session, None)
        self._records[session] = record
        self._table.put(_KEY.pack(session), _encode_record(record))

    def _end(self, session: int) -> None:
        del self._records[session]
        self._table.delete(_KEY.pack(session))


def _without_records(result: api.Result) -> api.Result:
    """What is kept of an answer that is too long, which only records make it."""
    match result:
        case api.PutResult(revision=revision, written=succeeded):
            return api.Repeated(revision, succeeded)
        case api.TxnResult(revision=revision, succeeded=succeeded):
            return api.Repeated(revision, succeeded)
        case api.DeleteResult(revision=revision):
            return api.Repeated(revision, True)
        case _:
            return result


def _digest(write: api.Write) -> bytes:
    return hashlib.blake2b(_encode_write(write), digest_size=_DIGEST_BYTES).digest()


def _no_session(once: api.Once) -> api.Failure:
    return api.Failure(
        api.FailureCode.NO_SESSION,
        f"session {once.session} is unknown or expired: this request was not carried out; open "
        "a new session, but read the data first if an earlier copy of the request was sent",
    )


def _overtaken(once: api.Once, record: _Record) -> api.Failure:
    """An earlier copy may have been carried out, before the later request."""
    return api.Failure(
        api.FailureCode.TAKEN,
        f"request {once.sequence} of session {once.session} comes after its request "
        f"{record.sequence}, so this copy was not carried out; read the data first if an earlier "
        "one was sent, and number requests upwards",
    )


def _given_to_another(once: api.Once) -> api.Failure:
    """Of all that came under the number, one was carried out, and it was another write."""
    return api.Failure(
        api.FailureCode.TAKEN,
        f"request {once.sequence} of session {once.session} was another write: this one was not "
        "carried out under that number, and never will be; give every writer its own session",
        is_final=True,
    )
