"""The command `kvstore inspect`: what data directories hold, checked, and held against each other.

Law: read-only, on running, stopped and crashed nodes alike. Exit code 0 means that nothing is
wrong, 1 that there are findings.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click

from kvstore.cli import patience, render
from kvstore.cli.options import Command, as_json, option, options
from kvstore.errors import DirectoryRefusedError
from kvstore.exit_codes import DONE

_FOUND: Final = 1


@click.command(
    name="inspect", cls=Command, short_help="Show and check data directories, running or not."
)
@click.argument(
    "directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
@options(
    option(
        "--entries", "with_entries", section="Output", is_flag=True, help="List every log entry."
    ),
    as_json,
)
def inspect(directories: tuple[Path, ...], with_entries: bool, as_json: bool) -> int:
    """Show what data directories hold, and check every page and every checksum.

    Their nodes may run, have stopped, or have crashed; nothing is changed. Several
    directories of one cluster are held against each other: no term may have had two
    leaders, and what one has applied must be in a majority of the logs.

    The exit code is 1 if something is wrong.
    """
    # Other commands should not wait for the storage's modules to load.
    from kvstore.cli import reports
    from kvstore.storage.compare import compare
    from kvstore.storage.inspect import inspect_directories

    waiting = (time.monotonic(), f"reads every page of {', '.join(map(str, directories))}")
    try:
        with patience.told(lambda: waiting):
            found = inspect_directories(directories)
    except DirectoryRefusedError as error:
        raise click.UsageError(str(error)) from None
    comparison = compare(found) if len(found) > 1 else None
    if as_json:
        values = reports.as_values(found, comparison, with_entries)
        click.echo(render.json_line(values))
    else:
        for line in reports.text(found, comparison, with_entries):
            click.echo(line)
    return _FOUND if reports.all_findings(found, comparison) else DONE
