"""The film: three real nodes, a leader frozen at the worst moment, and how it is fenced.

Law: every claim on the screen is checked against the nodes or their disks, and one
that does not hold makes the exit code 1. However the film ends, no process and no
file is left behind.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

from kvstore.demo.film import Film
from kvstore.demo.nodes import Interrupts, Nodes
from kvstore.demo.screen import BrokenClaimError, Screen
from kvstore.errors import KvstoreError

_INTERRUPTED: Final = 130
_LOG_LINES_SHOWN: Final = 5
_TITLE: Final = "Three real nodes. The one that leads is frozen, replaced, and wakes."
_CLOSING: Final = (
    "Why this is safe: a node has its term, its vote and its entries on disk before it",
    "speaks of them, and any two majorities share a node. So one that wakes with an old",
    "term can win nobody, and the first message of a higher term ends its leadership.",
)


def run() -> int:
    """Play the film; 0 if every claim held, 1 if one did not, 130 if it was interrupted."""
    screen = Screen()
    began = time.monotonic()
    screen.line(_TITLE)
    try:
        _play(screen)
    except KeyboardInterrupt:
        screen.line("\ninterrupted; nothing is left running")
        return _INTERRUPTED
    if screen.broken:
        screen.line("\nNot every claim held. Please report this.")
        return 1
    screen.line("\n" + "\n".join(_CLOSING))
    screen.line(f"\nAll {screen.held} claims held, in {time.monotonic() - began:.1f} s.")
    return 0


def _play(screen: Screen) -> None:
    with Interrupts() as interrupts:
        directory = Path(tempfile.mkdtemp(prefix="kvstore-demo-"))
        nodes = Nodes(directory, interrupts)
        try:
            Film(nodes, screen).play()
        except (BrokenClaimError, KvstoreError, TimeoutError, ConnectionError) as error:
            screen.fail(str(error))
            for node in nodes.ports:
                for line in nodes.log_lines(node)[-_LOG_LINES_SHOWN:]:
                    screen.quote(line)
        finally:
            interrupts.ignore()
            nodes.close()
            shutil.rmtree(directory, ignore_errors=True)
