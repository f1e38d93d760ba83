"""The command `kvstore check`: whether all nodes hold the same.

Law: what is told is what the leader found. It ends well only if a majority holds the same, and
no node something else.
"""

from __future__ import annotations

import click

from kvstore import api
from kvstore.cli import render
from kvstore.cli.asking import with_client
from kvstore.cli.findings import nodes
from kvstore.cli.options import Command
from kvstore.client.blocking import Client
from kvstore.exit_codes import DIFFER, DONE, UNKNOWN


@click.command(cls=Command, short_help="Compare what the nodes hold, while they serve.")
@with_client
def check(client: Client, as_json: bool) -> int:
    """See whether all nodes hold the same, as of one entry of the log.

    Each node reads all its data for that, a little at a time, and goes on to serve. Who differs
    from a majority of the voters is named. The leader does it by itself once a day, unless
    --check-every of the nodes says otherwise.
    """
    result = client.check()
    if as_json:
        click.echo(render.json_line(_fields(result)))
    else:
        click.echo("\n".join(_lines(result)))
    if result.differ or result.is_disputed:
        return DIFFER
    return DONE if result.is_decided else UNKNOWN


def _agreeing(result: api.CheckResult) -> list[int]:
    """The nodes that hold what a majority does."""
    return sorted({*result.digests} - {*result.differ}) if result.is_decided else []


def _fields(result: api.CheckResult) -> dict[str, object]:
    return {
        "index": result.index,
        "decided": result.is_decided,
        "agree": _agreeing(result),
        "differ": [*result.differ],
        "absent": [*result.absent],
        "silent": [*result.silent],
        "digests": {str(node): digest for node, digest in result.digests.items()},
    }


def _lines(result: api.CheckResult) -> list[str]:
    lines = [_first_line(result)]
    if result.differ:
        lines.append(f"{nodes(result.differ)}: not what the others hold")
    if result.absent:
        lines.append(f"{nodes(result.absent)}: not compared: no room, no time, or started since")
    if result.silent:
        lines.append(f"{nodes(result.silent)}: no answer")
    return lines


def _first_line(result: api.CheckResult) -> str:
    as_of = f"as of log entry {result.index}"
    if result.is_decided:
        return f"{nodes(_agreeing(result))}: the same {as_of}"
    if result.is_disputed:
        return f"{nodes(result.digests)}: not the same {as_of}, and no majority is"
    return f"too few nodes could be compared {as_of}"
