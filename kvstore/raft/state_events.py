"""What came of comparing the states of all nodes, as values; `events.py` says what an event is.

Law: a comparison has one line on the leader; one without a majority has a line on all nodes, and
another one if it comes to a majority after all. Who differs says so by `divergence_events.py`.
"""

from __future__ import annotations

import msgspec


def _nodes(ids: tuple[int, ...]) -> str:
    if len(ids) == 1:
        return f"node {ids[0]}"
    return f"nodes {', '.join(map(str, ids))}" if ids else "no node"


class StatesCompared(msgspec.Struct, frozen=True):
    """A leader has compared the states of all nodes as of one entry."""

    term: int
    index: int
    agree: tuple[int, ...]
    differ: tuple[int, ...]
    absent: tuple[int, ...]

    def __str__(self) -> str:
        absent = f"; {_nodes(self.absent)} took no part" if self.absent else ""
        if not self.agree:
            return f"too few states to compare as of log entry {self.index}{absent}"
        text = f"compared states as of log entry {self.index}: same on {_nodes(self.agree)}"
        differ = f"; another one on {_nodes(self.differ)}" if self.differ else ""
        return f"{text}{differ}{absent}"


class StatesDisputed(msgspec.Struct, frozen=True):
    """States differ, and no majority has the same: nobody knows which is right."""

    term: int
    index: int

    def __str__(self) -> str:
        return (
            f"states differ as of log entry {self.index}, and no majority of the voters agrees: "
            "nobody can tell which is right; start the nodes that are down, and run kvstore check"
        )
