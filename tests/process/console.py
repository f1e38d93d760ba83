"""The console sessions of a document: commands, what they print, and how two prints compare.

Law: what is said of one run must hold for every run. Times, sizes, process ids and names drawn
by chance compare as such, spaces as one; nothing else is forgiven.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_FENCE = re.compile(r"^```\n(.*?)^```\n", re.DOTALL | re.MULTILINE)
_CHANCE = (
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
    (r"\b[0-9a-f]{32}\b", "NAME"),
    (r"\bprocess \d+", "process ID"),
    (r"\b\d+(\.\d+)?(/\d+(\.\d+)?)? (s|ms|[KMGT]iB)\b", "AMOUNT"),
    (r" +", " "),
)


@dataclass(frozen=True)
class Step:
    """One command, and the lines that it prints; a line `...` stands for any number of them."""

    command: str
    lines: tuple[str, ...]


def section(document: str, heading: str) -> str:
    """What stands below a heading of the second rank."""
    return document.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def blocks(text: str) -> list[str]:
    """What stands between fences that name no language."""
    return _FENCE.findall(text)


def steps(block: str) -> Iterator[Step]:
    """The commands of a block, each of which begins with `$ `."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, *lines = part.rstrip("\n").split("\n")
        yield Step(command, tuple(lines))


def is_like(said: Sequence[str], printed: Sequence[str]) -> bool:
    """Whether a command printed what is said of it."""
    lines = [".*" if line == "..." else re.escape(_calm(line)) for line in said]
    return re.fullmatch("\n".join(lines), "\n".join(map(_calm, printed)), re.DOTALL) is not None


def _calm(line: str) -> str:
    for pattern, word in _CHANCE:
        line = re.sub(pattern, word, line)
    return line.rstrip()
