"""Clusters that are made of another one's backup or directory, and the commands that make them.

Law: a successor is another cluster. Its nodes know its name from their directories, and are told
none; where the old nodes are, nothing is touched.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from .cluster import DEADLINE_S, ROOT, Cluster

BUMP = 1 << 40
"""By as much the revision of a successor is higher at least, unless told otherwise."""


def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line to its end, which must be this."""
    ran = subprocess.run(
        [sys.executable, "-m", "kvstore", *words],
        cwd=ROOT,
        env=Cluster.clean_environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ran.returncode == code, ran
    return ran


def told(*words: str, code: int = 0) -> dict[str, Any]:
    """What a command comes to with `--json`."""
    found: dict[str, Any] = json.loads(run(*words, "--json", code=code).stdout)
    return found


class Restored(Cluster):
    """Nodes whose directories come from a backup."""

    def command(self, node_id: int, **changes: object) -> list[str]:
        return super().command(node_id, **{"cluster": None, **changes})

    def restore(self, node_id: int, file: Path, *more: str) -> dict[str, Any]:
        """Make the directory of a node from a backup; what the command said."""
        given = self.command(node_id)
        words = given[given.index("serve") + 1 :]
        return told("restore", str(file), *words, *more)


class Alone(Cluster):
    """One node, with the id and the directory of the one that survived."""

    def __init__(self, directory: Path, node_id: int) -> None:
        super().__init__(directory, node_id)
        for other in self.nodes.keys() - {node_id}:
            self.nodes[other].reservation.release()
        self.nodes = {node_id: self.nodes[node_id]}

    def command(self, node_id: int, **changes: object) -> list[str]:
        return super().command(node_id, **{"cluster": None, **changes})
