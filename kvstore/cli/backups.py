"""The commands `kvstore backup` and `kvstore verify`.

Law: a file has its name only when it was seen to be a whole backup, so a short one is never
taken for a good one. What is told meanwhile goes to standard error.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from kvstore.cli import render, streams
from kvstore.cli.asking import with_client
from kvstore.cli.options import Command, as_json, options, quiet
from kvstore.client.backup import Progress, Writable
from kvstore.client.blocking import Client
from kvstore.exit_codes import DONE

if TYPE_CHECKING:
    from kvstore.storage.snapshot_format import SnapshotDecoder

_TOLD_EVERY_S: Final = 1.0
_STREAM: Final = "-"


@click.command(cls=Command, short_help="Save all data to a file, while the nodes serve.")
@click.argument("file")
@with_client
def backup(client: Client, file: str, as_json: bool) -> int:
    """Save all data, as of one moment, to FILE; - is standard output.

    Any node gives it while it serves, leader or not: what it had applied at that moment; the
    leader, all that was acknowledged. --to says which; of several it is the leader, or, while
    there is none, who has applied most of those that answer.
    FILE is made, or replaced, when all of it is there and was checked. `kvstore restore` makes
    a new cluster of it.

    \b
    Examples:
      kvstore backup monday.backup --to 10.0.0.2:9002
      kvstore backup - | zstd > monday.backup.zst
    """
    is_quiet = click.get_current_context().params["quiet"]
    if file == _STREAM:
        if as_json:
            raise click.UsageError("with - standard output has the backup: leave --json out")
        found = _save(client, _StandardOutput(), is_quiet)
    else:
        found = _save_to_file(client, Path(file), is_quiet)
    if as_json:
        fields = {"file": file, "index": found.index, "revision": found.revision}
        more = {"records": found.total, "bytes": found.size_bytes, "node": found.node}
        more["is_of_leader"] = found.is_of_leader
        click.echo(render.json_line({**fields, **more}))
    else:
        streams.tell(
            f"saved {found.total} records as of index {found.index} (revision {found.revision}), "
            f"{render.size(found.size_bytes)} from node at {found.node}{_what_may_lack(found)}"
        )
    return DONE


def _what_may_lack(found: Progress) -> str:
    if found.is_of_leader:
        return ""
    return ", which did not lead: what others acknowledged and it had not applied is not in it"


def _save_to_file(client: Client, path: Path, is_quiet: bool) -> Progress:
    # Other commands should not wait for the storage's modules to load.
    from kvstore.storage.whole_file import WholeFile

    file = WholeFile(path)
    try:
        found = _save(client, file, is_quiet)
        file.finish()
    finally:
        file.abandon()
    return found


def _save(client: Client, writable: Writable, is_quiet: bool) -> Progress:
    """Let all of it through, and see that it is a whole backup."""
    from kvstore.storage.snapshot_format import SnapshotDecoder

    decoder = SnapshotDecoder()
    found = client.backup(_Checked(decoder, writable), on_progress=_Teller(is_quiet).hear)
    decoder.finish()
    return found


class _Checked:
    """Hands on what it is given, once that was checked as a part of a backup."""

    def __init__(self, decoder: SnapshotDecoder, writable: Writable) -> None:
        self._decoder = decoder
        self._writable = writable

    def write(self, data: bytes) -> None:
        self._decoder.feed(data)
        self._writable.write(data)


class _StandardOutput:
    """Standard output, for bytes."""

    def write(self, data: bytes) -> None:
        with streams.printing():
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


class _Teller:
    """Says on standard error how far a backup is, once a second, unless it is to be quiet."""

    def __init__(self, is_quiet: bool) -> None:
        self._is_quiet = is_quiet
        self._told_at = time.monotonic()

    def hear(self, progress: Progress) -> None:
        now = time.monotonic()
        if self._is_quiet or now - self._told_at < _TOLD_EVERY_S:
            return
        self._told_at = now
        percent = 100 * progress.done // max(1, progress.total)
        streams.tell(
            f"backup: {progress.done} of {progress.total} records ({percent} %), "
            f"{render.size(progress.size_bytes)}"
        )


@click.command(cls=Command, short_help="Check a backup, without restoring it.")
@click.argument("file")
@options(quiet, as_json)
def verify(file: str, quiet: bool, as_json: bool) -> int:
    """Read the backup in FILE (- is standard input) to its end, and check all of it.

    It is refused, with exit code 3, if it is cut short or damaged in any byte, or of a
    version that this program does not know.
    """
    from kvstore.storage.snapshot_file import SnapshotReader
    from kvstore.storage.tables import count_words, counts_of

    with opened(file) as stream:
        reader = SnapshotReader(stream, shown_name(file))
        for _ in reader.slices():
            pass
    header = reader.header
    counts = counts_of(header.counts)
    if as_json:
        fields = {"file": file, "cluster": header.cluster_id, "index": header.index}
        more = {"term": header.term, "revision": header.applied.revision}
        click.echo(render.json_line({**fields, **more, **counts, "digest": reader.digest}))
    else:
        click.echo(
            f"whole: cluster {header.cluster_id} as of index {header.index} of term "
            f"{header.term}, revision {header.applied.revision}\n"
            f"{count_words(counts)}\ndigest {reader.digest}"
        )
    return DONE


# --- Files of backups ---------------------------------------------------------------------


@contextlib.contextmanager
def opened(file: str) -> Iterator[BinaryIO]:
    """The file, or standard input, for reading."""
    if file != _STREAM:
        with Path(file).open("rb") as stream:
            yield stream
    elif not sys.stdin or sys.stdin.isatty():
        raise click.UsageError("standard input is no backup: give a file, or pipe one in")
    else:
        yield sys.stdin.buffer


def shown_name(file: str) -> str:
    """How errors call it."""
    return "standard input" if file == _STREAM else file
