"""Where a definition stands, by its name alone.

Law: a name that stands for none, or for more than one, is an error. So a wrong version
finds its place however often that moves.
"""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Place(NamedTuple):
    """Whole lines of a file: those from number `first` to `last`, counted from 1."""

    file: Path
    """Below the root of the project."""
    first: int
    last: int

    def edited(self, source: str, old: str, new: str) -> str:
        """The file's text with `old`, which must stand here exactly once, replaced by `new`."""
        lines = source.splitlines(keepends=True)
        before, here, after = (
            "".join(part)
            for part in (
                lines[: self.first - 1],
                lines[self.first - 1 : self.last],
                lines[self.last :],
            )
        )
        found = here.count(old)
        if found != 1:
            raise ValueError(f"{self.file}:{self.first} has {found} times {old!r}")
        return before + here.replace(old, new) + after


def place_of(name: str) -> Place:
    """Of a class, function, attribute or constant: `Raft.propose`, `place_of`.

    With the file's name in front where there are more of that name: `outcomes.tell`.
    """
    places = _places()[name]
    if len(places) != 1:
        raise ValueError(f"{len(places)} definitions are called {name}: {places}")
    return places[0]


@functools.cache
def _places() -> dict[str, list[Place]]:
    found = defaultdict[str, list[Place]](list)
    for path in sorted((ROOT / "kvstore").rglob("*.py")):
        for name, first, last in _definitions(ast.parse(path.read_text()), ""):
            place = Place(path.relative_to(ROOT), first, last)
            found[name].append(place)
            found[f"{path.stem}.{name}"].append(place)
    return found


def _definitions(scope: ast.AST, prefix: str) -> Iterator[tuple[str, int, int]]:
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
            yield prefix + node.name, first, node.end_lineno or first
            yield from _definitions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    yield prefix + target.id, node.lineno, node.end_lineno or node.lineno
        elif isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            yield from _definitions(node, prefix)
