"""Callers that look at many keys at once, page by page.

Law: a page says where the next one begins; who goes on asks from there, and nowhere else.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvstore import api
from kvstore.sim.calls import Call
from kvstore.sim.clients import Client

_PREFIXES: Final = (b"", b"", b"", b"b", b"counter", b"counter.", b"gre", b"nothing")
_STARTS: Final = (None, b"", b"blue", b"c", b"counter.2", b"red\x00")
_LIMITS: Final = (1, 2, 3, 100)


class ScanClient(Client):
    """A sequential caller that mostly scans; `_next_page` is where its last page ended."""

    _next_page: api.Scan | None = None

    def _take(self, call: Call, result: api.Result | None) -> None:
        super()._take(call, result)
        if isinstance(result, api.ScanResult):
            assert isinstance(call.request, api.Scan)
            start = result.next_start
            self._next_page = (
                None if start is None else msgspec.structs.replace(call.request, start=start)
            )

    def _random_request(self) -> api.Request:
        rng, dice = self._rng, self._rng.random()
        if dice < 0.7:
            if self._next_page is not None and rng.random() < 0.8:
                return self._next_page
            return api.Scan(
                rng.choice(_STARTS),
                rng.choice(_PREFIXES),
                rng.choice(_LIMITS),
                with_values=(manner := rng.random()) < 0.7,
                reverse=0.4 < manner < 0.85,
            )
        return super()._random_request()
