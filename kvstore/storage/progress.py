"""How far a long look at a directory has come, told while it goes on.

Law: telling changes nothing, costs next to nothing, and whether it is said to anybody,
and how often, is for who listens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias, TypeVar

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Hears what is looked at, how much of it has been, and how much there is."""

TOLD_EVERY: Final = 4096
"""Entries, or pages: what takes some ten milliseconds."""

_T = TypeVar("_T")


def nobody(_what: str, _done: int, _total: int) -> None:
    """Nobody listens."""


def told(items: Iterable[_T], what: str, total: int, on_progress: OnProgress) -> Iterator[_T]:
    """The items, and a word about every so many of them."""
    for done, item in enumerate(items):
        if done % TOLD_EVERY == 0:
            on_progress(what, done, total)
        yield item
