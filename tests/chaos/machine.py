"""What this machine lets chaos do, and the removal of what killed runs left on it.

Law: where this process is root everything must work, and what does not is an error.
Only what carries our prefix, and the id of no process that lives, is removed. Several
runs may be at work here: what one finds and then acts upon, it does while no other does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

NAME = f"kvc{os.getpid()}"
"""Begins the name of everything that this process makes."""

_OURS = re.compile(r"\bkvc(\d+)(?:[bv]\d*|n\d+)?\b")


def is_root() -> bool:
    return os.geteuid() == 0


def run(*words: str | Path, stdin: str | None = None) -> str:
    """Run a command of this system; what it prints. Raises with what it complains of."""
    try:
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RuntimeError(f"{words[0]} is missing: .ci/run knows its package") from None
    if done.returncode != 0:
        command = " ".join(map(str, words))
        raise RuntimeError(f"{command}: {done.stderr.strip() or f'exit code {done.returncode}'}")
    return done.stdout


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """No other run on this machine is in such a block; the kernel ends that of a dead one."""
    directory = os.open("/run", os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def remove_leftovers() -> None:
    """Remove what runs left that were killed; those that still live are spared."""
    with alone():
        for name in filter(_is_orphan, _mount_points()):
            run("umount", name)
        for name in filter(_is_orphan, _links()):
            run("ip", "link", "delete", name)
        for name in filter(_is_orphan, _namespaces()):
            run("ip", "netns", "delete", name)
        for name in filter(_is_orphan, _firewalls()):
            run("nft", "delete", "table", "bridge", name)


def made_by(process: int) -> list[str]:
    """What the process has made on this machine and not removed."""
    everything = [*_mount_points(), *_links(), *_namespaces(), *_firewalls()]
    return [name for name in everything if _maker(name) == process]


def _mount_points() -> list[str]:
    """Of disks; a namespace is a mount as well, but knows how to remove itself."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [place for _, place, kind, *_ in mounts if kind == "ext4"]


def _links() -> list[str]:
    """Bridges, and the ends of cables on this side; the far ends go with them."""
    return re.findall(r"(?m)^\d+: ([^:@]+)", run("ip", "-o", "link", "show"))


def _namespaces() -> list[str]:
    return [line.split()[0] for line in run("ip", "netns", "list").splitlines()]


def _firewalls() -> list[str]:
    return re.findall(r"table bridge (\S+)", run("nft", "list", "tables", "bridge"))


def _maker(name: str) -> int | None:
    """The process that made the thing, if it was one of ours."""
    found = _OURS.search(name)
    return int(found[1]) if found else None


def _is_orphan(name: str) -> bool:
    maker = _maker(name)
    return maker is not None and not Path(f"/proc/{maker}").exists()
