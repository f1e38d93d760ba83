"""Wrong versions of watches: whom a change is told, how often, and from where on.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

_RANGES = "tests/server/watching/test_ranges.py"

WATCHES = (
    Mutant(
        "only the first of those who watch the same range is found",
        "Ranges.at",
        "                    yield from node.owners",
        "                    yield next(iter(node.owners))",
        test=_RANGES,
    ),
    Mutant(
        "how far ranges reach is not measured anew after one is gone",
        "ranges._without",
        "    tree.measure()\n",
        "",
        test=_RANGES,
    ),
    Mutant(
        "the end of a range is a part of it",
        "Ranges.at",
        "                if key < end:",
        "                if key <= end:",
        test=_RANGES,
    ),
    Mutant(
        "every range is looked at that begins before the key",
        "Ranges.at",
        "            if node is None or node.greatest <= key:",
        "            if node is None:",
        test=_RANGES,
    ),
)
