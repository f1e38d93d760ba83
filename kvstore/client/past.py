"""What a client asks for ranges of keys and for what keys were: arguments, made into requests.

Law: as `requests.py` is for all else. Nothing here waits, or knows who is asked.
"""

from __future__ import annotations

import sys
from typing import Final, Literal

import msgspec

from kvstore import api
from kvstore.api.intervals import with_prefix
from kvstore.client.arguments import Text, as_bytes, as_flag, as_integer, as_limit, as_text, checked
from kvstore.errors import CompactedError, ConfigError, ProtocolError

By = Literal["key", "version", "create", "mod", "value"]
"""What ranges are ordered by."""

_TARGETS: Final = {target.name.lower(): target for target in api.Target}
_PAGE: Final = 100


def range_(
    key: Text | None,
    *,
    prefix: Text | None,
    end: Text | None,
    revision: int,
    limit: int | None,
    by: By,
    reverse: bool,
    keys_only: bool,
    count_only: bool,
    modified: tuple[int, int],
    created: tuple[int, int],
) -> api.Range:
    """`modified`, `created`: between which revisions, 0 for any."""
    target = _TARGETS.get(as_text(by, "what a range is ordered by is"))
    if target is None:
        raise ConfigError(f"a range is ordered by one of {', '.join(_TARGETS)}")
    first, range_end = _interval(key, prefix, end)
    request = api.Range(
        first,
        range_end,
        as_integer(revision, "a revision is"),
        as_integer(as_limit(limit) or 0, "a limit is"),
        api.Order.DESCEND if as_flag(reverse, "reverse") else api.Order.NONE,
        target,
        as_flag(keys_only, "keys_only"),
        as_flag(count_only, "count_only"),
        *(as_integer(revision, "a revision is") for revision in (*modified, *created)),
    )
    return checked(request)


def _interval(
    key: Text | None, prefix: Text | None, end: Text | None
) -> tuple[bytes, bytes | None]:
    if prefix is None:
        if key is None and end is None:
            return b"", api.FROM_KEY
        first = b"" if key is None else as_bytes(key)
        return first, None if end is None else as_bytes(end)
    if key is not None or end is not None:
        raise ConfigError("give a prefix, or a key and perhaps an end")
    return with_prefix(as_bytes(prefix))


class Looking:
    """A look back at the versions of a key, page by page: ask, take, ask again."""

    def __init__(self, key: Text, *, before: int, limit: int | None) -> None:
        request = api.History(as_bytes(key), as_integer(before, "a revision is"), _PAGE)
        self._request = checked(request)
        self._left = as_limit(limit)
        self._page: api.HistoryResult | None = None

    def next_request(self) -> api.History | None:
        """What asks for the next page, None if the last one was taken. Raises ProtocolError."""
        if self._page is not None:
            if not self._page.more or self._left == 0:
                return None
            before = self._page.versions[-1].revision if self._page.versions else 0
            if not 0 < before < (self._request.before or sys.maxsize):
                raise ProtocolError(
                    "the node's history does not advance: are client and node alike?"
                )
            self._request = msgspec.structs.replace(self._request, before=before)
        limit = _PAGE if self._left is None else min(self._left, _PAGE)
        return msgspec.structs.replace(self._request, limit=limit)

    def take(self, page: api.HistoryResult) -> tuple[api.Version, ...]:
        """The versions of the page that was asked for."""
        self._page = page
        if self._left is not None:
            self._left -= len(page.versions)
        return page.versions

    def ends_with(self, error: CompactedError) -> bool:
        """Whether it is no error, as what is left of history ended while this looked on."""
        return self._page is not None and error.floor >= self._request.before
