"""The directory of a node whose cluster is lost, opened to be made that of another cluster.

Law: what is applied before it is replaced is seen through a transaction which is never committed,
and what is damaged is mended as a start would mend it, but in copies beside it. Replaced it is
whole, or not at all (`recovered_log.py`).

It must not know what entries and records mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from kvstore.errors import DamagedError, DirectoryRefusedError
from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import HardState, LogStart
from kvstore.storage import lmdb_files, recovered_log
from kvstore.storage.base import Identity
from kvstore.storage.directory import PEERS, RAFT, STATE, finish_change_over, held
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_salvage import save
from kvstore.storage.lmdb_state import LmdbState
from kvstore.storage.lmdb_successor import SUCCESSOR, LmdbSuccessor
from kvstore.storage.peers_file import PeersFile
from kvstore.storage.survivor import Survivor

_RECORDS: Final = 4_096
"""So many are put into the new state at once."""


class SurvivingDirectory(Survivor):
    """A directory that is held and open.

    * `mended`: what was damaged, and what stands for it.
    """

    def __init__(
        self, data_dir: Path, log: LmdbLog, state: LmdbState, mended: tuple[str, ...]
    ) -> None:
        """Raises `DirectoryRefusedError`."""
        if state.identity != log.identity:
            raise DirectoryRefusedError(
                f"{data_dir}: raft/ and state/ were made for different nodes"
            )
        super().__init__(str(data_dir), log, state, log.recover())
        self.mended = mended
        self.is_replaced = False
        self._data_dir = data_dir

    def replace(
        self,
        identity: Identity,
        hard_state: HardState,
        configuration: Configuration,
        applied: Applied,
    ) -> None:
        """Make it the directory of another cluster."""
        data_dir = self._data_dir
        state_bytes = _map_bytes(_mended(data_dir, STATE))
        successor = LmdbSuccessor(data_dir / SUCCESSOR, state_bytes, identity)
        pairs = self.outliving_records()
        while some := list(islice(pairs, _RECORDS)):
            successor.put(some)
        successor.finish(applied)
        successor.env.close()
        new = data_dir / recovered_log.RECOVERING
        start = LogStart(self.last_index, self.last_term)
        log_bytes = _map_bytes(_mended(data_dir, RAFT))
        LmdbLog.create(new, log_bytes, identity, hard_state, start, configuration)
        PeersFile.create(new / PEERS, identity.incarnation)
        recovered_log.decide(data_dir)
        self.is_replaced = True


@contextmanager
def survivor(data_dir: Path) -> Iterator[SurvivingDirectory]:
    """Open what is left of a cluster. Raises `DirectoryRefusedError`, `DamagedError`.

    When the context ends, what was decided is finished; so is what an earlier one left to do.
    """
    if not recovered_log.in_force(data_dir, data_dir / RAFT).exists():
        raise DirectoryRefusedError(f"{data_dir}: no node has this directory: {RAFT}/ is missing")
    with held(data_dir):
        _change_over(data_dir)
        try:
            with ExitStack() as opened:
                survived = _survived(data_dir, opened)
                yield survived
        finally:
            recovered_log.remove_copies(data_dir)
        if survived.is_replaced:
            recovered_log.finish(data_dir, data_dir / RAFT)
            _change_over(data_dir)


def _survived(data_dir: Path, opened: ExitStack) -> SurvivingDirectory:
    try:
        log, log_notes = _open_log(data_dir)
        opened.callback(log.close)
        state, state_notes = _open_state(data_dir, log)
        opened.callback(state.close)
        return SurvivingDirectory(data_dir, log, state, (*log_notes, *state_notes))
    except DamagedError as error:
        raise DamagedError(
            f"{error}. Nothing here tells what was in it: recover another node's directory, or "
            "restore a backup"
        ) from error


def _open_log(data_dir: Path) -> tuple[LmdbLog, tuple[str, ...]]:
    """The log; if its file is damaged, what can be saved of it, in a copy."""
    raft, copy = data_dir / RAFT, data_dir / recovered_log.MENDED_LOG
    map_bytes = _map_bytes(raft)
    try:
        return LmdbLog(raft, map_bytes), ()
    except DamagedError as damage:
        save(raft, copy, map_bytes)
        return LmdbLog(copy, map_bytes), (f"{damage}: what is sound of it is kept",)


def _open_state(data_dir: Path, log: LmdbLog) -> tuple[LmdbState, tuple[str, ...]]:
    """The applied data; if they are damaged, none where the log tells all of them anew."""
    state, copy = data_dir / STATE, data_dir / recovered_log.MENDED_STATE
    try:
        return LmdbState(state, _map_bytes(state)), ()
    except DamagedError as damage:
        found = log.recover()
        if found.start.index or found.damaged:
            raise
        map_bytes = _map_bytes(_mended(data_dir, RAFT))
        LmdbState.create(copy, map_bytes, log.identity)
        return LmdbState(copy, map_bytes), (f"{damage}: the log tells the data anew",)


def _mended(data_dir: Path, name: str) -> Path:
    """Where the store is that is read: a copy, if it was damaged."""
    copies = {RAFT: recovered_log.MENDED_LOG, STATE: recovered_log.MENDED_STATE}
    copy = data_dir / copies[name]
    return copy if copy.exists() else data_dir / name


def _change_over(data_dir: Path) -> None:
    """Let the state that was made for the log take the place of the one before, if there is one."""
    if not (data_dir / SUCCESSOR).exists():
        return
    log = LmdbLog(data_dir / RAFT, _map_bytes(data_dir / RAFT))
    try:
        finish_change_over(data_dir, log, _map_bytes(data_dir / SUCCESSOR))
    finally:
        log.close()


def _map_bytes(environment: Path) -> int:
    """As large as whoever wrote it last had it."""
    with lmdb_files.open_data_file(environment) as fd:
        return lmdb_files.read_metas(fd)[1].map_bytes
