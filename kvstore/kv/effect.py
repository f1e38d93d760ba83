"""What an entry did: the answer for who asked, and the changes for who watches.

Law: the changes of an entry are those of one revision, all of them and nothing else.

It must not know who asked, nor who watches.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from kvstore import api

Change: TypeAlias = tuple[bytes, bytes | None, bytes | None]
"""A key, the record that it has now, and the one before: None where there is none.

Of a change of many keys, whose old records are long, only the first ones are told.
"""


class Effect(msgspec.Struct, frozen=True, gc=False):
    """`changes`: each changed key once, in their order under `revision`; that is 0 without any.

    What a session's request is answered the second time, it did the first time: no changes.
    """

    result: api.Result
    changes: tuple[Change, ...] = ()
    revision: int = 0
