"""What a running node takes of disk and memory, as the system counts it.

Law: a figure is the system's own, never the node's.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from kvstore.demo.nodes import Nodes

_BLOCK_BYTES = 512
"""The unit of `st_blocks`."""


class Gauges(NamedTuple):
    """Of one node, in bytes."""

    log: int
    """Of its disk, by `raft/`."""
    state: int
    """Of its disk, by all else in its directory."""
    private: int
    """Memory that is nobody else's, and no part of a file."""

    @property
    def files(self) -> int:
        """Of its disk, by all of its directory."""
        return self.log + self.state


NOTHING = Gauges(0, 0, 0)


def look_at(nodes: Nodes, node: int) -> Gauges:
    """One that runs."""
    log, state = 0, 0
    directory = nodes.data_dir(node)
    for path in directory.rglob("*"):
        taken = _disk_bytes(path)
        if path.relative_to(directory).parts[0] == "raft":
            log += taken
        else:
            state += taken
    return Gauges(log, state, private_bytes(nodes.pid(node)))


def highest(one: Gauges, two: Gauges) -> Gauges:
    """The higher of each figure; `state` is what makes the higher sum of files."""
    most = one if one.files >= two.files else two
    return Gauges(most.log, most.state, max(one.private, two.private))


def private_bytes(pid: int) -> int:
    """Anonymous memory of a process that is not swapped out; mapped files are the disk's."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} is over")


def _disk_bytes(path: Path) -> int:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return 0
    return status.st_blocks * _BLOCK_BYTES
