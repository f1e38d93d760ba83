"""All that stands on standard input, for commands that take one thing from there.

Law: no more is read than any node would take. Who types at a terminal is told how to end, and
who waits for a pipe that does not end, what is waited for.
"""

from __future__ import annotations

import sys
import time

import click

from kvstore.cli.asking import telling
from kvstore.config.limits import VALUE_BYTES_CEILING
from kvstore.errors import RefusedError


def read_all(what: str, otherwise: str, *, is_asked_for: bool) -> bytes:
    """Its bytes, which are a `value`, or `what` else; `otherwise` tells how to give one.

    At a terminal only if that `is_asked_for`. Raises RefusedError, and OSError with its name.
    """
    # Standard input is None when the caller has closed it.
    if not sys.stdin or (not is_asked_for and sys.stdin.isatty()):
        raise click.UsageError(f"no {what}: {otherwise}")
    if sys.stdin.isatty():
        click.echo(f"type the {what}, and end it with Ctrl-D at the beginning of a line", err=True)
    since = time.monotonic()
    try:
        with telling(
            lambda: (since, f"standard input has no end yet, and all of it is the {what}")
        ):
            text = sys.stdin.buffer.read(VALUE_BYTES_CEILING + 1)
    except OSError as error:
        error.filename = "standard input"
        raise
    if len(text) > VALUE_BYTES_CEILING:
        raise RefusedError(
            f"the {what} is longer than any node takes ({VALUE_BYTES_CEILING} bytes)"
            ": split it over several keys"
        )
    return text
