"""Replies as text, with their types as they are on the wire.

Law: two replies have the same text exactly if a client cannot tell them apart, but that of an
error counts its first word alone: `+OK`, `:5`, `$'bulk'`, `='txt:verbatim'`, `-ERR`, `*nil`, `_`,
`*[...]`, `~{...}`, `%{...}`. It must not know who sent them.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import ClassVar


class View(Enum):
    """How closely a reply is looked at."""

    VALUES = "types and values"
    ANY_ORDER = "types and values, those of an array in any order"
    SHAPES = "types, and the keys of maps; equal neighbours in an array count as one"


def texts_of(data: bytes, view: View = View.VALUES) -> list[str]:
    """Every reply of a stream that has ended."""
    reader, texts = _Reader(data, view), []
    while reader.position < len(data):
        texts.append(reader.take())
    return texts


class _Reader:
    def __init__(self, data: bytes, view: View) -> None:
        self._data = data
        self._view = view
        self.position = 0

    def take(self) -> str:
        """The next reply."""
        line = self._line()
        return self._parts[chr(line[0])](self, chr(line[0]), line[1:])

    def _line(self) -> bytes:
        end = self._data.index(b"\r\n", self.position)
        line = self._data[self.position : end]
        self.position = end + 2
        return line

    def _shown(self, kind: str, value: bytes) -> str:
        return f"{kind}..." if self._view is View.SHAPES else f"{kind}{value!r}".replace("b", "", 1)

    def _word(self, kind: str, rest: bytes) -> str:
        return f"{kind}..." if self._view is View.SHAPES else kind + rest.decode()

    def _error(self, kind: str, rest: bytes) -> str:
        return kind + rest.decode(errors="replace").split()[0]

    def _null(self, kind: str, _rest: bytes) -> str:
        return kind

    def _text(self, kind: str, rest: bytes) -> str:
        size = int(rest)
        if size < 0:
            return f"{kind}nil"
        value = self._data[self.position : self.position + size]
        assert self._data[self.position + size :][:2] == b"\r\n"
        self.position += size + 2
        if kind == "=" and self._view is View.SHAPES:
            return f"={value[:4].decode()}..."
        return self._shown(kind, value)

    def _items(self, kind: str, rest: bytes) -> str:
        if int(rest) < 0:
            return f"{kind}nil"
        items = [self.take() for _ in range(int(rest))]
        if self._view is View.SHAPES:
            items = [
                item for item, last in zip(items, [None, *items], strict=False) if item != last
            ]
        elif self._view is View.ANY_ORDER:
            items.sort()
        return f"{kind}[{', '.join(items)}]"

    def _set(self, kind: str, rest: bytes) -> str:
        return f"{kind}{{{', '.join(sorted({self.take() for _ in range(int(rest))}))}}}"

    def _map(self, kind: str, rest: bytes) -> str:
        pairs = []
        for _ in range(int(rest)):
            view, self._view = self._view, View.VALUES
            key, self._view = self.take(), view
            pairs.append(f"{key}: {self.take()}")
        return f"{kind}{{{', '.join(sorted(pairs))}}}"

    _parts: ClassVar[dict[str, Callable[[_Reader, str, bytes], str]]] = {
        **dict.fromkeys("+:,#(", _word),
        "-": _error,
        "_": _null,
        **dict.fromkeys("$=", _text),
        **dict.fromkeys("*>", _items),
        "~": _set,
        "%": _map,
    }
