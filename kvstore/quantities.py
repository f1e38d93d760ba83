"""How many bytes something has, in words.

Law: for people, who compare and guess; who reckons takes the number.

It must not know what is counted.
"""

from __future__ import annotations


def size_words(size_bytes: int) -> str:
    """In the unit that suits it, and never more than it is."""
    return f"{size_bytes >> 20} MiB" if size_bytes >= 10 << 20 else f"{size_bytes >> 10} KiB"
