"""The command that prints what changes.

Law: what is printed is whole: all that one revision did, before anything of the next one. What
was printed is not printed again, whichever nodes tell it.
"""

from __future__ import annotations

import os

import click

from kvstore import api
from kvstore.cli import render
from kvstore.cli.asking import with_client
from kvstore.cli.options import Command, option
from kvstore.client.blocking import Client
from kvstore.client.following import WatchBatch
from kvstore.exit_codes import DONE


@click.command(cls=Command, short_help="Print what changes.")
@click.argument("key", required=False)
@option("--prefix", section="Options", metavar="P", help="Of all keys that begin with P.")
@option(
    "--revision",
    section="Options",
    metavar="N",
    type=click.IntRange(min=1, max=api.REVISION_MAX),
    help="From revision N on, if it is still kept.  [default: from now on]",
)
@option("--previous", section="Options", is_flag=True, help="Print what was there before, too.")
@option(
    "--progress",
    section="Options",
    is_flag=True,
    help="Print how far nothing changed, too, after some seconds in which nothing did.",
)
@option(
    "--limit",
    section="Options",
    metavar="N",
    type=click.IntRange(min=1),
    help="Stop after N revisions that changed something.",
)
@with_client
def watch(
    client: Client,
    key: str | None,
    prefix: str | None,
    revision: int | None,
    previous: bool,
    progress: bool,
    limit: int | None,
    as_json: bool,
) -> int:
    r"""Print what changes of KEY, of the keys with a prefix, or of all keys, as it happens.

    A line is the revision, PUT or DELETE, the key and the value, with tabs between, and with
    --previous the value before; text is escaped as by scan. With --json a line is the object
    of one revision.

    It goes on at another node when one goes away, and ends when none has told anything, or
    answered, for --timeout-ms, or when what comes next is not kept any more. The error says from
    which revision on it can go on.
    """
    if key is not None and prefix is not None:
        raise click.UsageError("give either a KEY or --prefix")
    watch = client.watch(
        None if key is None else os.fsencode(key),
        prefix=None if prefix is None else os.fsencode(prefix),
        start_revision=revision,
        with_previous=previous,
        progress=progress,
        patience_s=click.get_current_context().params["timeout_ms"] / 1000,
    )
    left = limit
    with watch:
        for batch in watch:
            for line in [_json(batch)] if as_json else _lines(batch, previous):
                click.echo(line)
            if left is not None and batch.events:
                left -= 1
                if not left:
                    return DONE
    return DONE


def _lines(batch: WatchBatch, previous: bool) -> list[str]:
    if not batch.events:
        return [f"{batch.revision}\tPROGRESS"]
    return [_line(batch.revision, event, previous) for event in batch.events]


def _line(revision: int, event: api.Event, previous: bool) -> str:
    kind, now = ("DELETE", "") if event.item is None else ("PUT", render.shown(event.item.value))
    words = [str(revision), kind, render.shown(event.key), now]
    if previous:
        words.append("" if event.previous is None else render.shown(event.previous.value))
    return "\t".join(words)


def _json(batch: WatchBatch) -> str:
    events = [_fields(event) for event in batch.events]
    return render.json_line({"revision": batch.revision, "events": events})


def _fields(event: api.Event) -> dict[str, object]:
    fields: dict[str, object] = {"type": "put" if event.item is not None else "delete"}
    fields["key"] = event.key
    if event.item is not None:
        fields |= render.record_fields(event.item)
    if event.previous is not None:
        fields["previous"] = render.record_fields(event.previous)
    return fields
