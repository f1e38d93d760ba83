"""One node's data directory: made once, held by one process, opened only by its owner.

    <data>/lock        locked while a server runs; holds its process id
    <data>/raft/       identity, hard state, log, starts
    <data>/raft/peers  what is known of the peers' directories
    <data>/state/      applied key space
    <data>/raft.new/   only while the directory is being made
    <data>/state.new/  only while a snapshot is installed: what takes the place of state/
    <data>/state.old/  for a moment: what it took the place of, or was given up
    <data>/state.differs/  the last one that a snapshot replaced since it differed from others'
    <data>/state.defragmented/, raft.defragmented/   only while `kvstore defrag` copies
    <data>/state.damaged/, raft/damaged.mdb   what was damaged, after it was mended
    <data>/raft.before/   the log of the cluster that this one was made of (`recovered_log.py`)
    <data>/raft.saved/, state.saved/   what is read of damaged stores, only while they are mended

Law: a directory that is not exactly what was asked for is refused untouched,
and one without its log is damaged, never new: a node that forgot its vote must
not start over under its old name. Of a log, what can be read is kept, and what
cannot is named; the state is only a view of it, and is built anew, if anything tells it anew.

The directory exists from the moment `raft.new` is renamed to `raft`. What an
interrupted creation left was never spoken of to anyone, and is made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from kvstore import cluster_names
from kvstore.errors import (
    DamagedError,
    DamagedStateError,
    DirectoryRefusedError,
    DiskWriteError,
)
from kvstore.raft.configuration import NOT_ADMITTED, Configuration
from kvstore.raft.configurations import latest_of
from kvstore.raft.types import HardState, LogStart, Recovered
from kvstore.storage import filesystem, recovered_log
from kvstore.storage.base import Identity
from kvstore.storage.failures import unavailable
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_salvage import DAMAGED_FILE, salvage
from kvstore.storage.lmdb_state import SPOOL, LmdbState
from kvstore.storage.lmdb_successor import PREDECESSOR, SUCCESSOR, put_in_place
from kvstore.storage.peers_file import PeersFile
from kvstore.storage.progress import OnProgress, nobody
from kvstore.storage.rebuilding import START_AGAIN, nothing_tells, source_of_data
from kvstore.storage.records import FORMAT_VERSION

LOCK: Final = "lock"
RAFT: Final = "raft"
PEERS: Final = "peers"
STATE: Final = "state"
STATE_ASIDE: Final = "state.damaged"
UNFINISHED: Final = "raft.new"
COPY: Final = ".defragmented"
"""Behind the name of a copy that `kvstore defrag` is making."""


class DataDirectory(msgspec.Struct, frozen=True):
    """The open stores of one directory, and the lock on it.

    * The state is not ahead of the log, and both carry the same identity.
    * `notes`: what was damaged and had to be mended, for the operator.
    * `exposure`: how others than its owner may get at it, and what to do; None if they may not.
    """

    log: LmdbLog
    state: LmdbState
    lineage: PeersFile
    lock_fd: int
    notes: tuple[str, ...]
    exposure: str | None

    def close(self) -> None:
        """Close its stores and let the directory go. What was not committed is forgotten."""
        self.lineage.close()
        self.state.close()
        self.log.close()
        os.close(self.lock_fd)


def open_directory(
    data_dir: Path,
    *,
    node_id: int,
    cluster_id: str,
    founders: Configuration,
    incarnation: str,
    start: bytes,
    joins: bool,
    log_map_bytes: int,
    state_map_bytes: int,
    on_progress: OnProgress = nobody,
) -> DataDirectory:
    """Open the directory of one node, making it on first use.

    * `cluster_id`: one that was restored of it, or recovered, is good as well.
    * `founders`: of a cluster that is made now; one that exists is known by its log.
    * `incarnation` names a directory that is made now; one that exists keeps its own.
    * `start`: 8 random bytes, by which peers know this directory again.
    * `joins`: one that is made now must be admitted before it votes.
    * `on_progress` hears how far the checks have come.

    Raises `DirectoryRefusedError` (not ours, or in use), `StorageUnavailableError`,
    `DamagedError`, `DiskWriteError`.
    """
    asked = Identity(FORMAT_VERSION, cluster_id, node_id, incarnation, is_founder=not joins)
    filesystem.make_directory(data_dir)
    filesystem.refuse_network_filesystem(data_dir)
    lock_fd = _lock(data_dir)
    try:
        _settle_names(data_dir)
        if _is_new(data_dir, founders):
            configuration = Configuration() if joins else founders
            make_state = partial(LmdbState.create, map_bytes=state_map_bytes, identity=asked)
            create(data_dir, asked, configuration, make_state, log_map_bytes)
        directory = _open_stores(
            *(data_dir, asked, founders, lock_fd),
            *(log_map_bytes, state_map_bytes, on_progress),
        )
    except BaseException:
        os.close(lock_fd)
        raise
    try:
        directory.log.add_start(start)
        directory.lineage.starts = directory.log.starts
    except BaseException:
        directory.close()
        raise
    return directory


@contextlib.contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Nobody else opens `data_dir` within this context. Raises `DirectoryRefusedError`."""
    lock_fd = _lock(data_dir)
    try:
        _settle_names(data_dir)
        yield
    finally:
        os.close(lock_fd)


def _lock(data_dir: Path) -> int:
    """Hold `data_dir` until the returned descriptor is closed, or the process ends."""
    path = data_dir / LOCK
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unavailable(data_dir, error) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Always as long: a full disk must not keep a node from starting again.
        os.pwrite(fd, b"%-10d\n" % os.getpid(), 0)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        os.close(fd)
        who = f"process {holder}" if holder.isdigit() else "another process"
        raise DirectoryRefusedError(
            f"{data_dir}: in use by {who}; stop that server first,"
            " or give this one another directory with --data"
        ) from None
    except OSError as error:
        os.close(fd)
        raise unavailable(data_dir, error) from None
    return fd


def _settle_names(data_dir: Path) -> None:
    """What an earlier start made, moved or removed is so for good before this one relies on it.

    A killed process leaves names that it had not synced; to all others they look like any.
    """
    filesystem.sync_directory(data_dir)
    recovered_log.finish(data_dir, data_dir / RAFT)
    if (data_dir / RAFT).exists():
        filesystem.sync_directory(data_dir / RAFT)


def _is_new(data_dir: Path, founders: Configuration) -> bool:
    """Whether the directory has never been used. Removes what an interrupted creation left."""
    _remove_unfinished(data_dir)
    has_raft, has_state = ((data_dir / name).exists() for name in (RAFT, STATE))
    if has_state and not has_raft:
        raise DamagedError(
            f"{data_dir}: {RAFT}/ is missing while {STATE}/ is there: what this node voted for and"
            f" held cannot be told. Bring it back; else {_from_others(data_dir, founders)}"
        )
    return not has_raft


def _remove_unfinished(data_dir: Path) -> None:
    """Remove what an interrupted creation left: nobody was ever told of it."""
    raft, state, unfinished = (data_dir / name for name in (RAFT, STATE, UNFINISHED))
    try:
        if not raft.exists() and unfinished.exists():
            # `unfinished` goes last: while it stands, `state` is known to be of no use.
            if state.exists():
                shutil.rmtree(state)
                filesystem.sync_directory(data_dir)
            shutil.rmtree(unfinished)
    except OSError as error:
        raise unavailable(data_dir, error) from None


def _from_others(data_dir: Path, known: Configuration) -> str:
    """How a node whose log is lost gets what the other nodes hold of it, if there are any."""
    if len(known.members) == 1:
        return "no other node holds what was in it"
    there = "" if known.members else "if the cluster has other nodes, "
    return f"{there}move {data_dir} away and start with --join"


def refuse_existing(data_dir: Path) -> None:
    """Raises `DirectoryRefusedError` if a node had this directory. It must be held."""
    _remove_unfinished(data_dir)
    for name in (RAFT, STATE):
        if (data_dir / name).exists():
            raise DirectoryRefusedError(
                f"{data_dir}: a node has this directory already ({name}/ is there), and nothing in "
                "it was touched; name another one with --data, or move it away"
            )


def create(
    data_dir: Path,
    identity: Identity,
    configuration: Configuration,
    make_state: Callable[[Path], None],
    log_bytes: int,
    start: LogStart = LogStart(),  # noqa: B008 - frozen
) -> None:
    """Make what belongs into `data_dir`, which is held and has nothing yet; whole, or not at all.

    `configuration` and the state that `make_state` makes durably, under the path that it is
    given, are as of `start`. If it fails, nothing is left.
    """
    admitted_at = 0 if identity.is_founder else NOT_ADMITTED
    hard_state = HardState(start.term, admitted_at=admitted_at)
    unfinished = data_dir / UNFINISHED
    try:
        LmdbLog.create(unfinished, log_bytes, identity, hard_state, start, configuration)
        PeersFile.create(unfinished / PEERS, identity.incarnation)
        make_state(data_dir / STATE)
    except BaseException:
        _remove_unfinished(data_dir)
        raise
    try:
        os.rename(data_dir / UNFINISHED, data_dir / RAFT)
    except OSError as error:
        raise DiskWriteError(f"{data_dir}: {error.strerror}") from error
    filesystem.sync_directory(data_dir)


def _open_stores(
    data_dir: Path,
    asked: Identity,
    founders: Configuration,
    lock_fd: int,
    log_bytes: int,
    state_bytes: int,
    on_progress: OnProgress,
) -> DataDirectory:
    """All stores, mended where that had to be."""
    with contextlib.ExitStack() as opened:
        log, log_notes = _open_log(data_dir, founders, log_bytes, on_progress)
        opened.callback(log.close)
        _check_identity(data_dir, log.identity, asked)
        finish_change_over(data_dir, log, state_bytes)
        copy_notes = _remove_copies(data_dir)
        state, state_notes = _open_state(data_dir, log, state_bytes, on_progress)
        opened.callback(state.close)
        _check_pair(data_dir, log, state)
        lineage, peers_notes = _open_peers(data_dir, log)
        opened.callback(lineage.close)
        notes = (*log_notes, *state_notes, *peers_notes, *copy_notes)
        exposure = filesystem.exposure_of(data_dir)
        opened.pop_all()
    return DataDirectory(log, state, lineage, lock_fd, notes, exposure)


def _remove_copies(data_dir: Path) -> tuple[str, ...]:
    """What a `kvstore defrag` that was killed had made of its copies; what to say of it."""
    copies = [copy for name in (STATE, RAFT) if (copy := data_dir / (name + COPY)).exists()]
    try:
        for copy in copies:
            shutil.rmtree(copy)
    except OSError as error:
        raise DiskWriteError(f"{data_dir}: {error.strerror}") from error
    return tuple(f"{copy}: removed what an interrupted `kvstore defrag` left" for copy in copies)


def finish_change_over(data_dir: Path, log: LmdbLog, map_bytes: int) -> None:
    """Finish what an interrupted installation of a snapshot left, or throw it away.

    It is the state as of the log's start if it is whole; one that is not says that nothing was
    applied. What was here before is not further than the log tells.
    """
    state, successor, aside = (data_dir / name for name in (STATE, SUCCESSOR, PREDECESSOR))
    try:
        may_be_named = log.start.index > 0 and successor.exists()
        if may_be_named and _is_as_of_start(successor, log, map_bytes):
            put_in_place(successor, state, differs=_differs(state, map_bytes))
        for left in (successor, aside):
            if left.exists():
                shutil.rmtree(left)
        (data_dir / SPOOL).unlink(missing_ok=True)
    except OSError as error:
        raise DiskWriteError(f"{data_dir}: {error.strerror}") from error


def _is_as_of_start(successor: Path, log: LmdbLog, map_bytes: int) -> bool:
    try:
        state = LmdbState(successor, map_bytes)
    except DamagedStateError:
        return False
    with contextlib.closing(state):
        is_ours = state.identity == log.identity
        return is_ours and state.applied().last_applied == log.start.index


def _differs(state: Path, map_bytes: int) -> bool:
    if not state.exists():
        return False
    try:
        opened = LmdbState(state, map_bytes)
    except DamagedStateError:
        return False
    with contextlib.closing(opened):
        return opened.divergence is not None


def _open_log(
    data_dir: Path, founders: Configuration, map_bytes: int, on_progress: OnProgress
) -> tuple[LmdbLog, tuple[str, ...]]:
    """The log; if its file is damaged, what could be saved of it."""
    raft = data_dir / RAFT
    try:
        return LmdbLog(raft, map_bytes, on_progress), ()
    except DamagedError as error:
        damage = error
    try:
        salvage(raft, map_bytes, on_progress)
    except DamagedError as error:
        # Each begins with the path of what it looked at.
        first, second = (str(one).partition(": ")[2] for one in (damage, error))
        further = "" if first == second else f" ({error})"
        raise DamagedError(
            f"{damage}. What this node voted for and held cannot be told{further}:"
            f" {_from_others(data_dir, founders)}"
        ) from None
    note = f"{damage}: saved what is sound; the damaged file is {raft / DAMAGED_FILE}"
    return LmdbLog(raft, map_bytes, on_progress), (note,)


def _open_peers(data_dir: Path, log: LmdbLog) -> tuple[PeersFile, tuple[str, ...]]:
    """What is known of peers; a node without any has nothing to lose there."""
    path, incarnation = data_dir / RAFT / PEERS, log.identity.incarnation
    try:
        lineage = PeersFile(path, incarnation)
    except DamagedError as damage:
        known = latest_of(log.recover())
        if len(known.members) != 1:
            raise DamagedError(
                f"{damage}. By which directories this node knows its peers cannot be told:"
                f" {_from_others(data_dir, known)}"
            ) from None
        PeersFile.create(path, incarnation)
        note = f"{damage}: made anew, as this node has no peers"
        return PeersFile(path, incarnation), (note,)
    if lineage.mended is None:
        return lineage, ()
    return lineage, (f"{path}: {lineage.mended}: written anew from its other copy",)


def _open_state(
    data_dir: Path, log: LmdbLog, map_bytes: int, on_progress: OnProgress
) -> tuple[LmdbState, tuple[str, ...]]:
    """The applied data; if they are damaged or missing, none, but only where they come anew."""
    state, found = data_dir / STATE, log.recover()
    source = source_of_data(found, log.identity.node_id)
    notes: tuple[str, ...] = ()
    if state.exists():
        try:
            return LmdbState(state, map_bytes, on_progress), ()
        except DamagedStateError as damage:
            if source is None:
                raise _not_rebuilt(damage, data_dir, found) from None
            set_state_aside(data_dir)
            notes = (f"{damage}; the damaged files are in {data_dir / STATE_ASIDE}",)
    elif source is None:
        raise _not_rebuilt(f"{state}: it is missing", data_dir, found)
    LmdbState.create(state, map_bytes, log.identity)
    return LmdbState(state, map_bytes), (*notes, f"{state}: building the data anew from {source}")


def _not_rebuilt(
    damage: DamagedStateError | str, data_dir: Path, found: Recovered
) -> DamagedStateError:
    return DamagedStateError(f"{damage}. {nothing_tells(data_dir, found)}")


def give_up_state(data_dir: Path, log: LmdbLog, damage: DamagedStateError) -> DamagedStateError:
    """What a server that ends by damage in the applied data says.

    They are set aside for the next start, if they come anew then; else they stay.
    """
    found = log.recover()
    source = source_of_data(found, log.identity.node_id)
    if source is None:
        return _not_rebuilt(damage, data_dir, found)
    set_state_aside(data_dir)
    return DamagedStateError(f"{damage}; {START_AGAIN} {source}")


def set_state_aside(data_dir: Path) -> None:
    """Let the next start build the applied data anew; nothing is written to it any more."""
    aside = data_dir / STATE_ASIDE
    try:
        if aside.exists():
            shutil.rmtree(aside)
        os.rename(data_dir / STATE, aside)
    except OSError as error:
        raise DiskWriteError(f"{data_dir}: {error.strerror}") from error
    filesystem.sync_directory(data_dir)


def _check_identity(data_dir: Path, stored: Identity, asked: Identity) -> None:
    if cluster_names.is_meant(asked.cluster_id, stored.cluster_id):
        asked = msgspec.structs.replace(asked, cluster_id=stored.cluster_id)
    differences = [
        f"it belongs to {what} {was!r}, not {wanted!r}"
        for what, was, wanted in (
            ("cluster", stored.cluster_id, asked.cluster_id),
            ("node", stored.node_id, asked.node_id),
        )
        if was != wanted
    ]
    if differences:
        raise DirectoryRefusedError(
            f"{data_dir}: {'; '.join(differences)}. Start it with the settings it was made with,"
            " or give this node its own directory with --data"
        )


def _check_pair(data_dir: Path, log: LmdbLog, state: LmdbState) -> None:
    if state.identity != log.identity:
        raise DirectoryRefusedError(
            f"{data_dir}: raft/ and state/ were made for different nodes"
            " or at different times; put back the two that belong together"
        )
    last_applied, found = state.applied().last_applied, log.recover()
    if last_applied > log.last_index:
        raise DamagedError(
            f"{data_dir}: state/ has applied entry {last_applied},"
            f" but the log in raft/ ends at {log.last_index}: raft/ has lost entries, or is an"
            " older copy. Bring the right one back; else"
            f" {_from_others(data_dir, latest_of(found))}"
        )
    if last_applied < log.start.index and source_of_data(found, log.identity.node_id) is None:
        raise DamagedError(
            f"{data_dir}: state/ has applied entries only up to {last_applied},"
            f" but the log in raft/ begins after entry {log.start.index}, so nothing here tells"
            " what is between. Bring the right state/ back, or restore a backup into another"
            " directory (kvstore restore)"
        )
