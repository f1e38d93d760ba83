"""Opening an LMDB environment: what is checked before, and how it is opened.

Law: a file is mapped only when every page that the engine may follow is there,
and when its newest commit is beyond doubt the newest. Whatever else is found
ends in an error that names the file.

Three facts about LMDB make this file necessary. It maps what it is given and
follows what it finds: a damaged page or one beyond the end is a SIGBUS. Its two
meta pages carry no checksum: a damaged newest one silently reopens the commit
before. And the file may rightly be shorter than its last page number says, when
the last pages were freed in the transaction that had allocated them.

Against the second, each transaction writes its own number into a checksummed
record, and here both meta pages must point to the record that names them.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import lmdb

from kvstore.errors import (
    DamagedError,
    DiskWriteError,
    MapFullError,
    StorageError,
    StorageUnavailableError,
)
from kvstore.storage import failures, filesystem, records
from kvstore.storage.filesystem import sync_directory
from kvstore.storage.lmdb_pages import META_BYTES, NO_PAGE, Meta, PageReader, parse_meta
from kvstore.storage.lmdb_room import FreePages, is_scarce
from kvstore.storage.progress import OnProgress, nobody

DATA_FILE: Final = "data.mdb"
LOCK_FILE: Final = "lock.mdb"

_DATABASES_MAX: Final = 16
FILE_MODE: Final = 0o600
_LOCK_BYTES: Final = 8192
"""What the engine makes it for its 126 readers."""
_FULL_BYTES: Final = 64 << 10
"""With less than this free, a disk is called full."""

# --- Before the file is mapped ------------------------------------------------------------


def check_data_file(environment: Path, on_progress: OnProgress = nobody) -> Meta:
    """The newest meta page of `environment`, after every check that needs no mapping.

    Reads every page in use; nobody may be writing.
    """
    with open_data_file(environment) as fd:
        _, newest = read_metas(fd)
        name = f"pages of {environment.name}/"
        PageReader(fd, newest).check(lambda _, done, total: on_progress(name, done, total))
        return newest


@contextmanager
def open_data_file(environment: Path) -> Iterator[int]:
    """A descriptor of the data file; errors that the block raises will name the file."""
    path = environment / DATA_FILE
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise failures.read_failed(path, error) from None
    try:
        yield fd
    except DamagedError as error:
        raise DamagedError(f"{path}: {error}") from None
    except OSError as error:
        raise failures.read_failed(path, error) from None
    finally:
        os.close(fd)


def read_metas(fd: int) -> tuple[Meta, Meta]:
    """The meta pages of the last two commits, if which is the newest is beyond doubt."""
    first = parse_meta(0, os.pread(fd, META_BYTES, 0))
    second = parse_meta(1, os.pread(fd, META_BYTES, first.page_bytes))
    if second.page_bytes != first.page_bytes:
        raise DamagedError("the two meta pages disagree on the page size")
    older, newest = sorted((first, second), key=lambda meta: meta.transaction)
    if newest.transaction == 0:
        raise DamagedError("the environment was never written to")
    if newest.transaction != older.transaction + 1:
        raise DamagedError(
            "a meta page is damaged: the last two transactions"
            f" are {older.transaction} and {newest.transaction}"
        )
    if newest.last_page < older.last_page:
        raise DamagedError("a meta page is damaged: the last page number went back")
    for meta in (older, newest):
        _check_commit_record(fd, meta)
    return older, newest


def _check_commit_record(fd: int, meta: Meta) -> None:
    """`meta` must lead to the record that its own transaction wrote.

    The pages of the older commit are intact too: the engine reuses a page only
    two commits after the one that freed it.
    """
    if meta.transaction == 0 and meta.main.root == NO_PAGE:
        return
    record = PageReader(fd, meta).main_values().get(records.COMMIT)
    written_by = records.decode_commit(record)
    if written_by != meta.transaction:
        raise DamagedError(
            f"meta page {meta.number} claims transaction {meta.transaction},"
            f" but leads to the records of transaction {written_by}"
        )


# --- Opening ------------------------------------------------------------------------------


@contextmanager
def new_environment(
    environment: Path, map_bytes: int
) -> Iterator[tuple[lmdb.Environment, lmdb.Transaction[bytes]]]:
    """Make the directory `environment`, durable with what the block's transaction puts in.

    Raises `DiskWriteError`.
    """
    try:
        environment.mkdir(filesystem.PRIVATE)
        env = _open(environment, map_bytes, readahead=True)
        try:
            with env.begin(write=True) as txn:
                yield env, txn
                sign_commit(txn)
        finally:
            env.close()
    except (lmdb.Error, OSError) as error:
        raise write_error(environment, error) from error
    sync_directory(environment)
    sync_directory(environment.parent)


def open_environment(
    environment: Path,
    map_bytes: int,
    on_progress: OnProgress = nobody,
    *,
    readahead: bool = True,
) -> lmdb.Environment:
    """Check and open for writing; the caller holds the directory, so nobody else writes."""
    check_data_file(environment, on_progress)
    env = _open(environment, map_bytes, readahead=readahead)
    try:
        DataFile(env, environment).fill_up()
    except DiskWriteError:
        env.close()
        raise
    return env


def open_own(environment: Path, map_bytes: int) -> lmdb.Environment:
    """Open what this process has just made: what it wrote itself is not read again."""
    return _open(environment, map_bytes, readahead=False)


def _open(environment: Path, map_bytes: int, *, readahead: bool) -> lmdb.Environment:
    try:
        _allocate_lock(environment)
        env = lmdb.open(
            str(environment),
            map_size=map_bytes,
            max_dbs=_DATABASES_MAX,
            max_spare_txns=1,
            mode=FILE_MODE,
            readahead=readahead,
            sync=True,
            metasync=True,
            lib_version=0,
        )
        # Readers that died without leaving would keep old pages from being reused.
        env.reader_check()
    except lmdb.MemoryError:
        raise _no_address_space(environment, map_bytes) from None
    except lmdb.Error as error:
        raise read_error(environment, error) from None
    except OSError as error:
        raise failures.unavailable(environment, error) from None
    return env


def is_read(env: lmdb.Environment) -> bool:
    """Whether a transaction is open that reads, of any process."""
    table = env.readers().splitlines()[1:]  # pid, thread, transaction of each; "-" for none
    return any(line.split()[-1] != "-" for line in table if line.strip())


def _allocate_lock(environment: Path) -> None:
    """The engine maps its lock file and writes there: on a full disk, a hole would be a SIGBUS."""
    fd = os.open(environment / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        os.posix_fallocate(fd, 0, max(_LOCK_BYTES, os.fstat(fd).st_size))
    finally:
        os.close(fd)


def is_allocated(path: Path) -> bool:
    """Whether no part of a file is a hole, and there is something."""
    found = os.stat(path)
    return 0 < found.st_size <= found.st_blocks * 512


def _no_address_space(environment: Path, map_bytes: int) -> StorageUnavailableError:
    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit_bytes != resource.RLIM_INFINITY:
        given = f"{_size(limit_bytes)} are allowed to this process in all (`ulimit -v`)"
        remedy = "raise that limit, or start with a smaller"
    else:
        given, remedy = "the system gives no more", "start with a smaller"
    return StorageUnavailableError(
        f"{environment}: a map of {_size(map_bytes)} does not fit into the address space: {given}; "
        f"{remedy} {_setting_of(environment)}. It takes no memory, and the files are sound"
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes >> 30} GiB" if size_bytes >= 10 << 30 else f"{size_bytes >> 20} MiB"


def _setting_of(environment: Path) -> str:
    is_log = environment.name.startswith("raft")
    return "--log-map-bytes" if is_log else "--state-map-bytes"


# --- What the engine says -----------------------------------------------------------------

_SAYS_DAMAGE: Final = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.NotFoundError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
)
"""The engine found something else in a file than what it, and this store, had written."""


def read_error(
    environment: Path,
    error: lmdb.Error | DamagedError,
    damage: type[DamagedError] = DamagedError,
    advice: str = "",
) -> StorageError:
    """Why `environment` cannot be read: `damage`, with `advice`, only where that is what it is."""
    if isinstance(error, (DamagedError, *_SAYS_DAMAGE)):
        return damage(f"{environment}: {error}{advice}")
    code = error.code if error.code > 0 else 0
    if code in failures.UNREADABLE:
        return damage(f"{environment}: the disk does not give it back: {error}{advice}")
    return failures.refused_by_system(environment, code, "" if code else str(error))


# --- Writing ------------------------------------------------------------------------------


def sign_commit(txn: lmdb.Transaction, main: lmdb._Database | None = None) -> None:
    """Let the write transaction `txn` name itself, as the check before opening expects.

    `main` is the unnamed database, where it is not the default of `txn`.
    """
    txn.put(records.COMMIT, records.encode_commit(txn.id()), db=main)


class DataFile:
    """Keeps a data file as long as its newest commit counts, and says how much room is left.

    * Then a short file is a truncated one, save for a crash at the wrong moment.
    * `reserve_bytes` beyond that are allocated ahead, where the disk has them: what this
      file needs to go on with when others have filled the disk. They count as room.
    """

    def __init__(self, env: lmdb.Environment, environment: Path, reserve_bytes: int = 0) -> None:
        self._env = env
        self._path = environment / DATA_FILE
        self._page_bytes = env.stat()["psize"]
        self._reserve_bytes = reserve_bytes
        self._bytes = 0
        """How far the file is known to be allocated, or in use."""
        self._filled_bytes = 0
        """How far it is known to have no holes: the engine never writes pages that it frees at
        once, and may later, when others have filled the disk."""
        self._free = FreePages(env, self._path)
        self._copies = filesystem.copies_on_write(self._path)

    def fill_up(self) -> None:
        """To be called after each commit. Raises `DiskWriteError`."""
        needed = self.used_bytes()
        if needed + self._reserve_bytes * 3 // 4 <= self._filled_bytes:
            return
        try:
            if os.stat(self._path).st_size < needed:
                os.truncate(self._path, needed)
        except OSError as error:
            raise DiskWriteError(f"{self._path}: {error.strerror}") from error
        self._bytes = max(self._bytes, needed)
        self._allocate(min(needed + self._reserve_bytes, self._env.info()["map_size"]))

    def growth_bytes(self, beside_bytes: int = 0) -> int:
        """The disk's free room with what is allocated, or that of the map, if it is less.

        `beside_bytes`: what others are going to take of the disk. Free pages within the file do
        not count: whether there are so many in a row, only the engine knows.
        """
        return min(self._disk_left_bytes() - beside_bytes, self.map_left_bytes())

    def room_bytes(self, beside_bytes: int = 0) -> int:
        """The same, with free pages: for what takes one page after the other."""
        disk_bytes, map_bytes = self._disk_left_bytes() - beside_bytes, self.map_left_bytes()
        if not is_scarce(min(disk_bytes, map_bytes)):
            return min(disk_bytes, map_bytes)
        free_bytes = self._free.reusable_bytes()
        if not self._copies and is_allocated(self._path):
            disk_bytes += free_bytes
        return min(disk_bytes, map_bytes + free_bytes)

    def _disk_left_bytes(self) -> int:
        return self.free_bytes() + max(0, self._bytes - self.used_bytes())

    def free_bytes(self) -> int:
        """The disk's free room."""
        try:
            return filesystem.free_bytes(self._path)
        except OSError as error:
            raise DiskWriteError(f"{self._path}: {error.strerror}") from error

    def map_left_bytes(self) -> int:
        """What the map has left beyond the last page in use."""
        map_bytes: int = self._env.info()["map_size"]
        return map_bytes - self.used_bytes()

    def used_bytes(self) -> int:
        """How far the newest commit reaches."""
        pages: int = self._env.info()["last_pgno"] + 1
        return pages * self._page_bytes

    def _allocate(self, wanted: int) -> None:
        """As much as there is; whoever asks for room learns how much that was."""
        with suppress(OSError):
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._allocate_in(fd, min(wanted, os.fstat(fd).st_size))
                self._allocate_in(fd, wanted)
            finally:
                os.close(fd)

    def _allocate_in(self, fd: int, wanted: int) -> None:
        """No file is taken for allocated because it is long."""
        if wanted > self._filled_bytes:
            os.posix_fallocate(fd, self._filled_bytes, wanted - self._filled_bytes)
            self._filled_bytes = wanted
            self._bytes = max(self._bytes, wanted)


def write_error(environment: Path, error: Exception) -> DiskWriteError:
    """What a failed write of `environment` is told as."""
    if isinstance(error, lmdb.MapFullError):
        setting = _setting_of(environment)
        return MapFullError(f"{environment}: the map is full; start again with a larger {setting}")
    if _is_full(environment):  # the engine calls a write that was cut short an I/O error
        return DiskWriteError(f"{environment}: the disk is full; make room, then start again")
    return DiskWriteError(f"{environment}: write failed: {error}; what is on the disk is unknown")


def _is_full(environment: Path) -> bool:
    try:
        return filesystem.free_bytes(environment) < _FULL_BYTES
    except OSError:
        return False
