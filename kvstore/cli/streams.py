"""Standard input, output and error, where they were closed before the start, or take nothing.

Law: the numbers 0, 1 and 2 are never free. Else the next file that is opened, perhaps a
database, would get one, and whoever prints would write into it. A stream that takes nothing
changes no exit code but by an error that says so.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from kvstore.printable import printable


class PipeClosedError(Exception):
    """The reader of standard output has gone, and needs no word about it."""


class OutputFailedError(Exception):
    """Standard output takes nothing, and whoever asked for it should know."""


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Within this context nothing but printing is done, so what the system refuses is that."""
    try:
        yield
    except BrokenPipeError:
        raise PipeClosedError from None
    except OSError as error:
        text = f"cannot read or write standard input or output: {error.strerror}"
        raise OutputFailedError(text) from None


def fill_closed() -> None:
    """Stand something in for each that was closed before the program began.

    Who reads, or prints an answer, is told by an error; what is for standard error is lost.
    """
    _hold(0, os.O_WRONLY)  # The wrong way round, so that its use fails.
    if _hold(1, os.O_RDONLY):
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays
    if _hold(2, os.O_WRONLY):
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays


def tell(line: str) -> None:
    """One line on standard error; it is lost where that takes nothing."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{printable(line)}\n")
        sys.stderr.flush()


def abandon(stream: TextIO) -> None:
    """Let what it did not take go nowhere.

    Python flushes once more at exit, and would complain there, or end with a code of its own.
    """
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


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
