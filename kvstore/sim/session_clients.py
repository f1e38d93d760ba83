"""Callers that have a session: they ask again under the same number, and count on one effect.

Law: all attempts of a write are one operation, from the first sending to the answer that
settles it. A client that gives up writes down that it knows nothing, if any attempt may
have arrived, and never uses the number again. But now and then somebody copies it, and
the copy writes something else under the same number, or the next one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

import msgspec

from kvstore import api
from kvstore.sim.calls import Call
from kvstore.sim.clients import KEYS, Client

_GIVES_UP: Final = 0.04
"""How likely each failure is the last one that a client bears."""
_OWN_COUNTER: Final = 0.4
_GUARDED: Final = 0.1
_COPIED: Final = 0.08
"""How likely a write is also the moment at which a copy of its client writes."""


@dataclass
class _Pending:
    """A write that is not settled; `is_in_doubt` once an attempt may have been carried out."""

    write: api.Write
    invoked_ms: float
    is_in_doubt: bool = False


class SessionClient(Client):
    """A sequential caller with a session, which it opens with its first write.

    * It has a counter that nobody else touches: an increment with two effects shows there.
    * What a copy of it writes is an operation like others: it took effect if the copy was
      told so, and an answer to one of the two is no answer to the other.
    """

    _session: int | None = None
    _sequence = 0
    _pending: _Pending | None = None
    _copies = 0
    """Writes of copies that have not ended."""
    _gives_up = _GIVES_UP

    @property
    def is_done(self) -> bool:
        """Whether it, and every copy of it, has nothing under way and nothing left to do."""
        return super().is_done and not self._copies

    @property
    def _has_more(self) -> bool:
        """Whether there is something to ask for, or something in doubt."""
        return super()._has_more or self._pending is not None

    def give_up(self) -> None:
        super().give_up()
        self._gives_up = 1.0

    def _next_request(self) -> api.Request:
        if self._pending is None:
            request = super()._next_request()
            if not isinstance(request, api.WRITES):
                return request
            self._pending = _Pending(request, self._schedule.now_ms)
            self._sequence += 1
            if self._session is not None and not self._script and self._rng.random() < _COPIED:
                self._copy(self._session)
        if self._session is None:
            return api.OpenSession()
        return api.Once(self._session, self._sequence, self._pending.write)

    def _copy(self, session: int) -> None:
        """Somebody goes on from here with the same session, and writes something else."""
        self._copies += 1
        sequence = self._sequence + self._rng.choice((0, 0, 1))
        put = api.Put(self._rng.choice(KEYS), b"%d.%d.copy" % (self.id, self._calls))
        once = api.Once(session, sequence, put)
        self._schedule.after(self._rng.uniform(0.0, self._timeout_ms), partial(self._write, once))

    def _write(self, once: api.Once) -> None:
        """The copy asks, once."""
        self._calls += 1
        self._send(once, self._copy_returned)

    def _copy_returned(self, call: Call, result: api.Result | None) -> None:
        self._hear(call, result)
        assert isinstance(call.request, api.Once)
        self._end_operation(call.request.write, call.invoked_ms, result)
        self._copies -= 1

    def _random_request(self) -> api.Request:
        dice = self._rng.random()
        if dice < _OWN_COUNTER:
            return api.Increment(b"counter.%d" % self.id, 1)
        request = super()._random_request()
        if dice < _OWN_COUNTER + _GUARDED and isinstance(request, api.WRITES) and self._last_seen:
            seen = self._rng.choice(sorted(self._last_seen.values(), key=lambda item: item.key))
            guard = api.Guard(seen.key, seen.mod_revision)
            return msgspec.structs.replace(request, guard=guard)
        return request

    def _take(self, call: Call, result: api.Result | None) -> None:
        match call.request, result:
            case api.OpenSession(), api.SessionResult(session=session):
                self._session, self._sequence = session, 1
            case api.Once(), _:
                self._take_answer(result)
            case _:
                super()._take(call, result)
                if self._gives_up == 1.0 and self._pending is not None:
                    self._settle(self._pending, None)

    def _take_answer(self, result: api.Result | None) -> None:
        """An attempt of the pending write has ended."""
        pending = self._pending
        assert pending is not None
        code = result.code if isinstance(result, api.Failure) else None
        if result is None or code is api.FailureCode.UNKNOWN:
            pending.is_in_doubt = True
        elif not isinstance(result, api.Failure) or result.is_final:
            self._settle(pending, result)
            return
        if code is api.FailureCode.INVALID:
            # Not every node knows it: nobody will take it before an upgrade has ended.
            self._settle(pending, None if pending.is_in_doubt else result)
            return
        is_lost = False
        if code in (api.FailureCode.NO_SESSION, api.FailureCode.TAKEN):
            self._session = None
            is_lost = pending.is_in_doubt
        if is_lost or (not self._script and self._rng.random() < self._gives_up):
            self._settle(pending, None if pending.is_in_doubt else result)

    def _settle(self, pending: _Pending, result: api.Result | None) -> None:
        self._pending = None
        self._end_operation(pending.write, pending.invoked_ms, result)
