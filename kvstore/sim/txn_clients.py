"""Callers that transact: they compare what they saw, and change several keys at once.

Law: what they change is theirs, and nobody else's: the other clients' keys are judged without
knowing what transactions did, so those are compared and read alone.
"""

from __future__ import annotations

from typing import Final

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.sim.clients import KEYS
from kvstore.sim.session_clients import SessionClient

_OWN: Final = tuple(b"account.%d" % number for number in range(1, 5))
_BEHIND_OWN: Final = b"account/"
_ENDS: Final = (None, _OWN[2], _OWN[3], _BEHIND_OWN)
_LIMITS: Final = Limits()


class TxnClient(SessionClient):
    """A sequential caller with a session, most of whose writes are transactions."""

    def _random_request(self) -> api.Request:
        dice = self._rng.random()
        if dice < 0.6:
            return self._valid_txn()
        if dice < 0.7:
            return self._deletion()
        return super()._random_request()

    def _learn(self, request: api.Request, result: api.Result | None) -> None:
        super()._learn(request, result)
        if isinstance(result, api.TxnResult):
            for inner in result.results:
                self._learn(request, inner)

    def _valid_txn(self) -> api.Txn:
        """Until none would be refused: who asks here is not asked at the door."""
        while True:
            txn = self._txn(depth=0)
            if api.complaint_about(txn, _LIMITS) is None:
                return txn

    def _txn(self, depth: int) -> api.Txn:
        rng = self._rng
        compares = tuple(self._compare() for _ in range(rng.choice((0, 1, 1, 2))))
        then, otherwise = (
            tuple(self._operation(f"{depth}.{branch}.{n}", depth) for n in range(rng.randint(0, 3)))
            for branch in range(2)
        )
        return api.Txn(compares, then, otherwise)

    def _compare(self) -> api.Compare:
        """Mostly of what was seen, so that it often holds."""
        rng = self._rng
        key = rng.choice((*_OWN, *_OWN, *KEYS))
        seen = self._last_seen.get(key)
        target = rng.choice([*api.CompareTarget])
        relation = rng.choice([api.Relation.EQUAL, *api.Relation])
        range_end = rng.choice((None, None, None, _BEHIND_OWN, b"\0"))
        if target is api.CompareTarget.VALUE:
            value = b"" if seen is None else seen.value
            return api.Compare(key, target, relation, value=value[:100], range_end=range_end)
        numbers = (0, 0, 0) if seen is None else (seen.version, seen.create_revision)
        number = 0 if seen is None else seen.mod_revision
        if target is not api.CompareTarget.MOD:
            number = numbers[target is api.CompareTarget.CREATE]
        return api.Compare(key, target, relation, number, range_end=range_end)

    def _operation(self, name: str, depth: int) -> api.Operation:
        rng, dice = self._rng, self._rng.random()
        if dice < 0.45:
            value = f"{self.id}.{self._calls}.{name}".encode()
            return api.Put(rng.choice(_OWN), value, return_previous=rng.random() < 0.3)
        if dice < 0.6:
            return self._deletion()
        if dice < 0.85 or depth:
            return api.Get(tuple(rng.choices((*_OWN, *KEYS), k=rng.randint(1, 3))))
        return self._txn(depth + 1)

    def _deletion(self) -> api.DeleteRange:
        rng = self._rng
        return api.DeleteRange(
            rng.choice(_OWN), rng.choice(_ENDS), rng.choice((0, 0, 1, 2)), rng.random() < 0.3
        )
