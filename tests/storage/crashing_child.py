"""Run as a program: writes updates to a log until it is killed, naming each that returned.

Update n: three entries off the end, five of term n on, and hard state n.
"""

from __future__ import annotations

import sys
from pathlib import Path

from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState
from kvstore.storage.lmdb_log import LmdbLog

REMOVED, ADDED = 3, 5


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


def main(environment: str, map_bytes: str) -> None:
    log = LmdbLog(Path(environment), int(map_bytes))
    number = log.recover().hard_state.current_term
    while True:
        number += 1
        log.write(update(number, log.last_index))
        print(number, flush=True)  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main(*sys.argv[1:])
