"""A cursor of SCAN leads to where the page ended that told it, in every iteration.

Law: what a node told is known to it for as long as it runs, however many others it told
since, within its bounds; an iteration goes on exactly where its last page ended, and ends
where there is nothing more. With `pages`, which says what each page holds, every key that
is there all the time is shown, as Redis promises.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kvstore import api
from kvstore.sim.words import said
from kvstore.wire.scan import ScanArguments


class Page(msgspec.Struct, frozen=True):
    """A page that a client was shown; without a `result`, its cursor was unknown.

    * `node`, `life`: who showed it, and in which of its lives.
    * `request`: how the node read the cursor.
    * `cursor`, `keys`: what the reply told.
    """

    node: int
    life: int
    asked: ScanArguments
    request: api.Scan | None = None
    result: api.ScanResult | None = None
    cursor: int = 0
    keys: tuple[bytes, ...] = ()


def check_cursors(pages: Iterable[Page]) -> list[str]:
    """What is wrong with the pages of all clients, each client's in its order."""
    findings = []
    ends: dict[tuple[int, int, int], bytes] = {}
    for page in pages:
        name = page.node, page.life, page.asked.cursor
        start = ends.get(name) if page.asked.cursor else b""
        if page.result is None or page.request is None:
            if start is not None:
                findings.append(f"node {page.node} has forgotten a cursor: {said(page)}")
            continue
        if (page.request.start or b"") != start:
            findings.append(f"the last page ended before {start!r}: {said(page)}")
        if bool(page.cursor) != (page.result.next_start is not None):
            findings.append(f"its cursor says something else of what follows: {said(page)}")
        if page.keys != tuple(item.key for item in page.result.items):
            findings.append(f"other keys are told: {said(page)}")
        if page.result.next_start is not None:
            ends[page.node, page.life, page.cursor] = page.result.next_start
    return findings
