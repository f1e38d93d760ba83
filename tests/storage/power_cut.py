"""What a directory may be after a power cut at any moment of what was done to it.

Law: a file system owes what was synced, and nothing else. A name that was made, moved or
removed may be so after the cut, or not, each by itself, until its directory was synced; what
was written to a file may be there, each write by itself, until the file was synced. Only
one thing is given: a rename never leaves its file without any name.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple

from storage.filesystem_calls import (
    Call,
    Linked,
    Made,
    Removed,
    Renamed,
    Resized,
    Synced,
    Wrote,
)

_ALL_SUBSETS_OF = 5
"""Of more changes than that, not all subsets are tried."""
_CONTENT_IS_OF_NO_USE = ("lock", "lock.mdb")

Name = tuple[int, str]
"""A directory, by its number, and a name in it."""


class Content(NamedTuple):
    """What is in a file: some bytes, and zeros up to its size."""

    data: bytes
    size: int

    def after(self, writes: Iterable[Wrote | Resized]) -> Content:
        data, size = self
        for write in writes:
            if isinstance(write, Wrote):
                end = write.offset + len(write.data)
                data = data[: write.offset].ljust(write.offset, b"\0") + write.data + data[end:]
                size = max(size, end)
            else:
                size = max(size, write.size) if write.only_grows else write.size
                data = data[:size]
        return Content(data, size)


Tree = tuple[tuple[str, "Tree | Content"], ...]
"""Names in order, each with a tree or the content of a file."""


@dataclass
class _File:
    durable: Content = field(default_factory=lambda: Content(b"", 0))
    pending: list[Wrote | Resized] = field(default_factory=list)

    def contents(self) -> list[Content]:
        """What may be in it, the durable content first, what a running system sees last."""
        return [self.durable.after(some) for some in _subsets(self.pending)]

    def now(self) -> Content:
        return self.durable.after(self.pending)

    def sync(self) -> None:
        self.durable, self.pending = self.now(), []


@dataclass(frozen=True)
class _Change:
    """Names of one directory that change together."""

    directory: int
    names: tuple[tuple[str, int | None], ...]
    moved_away: int | None = None
    """The change only counts if this file has another name."""


class Disk:
    """Files and directories by number; 0 is the directory that stands beyond doubt."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._files: dict[int, _File] = {}
        self._durable: dict[int, dict[str, int]] = {0: {}}
        self._pending: list[_Change] = []
        self._count = 0

    def moved_to(self, root: Path) -> None:
        """From now on, paths of calls begin with another directory."""
        self._root = root

    # --- What is done to it ---------------------------------------------------------------

    def apply(self, call: Call) -> None:
        """A call has returned. What is done elsewhere is none of its business."""
        match call:
            case Made(path, is_directory):
                name = self._find(path)
                if name is not None and self._now(name) is None:
                    self._change(name, self._new(is_directory))
            case Linked(old, new):
                self._link(self._find(old), self._find(new))
            case Renamed(old, new):
                self._rename(self._find(old), self._find(new))
            case Removed(path):
                name = self._find(path)
                if name is not None:
                    self._change(name, None)
            case Wrote(path) | Resized(path):
                self._write(self._number(path), call)
            case Synced(path):
                self._sync(self._number(path))

    def _new(self, is_directory: bool) -> int:
        self._count += 1
        if is_directory:
            self._durable[self._count] = {}
        else:
            self._files[self._count] = _File()
        return self._count

    def _change(self, name: Name, number: int | None) -> None:
        self._pending.append(_Change(name[0], ((name[1], number),)))

    def _link(self, old: Name | None, new: Name | None) -> None:
        if old is not None and new is not None:
            self._change(new, self._now(old))

    def _rename(self, old: Name | None, new: Name | None) -> None:
        assert old is not None, "a rename from elsewhere"
        assert new is not None, "a rename to elsewhere"
        number = self._now(old)
        if old[0] == new[0]:
            self._pending.append(_Change(old[0], ((old[1], None), (new[1], number))))
        else:
            self._change(new, number)
            self._pending.append(_Change(old[0], ((old[1], None),), moved_away=number))

    def _write(self, number: int | None, call: Wrote | Resized) -> None:
        if number is None:
            return
        file = self._files[number]
        file.pending.append(call)
        if isinstance(call, Wrote) and call.is_durable:
            file.durable = file.durable.after([call])

    def _sync(self, number: int | None) -> None:
        if number is None:
            return
        if number in self._files:
            self._files[number].sync()
            return
        names = self._durable[number]
        for change in self._pending:
            if change.directory == number:
                _rename(names, change)
        self._pending = [change for change in self._pending if change.directory != number]

    # --- Where things are now, for whoever runs on it -------------------------------------

    def _find(self, path: str) -> Name | None:
        """Directory and name of a path; None if it lies elsewhere."""
        if not Path(path).is_relative_to(self._root) or Path(path) == self._root:
            return None
        *above, last = Path(path).relative_to(self._root).parts
        directory = 0
        for part in above:
            number = self._now((directory, part))
            assert number in self._durable, f"{path}: how {part} came there was not seen"
            directory = number
        return directory, last

    def _number(self, path: str) -> int | None:
        if Path(path) == self._root:
            return 0
        name = self._find(path)
        return None if name is None else self._now(name)

    def _now(self, name: Name) -> int | None:
        return _after(self._durable, self._pending)[name[0]].get(name[1])

    @property
    def is_settled(self) -> bool:
        """Whether a cut would change nothing."""
        return not self._pending and not any(file.pending for file in self._files.values())

    # --- What may be left of it -----------------------------------------------------------

    def now(self) -> Tree:
        """What a running system sees."""
        names = _after(self._durable, self._pending)
        return self._tree(0, names, {number: file.now() for number, file in self._files.items()})

    def after_a_cut(self) -> Iterator[Tree]:
        """Everything that may be there when the power is back; some of it more than once."""
        for changes in _subsets(self._pending):
            names = _after(self._durable, changes)
            if any(_is_lost(change, names) for change in changes):
                continue
            choices = [
                [(number, content) for content in file.contents()]
                for number, file in self._files.items()
            ]
            yield from (self._tree(0, names, dict(chosen)) for chosen in _some_of(choices))

    def _tree(
        self, number: int, names: dict[int, dict[str, int]], files: dict[int, Content]
    ) -> Tree:
        return tuple(
            (name, self._tree(child, names, files) if child in names else files[child])
            for name, child in sorted(names[number].items())
        )


def _rename(names: dict[str, int], change: _Change) -> None:
    for name, number in change.names:
        if number is None:
            names.pop(name, None)
        else:
            names[name] = number


def _after(
    durable: dict[int, dict[str, int]], changes: Iterable[_Change]
) -> dict[int, dict[str, int]]:
    names = {number: dict(one) for number, one in durable.items()}
    for change in changes:
        _rename(names[change.directory], change)
    return names


def _is_lost(change: _Change, names: dict[int, dict[str, int]]) -> bool:
    """Whether a file that was only moved would have no name at all."""
    moved = change.moved_away
    return moved is not None and all(
        moved not in directory.values() for directory in names.values()
    )


def _subsets(changes: Sequence) -> list[list]:  # type: ignore[type-arg]
    """Which of these changes have happened, in their order; none first, all of them last."""
    count = len(changes)
    if count <= _ALL_SUBSETS_OF:
        kept = list(product((False, True), repeat=count))
        return [[c for c, is_kept in zip(changes, bits, strict=True) if is_kept] for bits in kept]
    first = [list(changes[:position]) for position in range(count)]
    last = [list(changes[position:]) for position in range(1, count)]
    alone = [[change] for change in changes]
    missing = [[*changes[:at], *changes[at + 1 :]] for at in range(count)]
    return [*first, *last, *alone, *missing, list(changes)]


def _some_of(
    choices: Sequence[list[tuple[int, Content]]],
) -> Iterator[tuple[tuple[int, Content], ...]]:
    """All at their first, all at their last, and each choice while the rest is at its last."""
    yield tuple(choice[0] for choice in choices)
    last = tuple(choice[-1] for choice in choices)
    yield last
    for position, choice in enumerate(choices):
        for one in choice[:-1]:
            yield (*last[:position], one, *last[position + 1 :])


def make(tree: Tree, root: Path, links: dict[int, Path] | None = None) -> None:
    """Make what is in `tree` in the directory `root`; one file may have several names."""
    root.mkdir()
    links = {} if links is None else links
    for name, child in tree:
        path = root / name
        if not isinstance(child, Content):
            make(child, path, links)
        elif name in _CONTENT_IS_OF_NO_USE:
            path.touch()
        elif id(child) in links:
            path.hardlink_to(links[id(child)])
        else:
            links[id(child)] = path
            path.write_bytes(child.data)
            os.truncate(path, child.size)
