"""What a directory is told as when the system refuses something: never as damaged."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore.errors import DamagedError, DiskWriteError, StorageUnavailableError
from kvstore.storage import failures
from kvstore.storage.filesystem import exposure_of
from kvstore.storage.inspect import inspect_directory, read_entries
from kvstore.storage.lmdb_files import is_allocated, read_metas
from kvstore.storage.lmdb_pages import PageReader

from .samples import commands, led, make_node, open_node

GIB = 1 << 30
DAMAGE = ("damage", "truncated", "crc32c", "--join")


@contextlib.contextmanager
def limited(what: int, most: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[None]:
    """So many may be opened, and none more."""
    free = os.dup(0)
    os.close(free)
    with limited(resource.RLIMIT_NOFILE, free + count):
        yield


def address_space_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def contents(directory: Path) -> dict[str, bytes]:
    """Names and bytes, but for the engine's own lock files."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() if path.is_file() else b""
        for path in sorted(directory.rglob("*"))
        if path.name not in ("lock", "lock.mdb")
    }


def test_whatever_has_no_descriptor_is_not_damaged_and_nothing_is_set_aside(tmp_path: Path) -> None:
    make_node(tmp_path, led(1, 6, 1, 1), applied=5)
    before = contents(tmp_path)
    refusals: list[str] = []
    while len(refusals) < 64:
        try:
            with descriptors(len(refusals)):
                directory = open_node(tmp_path)
        except (StorageUnavailableError, DiskWriteError) as error:
            refusals.append(str(error))
        else:
            directory.close()
            break
        assert contents(tmp_path) == before
    assert len(refusals) > 5
    for said in refusals:
        assert "Too many open files" in said
        assert not any(word in said for word in DAMAGE)


def test_who_inspects_without_descriptors_finds_no_damage(tmp_path: Path) -> None:
    make_node(tmp_path, led(1, 6, 1, 1), applied=5)
    refusals: list[str] = []
    while len(refusals) < 64:
        try:
            with descriptors(len(refusals)):
                report = inspect_directory(tmp_path)
                entries = [*read_entries(tmp_path)]
            break
        except StorageUnavailableError as error:
            refusals.append(str(error))
    assert report.findings == ()
    assert len(entries) == 5
    assert refusals
    assert all("`ulimit -n`" in said for said in refusals)


@pytest.mark.parametrize(
    ("maps", "setting"),
    [
        ({"log_map_bytes": 64 * GIB}, "--log-map-bytes"),
        ({"state_map_bytes": 64 * GIB}, "--state-map-bytes"),
    ],
)
@pytest.mark.parametrize("is_new", [True, False])
def test_a_map_that_does_not_fit_says_so_and_what_to_do(
    tmp_path: Path, maps: dict[str, int], setting: str, is_new: bool
) -> None:
    if not is_new:
        make_node(tmp_path, led(1, 6, 1, 1), applied=5)
        before = contents(tmp_path)
    with (
        limited(resource.RLIMIT_AS, address_space_bytes() + GIB),
        pytest.raises(StorageUnavailableError) as refused,
    ):
        open_node(tmp_path, **maps)
    said = str(refused.value)
    assert "a map of 64 GiB does not fit into the address space" in said
    assert f"raise that limit, or start with a smaller {setting}" in said
    assert "`ulimit -v`" in said
    assert not any(word in said for word in DAMAGE)
    if not is_new:
        assert contents(tmp_path) == before
    open_node(tmp_path).close()


def test_a_map_beyond_what_the_system_gives_says_so(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailableError, match=r"the system gives no more; start with a sm"):
        open_node(tmp_path, log_map_bytes=1 << 60)


@pytest.mark.parametrize("file", ["raft/data.mdb", "raft/peers", "state/data.mdb"])
@pytest.mark.skipif(os.geteuid() != 0, reason="gives up its rights, so it must have them")
def test_a_file_that_may_not_be_read_is_not_damaged(tmp_path: Path, file: str) -> None:
    data = Path("/tmp") / f"kvstore-rights-{os.getpid()}-{file.replace('/', '-')}"
    make_node(data, led(1, 6, 1, 1), applied=5)
    try:
        for path in (data, *data.rglob("*")):
            os.chown(path, 65534, 65534)
        os.chown(data / file, 0, 0)
        names = set(contents(data))
        os.seteuid(65534)
        try:
            with pytest.raises(StorageUnavailableError, match=r"Permission denied; let the user"):
                open_node(data)
        finally:
            os.seteuid(0)
        assert set(contents(data)) == names
        open_node(data).close()
    finally:
        for path in sorted(data.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        data.rmdir()


def test_a_disk_that_does_not_give_a_page_back_is_damage_of_that_page(tmp_path: Path) -> None:
    """No process has memory at its first pages, so reading there is an I/O error."""
    make_node(tmp_path, commands(1, 6, 1))
    with (tmp_path / "raft" / "data.mdb").open("rb") as file:
        _, newest = read_metas(file.fileno())
    with (
        Path("/proc/self/mem").open("rb") as unreadable,
        pytest.raises(DamagedError, match=r"page \d+ cannot be read: Input/output error"),
    ):
        PageReader(unreadable.fileno(), newest).main_values()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "let the user that runs this process read and write it"),
        (errno.EROFS, "mount its file system for writing"),
        (errno.EMFILE, "`ulimit -n`"),
        (errno.ENOSPC, "make room"),
        (errno.EDQUOT, "make room"),
        (errno.ENFILE, "fs.file-max"),
        (errno.EAGAIN, "another process holds it"),
        (errno.EPERM, "let the user that runs this process read and write it"),
        (errno.ENOMEM, "more memory"),
        (errno.ELOOP, "--data"),
    ],
)
def test_each_refusal_of_the_system_has_words_of_its_own(code: int, words: str) -> None:
    error = failures.read_failed(Path("data/n1"), OSError(code, os.strerror(code)))
    assert isinstance(error, StorageUnavailableError)
    assert str(error).startswith(f"data/n1 cannot be used: {os.strerror(code)}; ")
    assert words in str(error)


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EIO, errno.EUCLEAN, errno.EBADMSG])
def test_what_is_gone_or_unreadable_is_damaged(code: int) -> None:
    error = failures.read_failed(Path("data.mdb"), OSError(code, os.strerror(code)))
    assert isinstance(error, DamagedError)


def test_what_is_made_is_for_its_user_alone(tmp_path: Path) -> None:
    data = tmp_path / "some" / "where" / "n1"
    before = os.umask(0)
    try:
        open_node(data).close()
    finally:
        os.umask(before)
    for path in (data.parent.parent, data.parent, data, *data.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), f"{path} has mode {mode:o}"


@pytest.mark.parametrize(
    ("mode", "is_told"), [(0o700, False), (0o750, True), (0o705, True), (0o711, True)]
)
def test_a_directory_that_others_may_enter_is_told_with_what_to_do(
    tmp_path: Path, mode: int, is_told: bool
) -> None:
    data = tmp_path / "n1"
    data.mkdir()
    data.chmod(mode)
    with contextlib.closing(open_node(data)) as directory:
        assert bool(directory.exposure) is is_told
        if directory.exposure:
            assert f"(mode {mode:04o}): `chmod 700 {data}`" in directory.exposure


def test_what_whoever_runs_the_node_cannot_change_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The volume is another user's, or its file system has no modes."""
    data, mounts = tmp_path / "n1", tmp_path / "mountinfo"
    data.mkdir()
    data.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setattr(os, "geteuid", lambda: data.stat().st_uid + 1)
        assert exposure_of(data) is None
    assert exposure_of(data)
    mounts.write_text("22 1 0:1 / / rw - vfat /dev/sdb rw\n")
    monkeypatch.setattr("kvstore.storage.filesystem._MOUNTS", mounts)
    assert exposure_of(data) is None


def test_the_engine_s_lock_file_has_no_hole_that_a_full_disk_could_not_fill(tmp_path: Path) -> None:
    """The engine writes to it through a mapping: that would be a SIGBUS."""
    open_node(tmp_path).close()
    locks = [tmp_path / name / "lock.mdb" for name in ("raft", "state")]
    for lock in locks:
        size_bytes = lock.stat().st_size
        lock.unlink()
        with lock.open("wb") as sparse:
            sparse.truncate(size_bytes)
        assert not is_allocated(lock)
    assert inspect_directory(tmp_path).findings == ()
    assert not any(map(is_allocated, locks)), "who only looks writes nothing"
    open_node(tmp_path).close()
    assert all(map(is_allocated, locks))
