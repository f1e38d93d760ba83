"""The methods of a blocking client that are about ranges of keys, and what keys were.

Law: each is what it says of itself, and asks by `past.py`. It must not know how anything is asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from kvstore import api
from kvstore.client import past
from kvstore.client.arguments import Text, as_flag
from kvstore.client.asking import Asking
from kvstore.errors import CompactedError


class PastMethods(Asking):
    """What a client may ask of the past, and of ranges at once."""

    def range(
        self,
        key: Text | None = None,
        *,
        prefix: Text | None = None,
        end: Text | None = None,
        revision: int = 0,
        limit: int | None = None,
        by: past.By = "key",
        reverse: bool = False,
        keys_only: bool = False,
        count_only: bool = False,
        min_mod_revision: int = 0,
        max_mod_revision: int = 0,
        min_create_revision: int = 0,
        max_create_revision: int = 0,
        stale: bool = False,
    ) -> api.RangeResult:
        r"""The records of a range at one revision: with how many there are, and whether more.

        A `key` alone is a range of one, with `end` it is all keys from there on and before the
        end (`b"\0"` is no end); a `prefix` is all that begin with it; neither, all keys. The
        order is that of the keys, or of what they are asked for `by`. `count` is how many keys
        the range has, whatever `limit` and the bounds of revisions (0: none) leave out.
        A range of some 10,000 keys is refused: `scan` comes page by page.
        """
        request = past.range_(
            key,
            prefix=prefix,
            end=end,
            revision=revision,
            limit=limit,
            by=by,
            reverse=reverse,
            keys_only=keys_only,
            count_only=count_only,
            modified=(min_mod_revision, max_mod_revision),
            created=(min_create_revision, max_create_revision),
        )
        return self._ask(request, api.RangeResult, as_flag(stale, "stale"))

    def history(
        self, key: Text, *, before: int = 0, limit: int | None = None, stale: bool = False
    ) -> Iterator[api.Version]:
        """What a key was, the last version first, as far back as history goes.

        Each has the revision that it came by; without an item where the key was deleted then.
        `before` leaves out what came by that revision and later ones.
        """
        looking = past.Looking(key, before=before, limit=limit)
        return self._versions(looking, as_flag(stale, "stale"))

    def _versions(self, looking: past.Looking, stale: bool) -> Iterator[api.Version]:
        while (request := looking.next_request()) is not None:
            try:
                page = self._ask(request, api.HistoryResult, stale)
            except CompactedError as error:
                if looking.ends_with(error):
                    return
                raise
            yield from looking.take(page)
