"""What an answer tells of revisions.

Law: it says what the client was told, and nothing of whether that is true. A revision of 0 says
nothing: the protocol did not tell it.
"""

from __future__ import annotations

from typing import TypeAlias

from kvstore import api
from kvstore.sim.history import Operation

Told: TypeAlias = tuple[int, Operation]
"""A revision, and the operation that was told it."""


def revision_told(operation: Operation) -> int:
    """The revision that the client was told, 0 if none."""
    if isinstance(operation.request, api.Status):
        return 0  # It is the node's own, which may lag.
    revision: int = getattr(operation.result, "revision", 0)
    return revision


def has_changed(operation: Operation) -> bool:
    """Whether the answer says that data was changed, under the revision it tells."""
    match operation.result:
        case api.Repeated(succeeded=succeeded):
            # Of a transaction it does not say so.
            return succeeded and not isinstance(operation.request, api.Txn)
        case api.IncrementResult():
            return True
    return _is_change(operation.result)


def _is_change(result: api.Result | None) -> bool:
    match result:
        case api.DeleteResult(deleted=deleted):
            return deleted > 0
        case api.PutResult(written=is_written):
            return is_written
        case api.TxnResult(results=results):
            return any(map(_is_change, results))
    return False
