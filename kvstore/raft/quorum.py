"""Majorities: the arithmetic on which every safety argument rests.

Law: votes and acknowledgements are counted over a set of node ids, never as a
running number, so that a duplicate cannot count twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import TypeVar

_Mark = TypeVar("_Mark", int, float)


def majority(member_count: int) -> int:
    """Smallest number of nodes such that any two such groups share one."""
    return member_count // 2 + 1


def has_majority(supporters: Set[int], members: Set[int]) -> bool:
    """Whether `supporters` hold a majority among `members`; outsiders do not count."""
    return len(supporters & members) >= majority(len(members))


def reached_by_majority(marks: Iterable[_Mark]) -> _Mark:
    """Highest mark that a majority has reached, given one per member: an index, a round, a time."""
    ordered = sorted(marks, reverse=True)
    return ordered[majority(len(ordered)) - 1]
