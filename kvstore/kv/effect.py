"""What an entry did: the answer for who asked, and the changes for who watches.

Law: the changes of an entry are those of one revision, all of them and nothing else.

It must not know who asked, nor who watches.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from kvstore import api

Change: TypeAlias = tuple[bytes, bytes | None]
"""A key, and the record that it has now; None if it is gone."""


class Effect(msgspec.Struct, frozen=True, gc=False):
    """`changes`: each changed key once, under one revision.

    What a session's request is answered the second time, it did the first time: no changes.
    """

    result: api.Result
    changes: tuple[Change, ...] = ()
