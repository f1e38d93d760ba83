#!/usr/bin/env python3
"""Measure one turn of writes with log and key space in one LMDB environment, and in two.

Law: both layouts write the same records and fsync the log once a turn; they differ
only in whether the key space is part of that commit or is committed now and then.

The bytes written are the same in every run; the time depends on the disk and on what
else the machine does.

Run it from the checkout: `.venv/bin/python tools/measure_environments.py`.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import lmdb

from kvstore.kv.view import Applied
from kvstore.raft.types import DurableUpdate, Entry, EntryKind
from kvstore.storage import records
from kvstore.storage.base import Identity
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_state import LmdbState
from kvstore.storage.tables import KEYS

MAP_BYTES = 8 << 30
IDENTITY = Identity(records.FORMAT_VERSION, "measure", 1, "0" * 32)

Turn = Callable[[list[Entry], list[bytes]], None]


class OneEnvironment:
    """Log and key space in one transaction a turn."""

    def __init__(self, directory: Path, _turns_per_checkpoint: int) -> None:
        self._env = lmdb.open(str(directory / "one"), map_size=MAP_BYTES, max_dbs=2)
        self._log = self._env.open_db(records.LOG)
        self._keys = self._env.open_db(KEYS.database)

    def turn(self, entries: list[Entry], keys: list[bytes]) -> None:
        """Write the entries and what they do."""
        with self._env.begin(write=True) as txn:
            pairs = [records.encode_entry(entry) for entry in entries]
            txn.cursor(self._log).putmulti(pairs, append=True)
            for entry, key in zip(entries, keys, strict=True):
                stored = KEYS.prefix + key
                txn.put(stored, records.encode_value(stored, entry.data), db=self._keys)
            applied = records.encode_named(records.APPLIED, Applied(entries[-1].index, 0))
            txn.put(records.APPLIED, applied)

    def settle(self) -> None:
        """Everything is durable already."""


class TwoEnvironments:
    """As the server does it: the log durable each turn, the key space now and then."""

    def __init__(self, directory: Path, turns_per_checkpoint: int) -> None:
        LmdbLog.create(directory / "raft", MAP_BYTES, IDENTITY)
        LmdbState.create(directory / "state", MAP_BYTES, IDENTITY)
        self._log = LmdbLog(directory / "raft", MAP_BYTES)
        self._state = LmdbState(directory / "state", MAP_BYTES)
        self._turns_per_checkpoint = turns_per_checkpoint
        self._turns = 0
        self._applied = 0

    def turn(self, entries: list[Entry], keys: list[bytes]) -> None:
        """Write the entries, then what they do; a checkpoint if it is due."""
        self._log.write(DurableUpdate(entries=entries))
        for entry, key in zip(entries, keys, strict=True):
            self._state.put(key, entry.data)
        self._applied = entries[-1].index
        self._turns += 1
        if self._turns % self._turns_per_checkpoint == 0:
            self.settle()

    def settle(self) -> None:
        """A checkpoint."""
        self._state.commit(Applied(self._applied, 0))


class Cost(NamedTuple):
    """Of one turn on average, its share of the checkpoints included."""

    milliseconds: float
    kib_written: float


def measure(turn: Turn, settle: Callable[[], None], keys: int, puts: int, turns: int) -> Cost:
    """The cost of a turn once every key is there."""
    rng = random.Random(1)  # noqa: S311 - the same keys for both layouts
    index = 0

    def write(numbers: list[int]) -> None:
        nonlocal index
        data = os.urandom(256)
        entries = [
            Entry(index + 1 + i, 1, EntryKind.COMMAND, data[i % 128 :] + data[: i % 128])
            for i in range(len(numbers))
        ]
        index += len(entries)
        turn(entries, [b"key:%012d" % number for number in numbers])

    for first in range(0, keys, 10_000):
        write([*range(first, min(first + 10_000, keys))])
    settle()
    written, began = bytes_written(), time.perf_counter()
    for _ in range(turns):
        write([rng.randrange(keys) for _ in range(puts)])
    settle()
    elapsed_ms = (time.perf_counter() - began) * 1_000
    return Cost(elapsed_ms / turns, (bytes_written() - written) / 1024 / turns)


def bytes_written() -> int:
    """What this process has written so far, as system calls saw it.

    The kernel's count of bytes that go to the disk would be too high: it counts
    whole folios of the page cache.
    """
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["wchar"])


@click.command(help="The cost of one turn of random puts of 256 bytes, in both layouts.")
@click.option("--keys", default=10_000, show_default=True, help="Keys that exist.")
@click.option("--puts", default=256, show_default=True, help="Puts in one turn.")
@click.option("--turns", default=1_000, show_default=True, help="Turns to measure.")
@click.option(
    "--turns-per-checkpoint", "spacing", default=50, show_default=True, help="With two only."
)
@click.option("--dir", "parent", default=".", show_default=True, help="On the disk to measure.")
def main(keys: int, puts: int, turns: int, spacing: int, parent: str) -> None:
    """Print one line for each layout."""
    for layout in (OneEnvironment, TwoEnvironments):
        with tempfile.TemporaryDirectory(dir=parent) as directory:
            store = layout(Path(directory), spacing)
            cost = measure(store.turn, store.settle, keys, puts, turns)
        click.echo(
            f"{layout.__name__:<16} {keys:>8} keys, {puts} puts a turn: "
            f"{cost.milliseconds:6.2f} ms, {cost.kib_written:5.0f} KiB written"
        )


if __name__ == "__main__":
    main()
