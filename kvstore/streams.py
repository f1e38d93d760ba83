"""Standard input, output and error of a process that was started without them.

Law: the numbers 0, 1 and 2 are never free. Else the next file that is opened, perhaps a
database, would get one, and whoever prints would write into it.
"""

from __future__ import annotations

import os
import sys


def fill_closed() -> None:
    """Stand something in for each that was closed before the program began.

    Who reads, or prints an answer, is told by an error; what is for standard error is lost.
    """
    _hold(0, os.O_WRONLY)  # The wrong way round, so that its use fails.
    if _hold(1, os.O_RDONLY):
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays
    if _hold(2, os.O_WRONLY):
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays


def _hold(number: int, flags: int) -> bool:
    """Whether it was closed. The lowest free number is what the next file gets."""
    try:
        os.fstat(number)
    except OSError:
        taken = os.open(os.devnull, flags)
        assert taken == number
        os.set_inheritable(number, True)
        return True
    return False
