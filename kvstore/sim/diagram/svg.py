"""Marks on paper: shapes, colours and text as SVG.

Law: whatever text comes in, what goes out is well-formed; numbers are rounded, so
that equal pictures are equal bytes.

It must not know what a shape means.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from xml.sax.saxutils import escape, quoteattr

import msgspec

FONT: Final = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

PAPER: Final = "#fbfcfd"
EDGE: Final = "#d5dbe2"
INK: Final = "#1d2733"
SOFT_INK: Final = "#5b6775"
FAINT: Final = "#e6eaef"
DANGER: Final = "#c1121f"
DONE: Final = "#1a7f37"
SILVER: Final = "#8a94a0"


class Tint(msgspec.Struct, frozen=True):
    """A colour with what can be read on it, and its darker sister for thin lines."""

    fill: str
    line: str
    ink: str


_TINTS: Final = (
    Tint("#0072b2", "#00629a", "#ffffff"),
    Tint("#e69f00", "#b87a00", "#1d2733"),
    Tint("#009e73", "#007f5c", "#ffffff"),
    Tint("#cc79a7", "#a94f82", "#1d2733"),
    Tint("#56b4e9", "#2a86bd", "#1d2733"),
)
"""From the palette of Okabe and Ito, which colour-blind people can tell apart too."""
TINTS_MAX: Final = len(_TINTS)
"""In so many terms, no two look alike."""
_NO_TINT: Final = Tint("#9aa4b0", "#6c7784", "#1d2733")


def tint(term: int) -> Tint:
    """The colour of a term; neighbours differ."""
    return _TINTS[(term - 1) % len(_TINTS)] if term > 0 else _NO_TINT


def number(value: float) -> str:
    """A tenth of a pixel is enough."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def element(name: str, *children: str, **attributes: object) -> str:
    """One element. `stroke_width` stands for `stroke-width`, `class_` for `class`."""
    words = [name]
    for key, value in attributes.items():
        if value is None:
            continue
        text = number(value) if isinstance(value, float) else str(value)
        words.append(f"{key.rstrip('_').replace('_', '-')}={quoteattr(text)}")
    head = " ".join(words)
    return f"<{head}>{''.join(children)}</{name}>" if children else f"<{head}/>"


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, **more: object) -> str:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, **more)


def rectangle(x: float, y: float, width: float, height: float, **more: object) -> str:
    """A rectangle; never of negative width."""
    return element("rect", x=x, y=y, width=max(width, 0.0), height=height, **more)


def polygon(points: Iterable[tuple[float, float]], **more: object) -> str:
    """A closed shape."""
    return element(
        "polygon", points=" ".join(f"{number(x)},{number(y)}" for x, y in points), **more
    )


def content(words: str) -> str:
    """Words as the content of an element; what does not print, XML may not hold either."""
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words))


def text(x: float, y: float, words: str, **more: object) -> str:
    """Words; `y` is their base line."""
    return element("text", content(words), x=x, y=y, **more)


def group(parts: Iterable[str], **attributes: object) -> str:
    """Several parts that share something."""
    return element("g", "\n".join(["", *parts, ""]), **attributes)


_NARROW: Final = frozenset("fijlrtI.,:;|!'()[] -")
_WIDE: Final = frozenset("mwMW@%→↔")


def text_width(words: str, size: float) -> float:
    """About how wide words are; nobody knows the reader's font, so rather too wide."""
    return size * sum(map(_character_width, words))


def _character_width(character: str) -> float:
    if character in _NARROW:
        return 0.33
    if character in _WIDE:
        return 0.9
    if not character.isascii():
        return 1.0
    return 0.68 if character.isupper() else 0.56
