"""The command that tells what a key was.

Law: one line a version, the last one first, and nothing that was not told.
"""

from __future__ import annotations

import os

import click

from kvstore import api
from kvstore.cli import render
from kvstore.cli.asking import with_client
from kvstore.cli.keys import check_reads, from_any_option, stale_option
from kvstore.cli.options import Command, option, options
from kvstore.client.blocking import Client
from kvstore.exit_codes import DONE, NOT_FOUND


@click.command(cls=Command)
@click.argument("key")
@option(
    "--before",
    section="Options",
    metavar="REVISION",
    type=click.IntRange(1, api.REVISION_MAX),
    default=None,
    help="Leave out what came by this revision and later ones.",
)
@option("--limit", section="Options", metavar="N", type=click.IntRange(min=1), help="Stop after N.")
@options(stale_option, from_any_option)
@with_client
def history(
    client: Client,
    key: str,
    before: int | None,
    limit: int | None,
    stale: bool,
    from_any: bool,
    as_json: bool,
) -> int:
    """Print what KEY was, the last version first, as far back as history goes.

    A line is the revision by which a version came, its number since the key was made, and its
    value; or that the key was deleted. With --json a line is the object of one version.
    """
    check_reads(stale, from_any)
    found = False
    name = os.fsencode(key)
    for one in client.history(name, before=before or 0, limit=limit, stale=stale):
        found = True
        click.echo(_json_line(name, one) if as_json else _line(one))
    if not found:
        click.echo(f"nothing is kept of {render.shown(name)}", err=True)
    return DONE if found else NOT_FOUND


def _line(one: api.Version) -> str:
    if one.item is None:
        return f"{one.revision}\tdeleted"
    return f"{one.revision}\tversion {one.item.version}\t{render.shown(one.item.value)}"


def _json_line(key: bytes, one: api.Version) -> str:
    fields = {"key": key} if one.item is None else render.record_fields(one.item)
    return render.json_line({"revision": one.revision, "deleted": one.item is None, **fields})
