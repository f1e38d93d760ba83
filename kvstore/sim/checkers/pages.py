"""What clients were shown is what was there, at the revision that they were told.

Law: an answer to a read, a page, or a count holds exactly what the log had made by its
revision. A page is in its order and within its limit, leaves nothing out before the key at which
the next one begins, and goes on behind its own beginning: below it, if it is read in reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TypeAlias

import msgspec

from kvstore import api
from kvstore.sim.history import Operation
from kvstore.sim.words import describe, said

_Contents: TypeAlias = Mapping[bytes, api.KeyValue]


def check_pages(operations: Iterable[Operation], contents: Callable[[int], _Contents]) -> list[str]:
    """Answers that show something else than `contents` of their revision; none if all is well."""
    findings = []
    for operation in operations:
        complaint: str | None = None
        match operation.request, operation.result:
            case api.Get() as get, api.GetResult() as shown:
                there = contents(shown.revision)
                items = tuple(_shown(there.get(key), get.with_values) for key in get.keys)
                complaint = None if shown.items == items else f"there was {said(items)}"
            case api.Count(), api.CountResult() as counted:
                count = len(contents(counted.revision))
                complaint = None if counted.count == count else f"there were {count}"
            case api.Scan() as scan, api.ScanResult() as page:
                complaint = _wrong_page(scan, page, contents(page.revision))
        if complaint is not None:
            findings.append(f"{complaint}\n  {describe(operation)}")
    return findings


def _shown(record: api.KeyValue | None, with_values: bool) -> api.KeyValue | None:
    if record is None or with_values:
        return record
    return msgspec.structs.replace(record, value=b"")


def _wrong_page(scan: api.Scan, page: api.ScanResult, there: _Contents) -> str | None:
    start, end = scan.start, page.next_start
    if start is None and not scan.reverse:
        start = b""  # There is no last key, but a first one.
    if end is not None and start is not None and not _is_before(scan, start, end):
        return f"a page that begins at {start!r} leads back to {end!r}"
    if len(page.items) > scan.limit:
        return f"a page of {len(page.items)} keys, {scan.limit} were asked for"
    expected = tuple(
        _shown(there[key], scan.with_values)
        for key in sorted(there, reverse=scan.reverse)
        if key.startswith(scan.prefix)
        and (scan.pattern is None or _matches(key, scan.pattern))
        and (start is None or not _is_before(scan, key, start))
        and (end is None or _is_before(scan, key, end))
    )
    return None if page.items == expected else f"before {end!r} there was {said(expected)}"


def _matches(key: bytes, pattern: bytes) -> bool:
    """For patterns that mean the same to a shell as to Redis."""
    return fnmatchcase(key.decode("latin-1"), pattern.decode("latin-1"))


def _is_before(scan: api.Scan, one: bytes, other: bytes) -> bool:
    """In the order in which the scan goes."""
    return one > other if scan.reverse else one < other
