"""Ranges of keys, and whose a key is: a treap of ranges that knows how far they reach.

Law: for a key, exactly those are found whose range holds it, and others are not looked at, but for
a number that grows as the logarithm of that of all ranges.

It must not know what a range is for.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeAlias, TypeVar

from kvstore import api

_BEHIND_ALL: Final = b"\xff" * (api.KEY_BYTES_MAX + 1)
"""The end of what has none."""

T = TypeVar("T", bound=Hashable)


class _Node(Generic[T]):
    """A range, with all whose it is.

    * What stands left of it has lesser bounds, what stands right greater ones; no child has a
      higher priority.
    * `greatest`: the last end at this node or below it.
    """

    __slots__ = ("bounds", "greatest", "left", "owners", "priority", "right")

    def __init__(self, bounds: tuple[bytes, bytes], priority: float) -> None:
        self.bounds = bounds
        self.priority = priority
        self.owners: dict[T, None] = {}
        self.greatest = bounds[1]
        self.left: _Tree[T] = None
        self.right: _Tree[T] = None

    def measure(self) -> None:
        """Its children are others than before."""
        greatest = self.bounds[1]
        if self.left is not None and self.left.greatest > greatest:
            greatest = self.left.greatest
        if self.right is not None and self.right.greatest > greatest:
            greatest = self.right.greatest
        self.greatest = greatest


_Tree: TypeAlias = _Node[T] | None


class Ranges(Generic[T]):
    """Ranges `[start, end)` with their owners; an `end` of None is behind all keys.

    * An owner has a range once. Equal ranges are one node, and ranges of one key none: they are
      most of all ranges, and looked up at once.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._single: dict[bytes, dict[T, None]] = {}
        self._root: _Tree[T] = None

    def add(self, start: bytes, end: bytes | None, owner: T) -> None:
        """The owner has this range from now on."""
        if _is_single(start, end):
            self._single.setdefault(start, {})[owner] = None
            return
        bounds = _bounds(start, end)
        node = self._find(bounds)
        if node is None:
            node = _Node(bounds, self._rng.random())
            self._root = _inserted(self._root, node)
        node.owners[owner] = None

    def discard(self, start: bytes, end: bytes | None, owner: T) -> None:
        """The owner does not have this range any more."""
        if _is_single(start, end):
            owners = self._single.get(start, {})
            owners.pop(owner, None)
            if not owners:
                self._single.pop(start, None)
            return
        node = self._find(_bounds(start, end))
        if node is not None:
            node.owners.pop(owner, None)
            if not node.owners:
                self._root = _without(self._root, node)

    def at(self, key: bytes) -> Iterator[T]:
        """Whose ranges hold the key."""
        yield from self._single.get(key, ())
        waiting = [self._root]
        while waiting:
            node = waiting.pop()
            if node is None or node.greatest <= key:
                continue
            waiting.append(node.left)
            start, end = node.bounds
            if start <= key:
                if key < end:
                    yield from node.owners
                waiting.append(node.right)

    def _find(self, bounds: tuple[bytes, bytes]) -> _Tree[T]:
        node = self._root
        while node is not None and node.bounds != bounds:
            node = node.left if bounds < node.bounds else node.right
        return node

    def check(self) -> None:
        """Raises `AssertionError` if it is not as it says of itself."""
        assert all(self._single.values())
        if self._root is not None:
            _check(self._root)


def _is_single(start: bytes, end: bytes | None) -> bool:
    return end is not None and len(end) == len(start) + 1 and end == start + b"\x00"


def _bounds(start: bytes, end: bytes | None) -> tuple[bytes, bytes]:
    return start, _BEHIND_ALL if end is None else end


def _inserted(tree: _Tree[T], node: _Node[T]) -> _Node[T]:
    if tree is None:
        return node
    if node.priority > tree.priority:
        node.left, node.right = _split(tree, node.bounds)
        node.measure()
        return node
    if node.bounds < tree.bounds:
        tree.left = _inserted(tree.left, node)
    else:
        tree.right = _inserted(tree.right, node)
    tree.measure()
    return tree


def _split(tree: _Tree[T], bounds: tuple[bytes, bytes]) -> tuple[_Tree[T], _Tree[T]]:
    """What is less, and what is greater."""
    if tree is None:
        return None, None
    if tree.bounds < bounds:
        tree.right, greater = _split(tree.right, bounds)
        tree.measure()
        return tree, greater
    less, tree.left = _split(tree.left, bounds)
    tree.measure()
    return less, tree


def _without(tree: _Tree[T], node: _Node[T]) -> _Tree[T]:
    assert tree is not None, "it was found here"
    if tree is node:
        return _joined(tree.left, tree.right)
    if node.bounds < tree.bounds:
        tree.left = _without(tree.left, node)
    else:
        tree.right = _without(tree.right, node)
    tree.measure()
    return tree


def _joined(less: _Tree[T], greater: _Tree[T]) -> _Tree[T]:
    if less is None or greater is None:
        return less or greater
    if less.priority > greater.priority:
        less.right = _joined(less.right, greater)
        less.measure()
        return less
    greater.left = _joined(less, greater.left)
    greater.measure()
    return greater


def _check(node: _Node[T]) -> list[tuple[bytes, bytes]]:
    """All bounds at a node and below it, in their order."""
    children = [child for child in (node.left, node.right) if child is not None]
    less = _check(node.left) if node.left else []
    greater = _check(node.right) if node.right else []
    ordered = [*less, node.bounds, *greater]
    assert ordered == sorted(set(ordered))
    assert all(child.priority <= node.priority for child in children)
    assert node.greatest == max(end for _, end in ordered)
    assert node.owners
    return ordered
