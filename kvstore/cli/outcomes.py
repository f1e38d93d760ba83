"""How a command tells that it came to nothing: in a sentence, or to programs as one JSON object.

Law: an error is told once, where its caller looks for it: on standard error, or, with `--json`,
on standard output, and beside it only if that takes nothing. Its exit code is always the same.

This module must not know which command ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click
import msgspec

from kvstore.cli import render, streams
from kvstore.cli.streams import OutputFailedError
from kvstore.errors import (
    CompactedError,
    ConfigError,
    DamagedError,
    DamagedSnapshotError,
    GuardFailedError,
    KvstoreError,
    NotLeaderError,
    OutcomeUnknownError,
    UnreachableError,
)
from kvstore.exit_codes import (
    INTERRUPTED,
    NOT_FOUND,
    REFUSED,
    STREAM_FAILED,
    UNKNOWN,
    UNREACHABLE,
    USAGE,
)


class Outcome(msgspec.Struct, frozen=True):
    """What an error comes to; `code`, `retryable` and `more` are for programs."""

    exit_code: int
    message: str
    code: str
    retryable: bool = False
    more: dict[str, object] = {}


BROKEN_OFF: Final = Outcome(
    INTERRUPTED, "interrupted: a write that was under way may or may not take effect", "INTERRUPTED"
)


def of(error: click.UsageError | KvstoreError | OutputFailedError) -> Outcome:
    """What a wrong command line, an error of kvstore's own, or no output comes to."""
    if isinstance(error, OutputFailedError):
        return Outcome(STREAM_FAILED, str(error), "STREAM")
    if isinstance(error, click.UsageError):
        return Outcome(USAGE, _usage(error), "USAGE")
    of_directory = isinstance(error, DamagedError) and not isinstance(error, DamagedSnapshotError)
    hint = "; `kvstore inspect DIR` shows what is damaged" if of_directory else ""
    text = f"{error}{hint}"
    return Outcome(_exit_code(error), text, error.code, error.retryable, _more(error))


def of_file(error: OSError) -> Outcome:
    """What a file or a standard stream that cannot be read or written comes to."""
    what = error.filename or "standard input or output"
    return Outcome(STREAM_FAILED, f"cannot read or write {what}: {error.strerror}", "STREAM")


def tell(outcome: Outcome, as_json: bool) -> int:
    """Say it to who asked; the exit code, which is the same if nobody can be told."""
    if not (as_json and _is_printed(outcome)):
        streams.tell(f"error: {outcome.message}")
    return outcome.exit_code


def _is_printed(outcome: Outcome) -> bool:
    head = {"code": outcome.code, "message": outcome.message, "retryable": outcome.retryable}
    try:
        click.echo(render.json_line({"error": {**head, **outcome.more}}))
    except OSError:
        return False
    return True


def are_json(words: Sequence[str]) -> bool:
    """Whether a command line asks for JSON; it may be too wrong to be read in another way."""
    options = words[: words.index("--")] if "--" in words else words
    return "--json" in options


_AFTER_DASHES: Final = {
    "put": "write -- before a value or key that begins with a dash",
    "increment": "write -- before a number below 0, or a key that begins with a dash",
}


def _usage(error: click.UsageError) -> str:
    command = error.ctx.info_name if error.ctx else None
    if isinstance(error, click.NoSuchOption) and command in _AFTER_DASHES:
        return f"{error.message} ({_AFTER_DASHES[command]})"
    where = error.ctx.command_path if error.ctx else "kvstore"
    return f"{error.format_message()} (see {where} --help)"


def _exit_code(error: KvstoreError) -> int:
    if isinstance(error, ConfigError):
        return USAGE
    if isinstance(error, OutcomeUnknownError):
        return UNKNOWN
    if isinstance(error, GuardFailedError):
        return NOT_FOUND
    return UNREACHABLE if isinstance(error, UnreachableError) else REFUSED


def _more(error: KvstoreError) -> dict[str, Any]:
    """What only some errors know, by the names that they have in Python."""
    if isinstance(error, NotLeaderError):
        return {"leader": error.leader}
    if isinstance(error, CompactedError):
        return {"floor": error.floor}
    if isinstance(error, GuardFailedError):
        return {"key": error.key, "mod_revision": error.mod_revision}
    return {}
