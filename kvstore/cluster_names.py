"""Names of clusters, and of those that are made of another one's data.

Law: a cluster that was restored or recovered has the name of the one that it comes from, with a
dash and a hash behind it. So settings that name the one are good for the other too, and by
their whole names nodes tell them apart.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_MARK: Final = "-[0-9a-f]{8}"
MARK_CHARACTERS: Final = 9
"""What a name grows by."""


def successor_of(name: str, origin: bytes) -> str:
    """The name of a cluster that is made of this one's data, by what makes it another one."""
    return f"{name}-{hashlib.sha256(origin).hexdigest()[:8]}"


def is_meant(name: str, found: str) -> bool:
    """Whether who names a cluster so means the one that has the name `found`."""
    return re.fullmatch(f"{re.escape(name)}({_MARK})*", found) is not None
