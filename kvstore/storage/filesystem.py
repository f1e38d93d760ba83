"""What a directory must be able to do: be written, be synced, and be local.

Law: a name is durable only when its directory was synced, and one that is found need not be:
whoever made it may have been killed. Refusals name the path and say what to do.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from kvstore.errors import DirectoryRefusedError, DiskWriteError
from kvstore.storage.failures import unavailable

PRIVATE: Final = 0o700
"""Mode of directories: keys and values are for who runs the node, and for nobody beside."""

_OF_OTHERS: Final = 0o077

_MOUNTS: Final = Path("/proc/self/mountinfo")

_LOCKS: Final = Path("/proc/locks")

_NETWORK_TYPES: Final = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "gpfs", "glusterfs"),
    *("ocfs2", "gfs2", "beegfs", "fuse.sshfs", "fuse.glusterfs", "fuse.cephfs", "fuse.s3fs"),
}
_TYPES_WITHOUT_MODES: Final = {"vfat", "exfat", "msdos", "ntfs", "ntfs3", "fuseblk", "9p"}
"""Their files have the modes of the mount, whatever `chmod` says."""
_TYPES_THAT_COPY: Final = {"btrfs", "zfs", "bcachefs", "nilfs2", "f2fs", "fuse", "9p", "virtiofs"}
"""What is written again there may take room, or nobody can tell."""


def sync_directory(path: Path) -> None:
    """Make the names in `path` durable."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
    except PermissionError:
        os.sync()  # A directory that this user may not read can only be synced with all others.
    except OSError as error:
        raise DiskWriteError(f"{path}: cannot be synced: {error.strerror}") from error


def free_bytes(path: Path) -> int:
    """What the disk that holds `path` has left for this user. Raises `OSError`."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize


def make_directory(path: Path) -> None:
    """Create `path` and what is missing above it, for this user alone; all names are durable then.

    Those too that are found: a user, or a start that was killed, need not have synced them.
    """
    try:
        for missing in reversed([one for one in (path, *path.parents) if not one.exists()]):
            missing.mkdir(PRIVATE, exist_ok=True)
        path.mkdir(PRIVATE, exist_ok=True)
    except OSError as error:
        raise unavailable(path, error) from None
    for named in {path.absolute(), path.resolve()}:
        for directory in (named, *named.parents):
            if directory.is_mount():
                break
            sync_directory(directory.parent)


def exposure_of(path: Path) -> str | None:
    """How others than its owner may get at what is in `path`, and what to do about it.

    None if they may not, or if whoever runs this process could not change it. The directory is
    the one gate: where nobody else may enter, the modes of the files inside do not matter, and
    where they may, those of a copy that was put back are as chance has it.
    """
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if not mode & _OF_OTHERS or os.geteuid() not in (found.st_uid, 0):
        return None
    if filesystem_type(path.resolve(), _mounts()) in _TYPES_WITHOUT_MODES:
        return None
    return (
        f"{path} is open to other users (mode {mode:04o}): `chmod 700 {path}` keeps keys and "
        "values to its owner"
    )


def refuse_network_filesystem(path: Path) -> None:
    """Mapped files and locks do not work across machines: refuse where they would be tried."""
    kind = filesystem_type(path.resolve(), _mounts())
    if kind in _NETWORK_TYPES:
        raise DirectoryRefusedError(
            f"{path}: lies on a network file system ({kind}), where LMDB loses data;"
            " choose a local directory with --data"
        )


def copies_on_write(path: Path) -> bool:
    """Whether what is written again may take as much of the disk as if it were new."""
    kind = filesystem_type(path.resolve(), _mounts())
    return kind is None or kind in _TYPES_THAT_COPY


def _mounts() -> str:
    try:
        return _MOUNTS.read_text(errors="replace")
    except OSError:
        return ""  # Not Linux: nothing can be told.


def filesystem_type(path: Path, mounts: str) -> str | None:
    """Type of the file system that holds `path`, by a text like /proc/self/mountinfo."""
    best, kind = -1, None
    for line in mounts.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split(" ")
        if not dash or len(fields) < 5:
            continue
        mount = Path(fields[4].replace("\\040", " "))
        # On equal length the later line wins: it is mounted on top.
        if path.is_relative_to(mount) and len(mount.parts) >= best:
            best, kind = len(mount.parts), right.split(" ")[0]
    return kind


def lock_holder(path: Path) -> int | None:
    """The process that holds an `flock` on `path`, found without touching the lock.

    None if nobody holds it, or if this system does not tell.
    """
    try:
        found, locks = path.stat(), _LOCKS.read_text()
    except OSError:
        return None
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    for line in locks.splitlines():
        fields = line.split()
        if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == device:
            return int(fields[4])
    return None
