"""What the viewer sees: numbered steps, and claims with their evidence.

Law: a claim that does not hold is never shown as one that does; it ends the film.
"""

from __future__ import annotations

import os
import sys
from typing import Final

_CLAIM_WIDTH: Final = 40
_LINE_WIDTH: Final = 80


class BrokenClaimError(Exception):
    """A claim did not hold, and what follows would make no sense without it."""


class Screen:
    """Numbered steps, and claims with their evidence; plain where there is no terminal."""

    def __init__(self) -> None:
        self._colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        encoding = sys.stdout.encoding or "ascii"
        fancy = "✓✗".encode(encoding, "ignore").decode(encoding) == "✓✗"
        self._marks = ("✓", "✗") if fancy else ("ok", "NO")
        self._steps = 0
        self.held = 0
        self.broken = 0

    def line(self, text: str = "") -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def step(self, text: str) -> None:
        self._steps += 1
        self.line(f"\n{self._paint('1', f'{self._steps}. {text}')}")

    def claim(self, holds: bool, text: str, evidence: str = "") -> None:
        """Show a claim with its mark; raises if it does not hold."""
        if not holds:
            raise BrokenClaimError(f"{text}: no. {evidence}")
        mark = self._paint("32;1", self._marks[0])
        gap = "  ".ljust(_CLAIM_WIDTH - len(text)) if evidence else ""
        if len(text + gap + evidence) > _LINE_WIDTH - 5:
            gap = "\n       "
        self.line(f"   {mark} {text}{gap}{self._paint('2', evidence)}")
        self.held += 1

    def fail(self, text: str) -> None:
        """Something that every claim after this would rest on did not happen."""
        self.broken += 1
        self.line(f"   {self._paint('31;1', self._marks[1])} {text}")

    def quote(self, text: str) -> None:
        """Words that are not ours."""
        self.line(f"     {self._paint('36', text)}")

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours and text else text
