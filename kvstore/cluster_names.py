"""Names of clusters, and of those that are made of another one's data.

Law: a cluster that was restored or recovered has the name of the one that it comes from, with a
dash and a hash behind it. So settings that name the one are good for the other too, and by
their whole names nodes tell them apart.

It must not know where a name comes from, nor what a cluster is made of.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

CHARACTERS_MAX: Final = 64
_MARK: Final = "-[0-9a-f]{8}"
_MARK_CHARACTERS: Final = 9
STEM_CHARACTERS_MAX: Final = CHARACTERS_MAX - _MARK_CHARACTERS
"""Of a name that has room for what makes it that of a successor."""


def successor_of(name: str, origin: bytes) -> str:
    """The name of a cluster that is made of this one's data, by what makes it another one.

    Where there is no room, it has less of the marks of those before; of a stem that is too long it
    has the beginning, and is not meant by who names the whole.
    """
    while len(name) > STEM_CHARACTERS_MAX and (mark := re.search(f"{_MARK}$", name)):
        name = name[: mark.start()]
    return f"{name[:STEM_CHARACTERS_MAX]}-{hashlib.sha256(origin).hexdigest()[:8]}"


def is_meant(name: str, found: str) -> bool:
    """Whether who names a cluster so means the one that has the name `found`."""
    return re.fullmatch(f"{re.escape(name)}({_MARK})*", found) is not None
