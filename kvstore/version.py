"""Which version of kvstore this is.

Law: it is what is installed that counts, and a checkout that is not installed has no version.
"""

from __future__ import annotations

import functools


@functools.cache
def version() -> str:
    """Of the package that runs here."""
    import importlib.metadata  # It takes longer than most of what asks.

    try:
        return importlib.metadata.version("kvstore")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
