"""The command `kvstore defrag`: a stopped node's files, without the room that they do not use.

Law: options in, a line out. What is done, and how, is for storage.
"""

from __future__ import annotations

import time
from pathlib import Path

import click

from kvstore.cli import node_options as given
from kvstore.cli import patience, render
from kvstore.cli.options import Command, as_json, options
from kvstore.exit_codes import DONE


@click.command(cls=Command, short_help="Give back room that a stopped node's files do not use.")
@options(
    given.stopped_data("The data directory."),
    as_json,
)
def defrag(data: Path, as_json: bool) -> int:
    """Write the files of a data directory anew, without what is no longer in use.

    The server must be stopped. While it runs, what is freed in its files serves again, so they stay
    as long as they ever were: this is for a directory that has become mostly empty. The copy
    needs as much room as the data. Interrupted at any moment, the directory is as it was,
    or defragmented.
    """
    # Other commands should not wait for the storage's modules to load.
    from kvstore.storage.defragmenting import defragment_directory

    waiting = (time.monotonic(), f"copies the files of {data}")
    with patience.told(lambda: waiting):
        found = defragment_directory(data)
    if as_json:
        before = {one.name: one.before_bytes for one in found}
        after = {one.name: one.after_bytes for one in found}
        click.echo(
            render.json_line({"data": str(data), "before_bytes": before, "after_bytes": after})
        )
    else:
        for one in found:
            click.echo(
                f"{data / one.name}: {render.size(one.before_bytes)} before, "
                f"{render.size(one.after_bytes)} now"
            )
    return DONE
