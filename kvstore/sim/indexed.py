"""A list that begins after an index: of what a log, or who watches one, has for each index.

Law: an item is asked for by the number that it has in the log, never by its place in memory.
Where a list begins, and what of it is not there, is known here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Indexed(Generic[T]):
    """One item for each index behind `start`, up to `last` and without a gap."""

    __slots__ = ("_items", "start")

    def __init__(self, start: int = 0, items: Iterable[T] = ()) -> None:
        self.start = start
        self._items = list(items)

    @property
    def last(self) -> int:
        """The index of the last item; where there is none, `start`."""
        return self.start + len(self._items)

    def __getitem__(self, index: int) -> T:
        """The item of an index that is here. Raises `IndexError`."""
        if index <= self.start:
            raise IndexError(f"{index} is not behind {self.start}")
        return self._items[index - self.start - 1]

    def get(self, index: int) -> T | None:
        """The item of an index, None if it is not here."""
        return self[index] if self.start < index <= self.last else None

    def numbered(self) -> Iterator[tuple[int, T]]:
        """Each index with its item."""
        return enumerate(self._items, self.start + 1)

    def append(self, item: T) -> None:
        """Add the item of the next index."""
        self._items.append(item)

    def extend(self, items: Iterable[T]) -> None:
        """Add the items of the next indexes."""
        self._items.extend(items)

    def truncate(self, index: int) -> None:
        """Remove all items at and behind `index`, which is behind `start`."""
        if index <= self.start:
            raise IndexError(f"{index} is not behind {self.start}")
        del self._items[index - self.start - 1 :]

    def drop(self, index: int) -> None:
        """Begin after `index`, which is not before `start`: what is at and before it is gone."""
        if index < self.start:
            raise IndexError(f"{index} is before {self.start}")
        del self._items[: index - self.start]
        self.start = index

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Indexed) and (self.start, self._items) == (
            other.start,
            other._items,
        )

    __hash__ = None  # type: ignore[assignment]  # It changes.

    def __repr__(self) -> str:
        return f"{self._items} from {self.start + 1} on" if self.start else repr(self._items)
