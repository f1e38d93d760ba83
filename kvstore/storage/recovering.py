"""The directory of a node whose cluster is lost, opened to be made that of another cluster.

Law: until it is replaced nothing of it is changed, whatever is applied meanwhile: that is seen
through a transaction which is never committed. Replaced it is whole, or not at all
(`recovered_log.py`).

It must not know what entries and records mean.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import Final

from kvstore.errors import DirectoryRefusedError
from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import Entry, HardState, LogStart, Recovered
from kvstore.storage import lmdb_files, records, recovered_log
from kvstore.storage.base import Identity, StateStore
from kvstore.storage.directory import PEERS, RAFT, STATE, finish_change_over, held
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_state import SUCCESSOR, LmdbState
from kvstore.storage.lmdb_successor import LmdbSuccessor
from kvstore.storage.peers_file import PeersFile

_ENTRIES_BYTES: Final = 4 << 20
_RECORDS: Final = 4_096
"""So many are put into the new state at once."""

_first_index = attrgetter("first_index")


class Survivor:
    """A directory that is held and open.

    * `last_index`, `last_term`: of the last entry that can be read, with all before it.
    """

    def __init__(self, data_dir: Path, log: LmdbLog, state: LmdbState, found: Recovered) -> None:
        self.identity = log.identity
        self.state: StateStore = state
        self.found = found
        applied = state.applied().last_applied
        damaged = [index for index in found.damaged if index > applied]
        self.last_index = damaged[0] - 1 if damaged else found.last_index
        self.is_replaced = False
        self._data_dir = data_dir
        self._log = log

    @property
    def last_term(self) -> int:
        """That of the last entry that can be read."""
        ranges, start = self.found.term_ranges, self.found.start
        if self.last_index == start.index:
            return start.term
        return ranges[bisect_right(ranges, self.last_index, key=_first_index) - 1].term

    def entries_after(self, index: int) -> Iterator[Entry]:
        """All that can be read, from the one behind `index` on."""
        while index < self.last_index:
            entries = self._log.entries(index + 1, self.last_index + 1, _ENTRIES_BYTES)
            yield from entries
            index = entries[-1].index

    def replace(
        self,
        identity: Identity,
        hard_state: HardState,
        configuration: Configuration,
        applied: Applied,
    ) -> None:
        """Make it the directory of another cluster, with the keys as they are seen now.

        Its log begins after the last entry that can be read, which `applied` is as of. Sessions
        are over. It is good for nothing more then.
        """
        data_dir, map_bytes = self._data_dir, _map_bytes(self._data_dir / STATE)
        successor = LmdbSuccessor(data_dir / SUCCESSOR, map_bytes, identity)
        pairs = (
            (records.KEY_PREFIX + key, records.encode_value(records.KEY_PREFIX + key, record))
            for key, record in self.state.scan(b"")
        )
        while some := list(islice(pairs, _RECORDS)):
            successor.put(some)
        successor.finish(applied)
        successor.env.close()
        new = data_dir / recovered_log.RECOVERING
        start = LogStart(self.last_index, self.last_term)
        LmdbLog.create(new, _map_bytes(data_dir / RAFT), identity, hard_state, start, configuration)
        PeersFile.create(new / PEERS, identity.incarnation)
        recovered_log.decide(data_dir)
        self.is_replaced = True


@contextmanager
def survivor(data_dir: Path) -> Iterator[Survivor]:
    """Open what is left of a cluster. Raises `DirectoryRefusedError`, `DamagedError`.

    When the context ends, what was decided is finished; so is what an earlier one left to do.
    """
    if not (data_dir / RAFT).exists() and not (data_dir / recovered_log.RECOVERED).exists():
        raise DirectoryRefusedError(f"{data_dir}: no node has this directory: {RAFT}/ is missing")
    with held(data_dir):
        _change_over(data_dir)
        with ExitStack() as opened:
            log = LmdbLog(data_dir / RAFT, _map_bytes(data_dir / RAFT))
            opened.callback(log.close)
            state = LmdbState(data_dir / STATE, _map_bytes(data_dir / STATE))
            opened.callback(state.close)
            found = log.recover()
            _check(data_dir, log, state, found)
            survived = Survivor(data_dir, log, state, found)
            yield survived
        if survived.is_replaced:
            recovered_log.finish(data_dir, data_dir / RAFT)
            _change_over(data_dir)


def _change_over(data_dir: Path) -> None:
    """Let the state that was made for the log take the place of the one before, if there is one."""
    if not (data_dir / SUCCESSOR).exists():
        return
    log = LmdbLog(data_dir / RAFT, _map_bytes(data_dir / RAFT))
    try:
        finish_change_over(data_dir, log, _map_bytes(data_dir / SUCCESSOR))
    finally:
        log.close()


def _check(data_dir: Path, log: LmdbLog, state: LmdbState, found: Recovered) -> None:
    applied = state.applied().last_applied
    if state.identity != log.identity:
        raise DirectoryRefusedError(f"{data_dir}: raft/ and state/ were made for different nodes")
    if not found.start.index <= applied <= found.last_index or not found.last_index:
        raise DirectoryRefusedError(
            f"{data_dir}: it holds entries {found.start.index + 1} to {found.last_index}, and the "
            f"data as of entry {applied}: nothing can be made of that; recover another node's "
            "directory, or restore a backup"
        )


def _map_bytes(environment: Path) -> int:
    """As large as whoever wrote it last had it."""
    with lmdb_files.open_data_file(environment) as fd:
        return lmdb_files.read_metas(fd)[1].map_bytes
