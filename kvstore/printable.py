r"""Text from outside, a path or a word of the command line, as it may stand in a line of ours.

Law: what comes out is one line, whatever goes in, and a terminal does nothing by it but show it.

This module must not know what the text is, nor who prints it.
"""

from __future__ import annotations


def printable(text: str) -> str:
    r"""`text`, and what cannot be shown as `\n`, `\xNN` or `\uNNNN`."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # A byte that is not UTF-8.
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
