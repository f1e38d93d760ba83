"""What an entry did: the answer for who asked, and the changes for who watches.

Law: the changes of an entry are those of one revision, all of them and nothing else.

It must not know who asked, nor who watches.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from kvstore import api

Change: TypeAlias = tuple[bytes, bytes | None, bytes | None]
"""A key, the record that it has now, and the one before: None where there is none.

Of a change of many keys, whose old records are long, only the first ones are told.
"""


_TOLD_BYTES_MAX: Final = 8 << 20
"""Of old records that a change of many keys tells; the one that reaches it is the last."""


class Told:
    """What a change of many keys tells of the records before it: no more than so much."""

    def __init__(self) -> None:
        self._room = _TOLD_BYTES_MAX

    def of(self, old: bytes | None) -> bytes | None:
        """The record, unless it is beyond that."""
        if old is None or self._room <= 0:
            return None
        self._room -= len(old)
        return old


class Effect(msgspec.Struct, frozen=True, gc=False):
    """`changes`: each changed key once, in their order under `revision`; that is 0 without any.

    What a session's request is answered the second time, it did the first time: no changes.
    """

    result: api.Result
    changes: tuple[Change, ...] = ()
    revision: int = 0
