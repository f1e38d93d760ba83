"""What clients saw: calls with their times, requests and results.

Law: an operation says what its client knows and no better. A client that got no
answer, or *outcome unknown*, knows nothing: its request may have taken effect, may
take effect later, or never.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kvstore import api

_OF_KEYS: Final = (api.Put, api.PutMany, api.Delete, api.Increment, api.Get)
"""Those that have a share for each of their keys (`checkers/shares.py`)."""


class Operation(msgspec.Struct, frozen=True):
    """One call of one client. Times are in ms, of one clock for all clients.

    * `result` is None, or an UNKNOWN failure, where the outcome is unknown; `returned`
      then says only when the client gave up.
    * `is_stale`: it asked for what a node had applied, however old that was.
    * `place` is that of the request in the order of its `connection`; 0 if it had one for itself.
    """

    client: int
    invoked_ms: float
    returned_ms: float
    request: api.Request
    result: api.Result | None
    connection: int = 0
    place: int = 0
    is_stale: bool = False

    @property
    def is_unknown(self) -> bool:
        """Whether the request may have taken effect, or may still."""
        return self.result is None or (
            isinstance(self.result, api.Failure) and self.result.code is api.FailureCode.UNKNOWN
        )

    @property
    def is_refused(self) -> bool:
        """Whether the client was promised that nothing was, or will be, changed."""
        return isinstance(self.result, api.Failure) and not self.is_unknown

    @property
    def names_its_keys(self) -> bool:
        """Whether its request says which keys it reads or writes."""
        return isinstance(self.request, _OF_KEYS)
