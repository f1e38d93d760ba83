"""What a majority is, as the checkers count it.

Law: it shares nothing with `raft/configuration.py`, which is what they judge: whoever counts
wrongly there is found out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Set


def are_majority(nodes: Set[int], members: Iterable[int]) -> bool:
    """Whether more of the members are among these nodes than are not."""
    there = [member in nodes for member in members]
    return there.count(True) > there.count(False)
