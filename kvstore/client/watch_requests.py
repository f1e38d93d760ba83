"""What a watch asks for: its arguments, checked, and made into a request.

Law: as in `requests.py`: the faces of the client differ in how they wait, and in nothing else.
"""

from __future__ import annotations

import msgspec

from kvstore import api
from kvstore.api.intervals import FROM_KEY, with_prefix
from kvstore.client.arguments import Text, as_bytes, as_flag, as_integer, checked
from kvstore.errors import ConfigError


def revision_now() -> api.Get:
    """A read that asks for nothing: its answer has the newest revision that is acknowledged."""
    return api.Get(())


def watch(
    key: Text | None,
    *,
    end: Text | None,
    prefix: Text | None,
    start_revision: int,
    with_previous: bool,
    puts: bool,
    deletes: bool,
) -> api.CreateWatch:
    start, range_end = _range(key, end, prefix)
    if not (as_flag(puts, "puts") or as_flag(deletes, "deletes")):
        raise ConfigError("a watch of neither puts nor deletes is told nothing")
    request = api.CreateWatch(
        0,
        start,
        range_end,
        as_integer(start_revision, "a revision is"),
        with_previous=as_flag(with_previous, "with_previous"),
        puts=puts,
        deletes=as_flag(deletes, "deletes"),
        needs_leader=True,
    )
    return checked(request)


def starting_at(request: api.CreateWatch, revision: int) -> api.CreateWatch:
    """The same, from there on."""
    return msgspec.structs.replace(request, start_revision=revision)


def _range(key: Text | None, end: Text | None, prefix: Text | None) -> tuple[bytes, bytes | None]:
    if prefix is not None:
        if key is not None or end is not None:
            raise ConfigError("give either a prefix, or a key (and perhaps an end)")
        return with_prefix(as_bytes(prefix))
    if key is None:
        if end is not None:
            raise ConfigError("an end goes with the key at which the range begins")
        return b"", FROM_KEY
    return as_bytes(key), None if end is None else as_bytes(end)
