"""Which revisions can be asked for, and what is told of the others.

Law: whatever is at or above the floor and not above the newest revision is there, whole.

It must not know what is asked.
"""

from __future__ import annotations

from kvstore import api


def refusal(revision: int, floor: int, newest: int) -> api.Failure | None:
    """Why what was at a revision cannot be told; None if it can. 0 stands for the newest one."""
    if revision > newest:
        return api.Failure(
            api.FailureCode.FUTURE,
            f"revision {revision} is not there yet: the newest one is {newest}",
        )
    if 0 < revision < floor:
        return api.Failure(
            api.FailureCode.COMPACTED,
            f"revision {revision} is not kept any more: ask for {floor} or a later one",
            compacted=floor,
        )
    return None
