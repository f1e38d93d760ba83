"""The methods of a blocking client that are about keys and their values.

Law: each is what it says of itself, and asks by `requests.py` (which tells where a new one goes).
It must not know how anything is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kvstore import api
from kvstore.client import requests
from kvstore.client.arguments import Pairs, Text, as_flag
from kvstore.client.asking import Asking


class KeyMethods(Asking):
    """What a client may do with keys."""

    # --- Commands -------------------------------------------------------------------------

    def put(
        self,
        key: Text,
        value: Text,
        *,
        if_absent: bool = False,
        if_present: bool = False,
        if_value: Text | None = None,
        guard: tuple[Text, int] | None = None,
    ) -> api.PutResult:
        """Write one key, under at most one condition; look at `written` in the result.

        If it is written, `revision` in the result is the key's `mod_revision`: the fencing
        token, if the key is a lock. An `if_value` of None is no condition: for a key that must
        not be there yet, say `if_absent`. A `guard` stands beside the condition, and raises if it
        does not hold.
        """
        request = requests.put(
            key, value, if_absent=if_absent, if_present=if_present, if_value=if_value, guard=guard
        )
        return self._ask(request, api.PutResult)

    def put_many(self, pairs: Pairs, *, guard: tuple[Text, int] | None = None) -> api.PutResult:
        """Write several keys in one step, from a mapping or pairs; the last of equal keys wins.

        At most 4,096 pairs, together as long as one value: import more than that in
        batches. `written` is false if there were none.
        """
        return self._ask(requests.put_many(pairs, guard), api.PutResult)

    def delete(self, *keys: Text, guard: tuple[Text, int] | None = None) -> api.DeleteResult:
        """Remove keys in one step, at most 4,096; `deleted` counts those that existed."""
        return self._ask(requests.delete(keys, guard), api.DeleteResult)

    def increment(self, key: Text, by: int = 1, *, guard: tuple[Text, int] | None = None) -> int:
        """Add to a signed 64-bit decimal integer (absent = 0) and return the sum."""
        return self._ask(requests.increment(key, by, guard), api.IncrementResult).value

    # --- Queries --------------------------------------------------------------------------

    def get(self, key: Text, *, stale: bool = False) -> api.KeyValue | None:
        """The record of a key, or None.

        `stale` reads what the first reachable node has applied, leader or not: it
        may be old, but it needs no majority.
        """
        return self.get_many([key], stale=stale)[0]

    def get_many(self, keys: Iterable[Text], *, stale: bool = False) -> list[api.KeyValue | None]:
        """The records of several keys at one revision, in the order asked.

        At most 4,096 keys, whose values have 16 MiB together.
        """
        return list(self._ask(requests.get_many(keys), api.GetResult, stale).items)

    def scan(
        self,
        prefix: Text = b"",
        *,
        start: Text | None = None,
        limit: int | None = None,
        reverse: bool = False,
        with_values: bool = True,
        stale: bool = False,
    ) -> Iterator[api.KeyValue]:
        """The records whose key begins with `prefix`, in byte order, from the key `start` on.

        With `reverse` the other way round, from `start` down; `limit` bounds their number.
        Fetched page by page: each page is of one revision, but a later page may see
        later writes. Without values, every value comes as b"".
        """
        scanning = requests.Scanning(
            prefix, start=start, limit=limit, reverse=reverse, with_values=with_values
        )
        return self._pages(scanning, as_flag(stale, "stale"))

    def _pages(self, scanning: requests.Scanning, stale: bool) -> Iterator[api.KeyValue]:
        while (request := scanning.next_request()) is not None:
            yield from scanning.take(self._ask(request, api.ScanResult, stale))

    def count(self, *, stale: bool = False) -> int:
        """The number of keys."""
        return self._ask(requests.count(), api.CountResult, stale).count
