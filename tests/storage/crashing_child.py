"""Run as a program: writes updates to a log until it is killed, naming each that returned.

Update n: three entries off the end, five of term n on, and hard state n. Or, where the front is
dropped: five of term n on, and of those before, all but the last seven go.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState, LogStart
from kvstore.storage.lmdb_log import LmdbLog

REMOVED, ADDED = 3, 5
KEPT = 7


def update(number: int, last_index: int) -> DurableUpdate:
    start = last_index - REMOVED + 1
    return DurableUpdate(
        HardState(number, number),
        start,
        [
            Entry(index, number, EntryKind.COMMAND, b"%d" % index * 100)
            for index in range(start, start + ADDED)
        ],
    )


def start_after(number: int) -> LogStart:
    """Where the log begins once that update is done, of those that drop its front."""
    index = max(0, (number - 1) * ADDED - KEPT)
    return LogStart(index, -(-index // ADDED))


def dropping_update(number: int, last_index: int) -> DurableUpdate:
    indexes = range(last_index + 1, last_index + ADDED + 1)
    entries = [Entry(i, number, EntryKind.COMMAND, b"%d" % i * 100) for i in indexes]
    start = start_after(number)
    return DurableUpdate(
        HardState(number, number), None, entries, start=start if start.index else None
    )


def main(environment: str, map_bytes: str, what: str) -> None:
    next_update = {"truncates": update, "drops": dropping_update}[what]
    log = LmdbLog(Path(environment), int(map_bytes))
    number = log.recover().hard_state.current_term
    while True:
        number += 1
        log.write(next_update(number, log.last_index))
        print(number, flush=True)  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main(*sys.argv[1:])
