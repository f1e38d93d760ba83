"""The command `kvstore status`: what each node says of itself, once or again and again.

Law: asks and prints. A node that does not answer is a line like the others.
"""

from __future__ import annotations

import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from kvstore import api, render
from kvstore.address import parse_addresses
from kvstore.client import Client
from kvstore.errors import RefusedError, UnreachableError
from kvstore.exit_codes import DONE, UNREACHABLE
from kvstore.options import Command, as_json, option, options, timeout, to_nodes

_CLEAR = "\x1b[H\x1b[2J"


class _Seconds(click.FloatRange):
    """A time in a range: what is not a number is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds


@click.command(cls=Command, short_help="Show every node: role, term, leader, log, disk.")
@options(
    to_nodes,
    timeout,
    as_json,
    option("--watch", section="Output", is_flag=True, help="Again and again, until Ctrl-C."),
    option(
        "--every",
        section="Output",
        metavar="SECONDS",
        type=_Seconds(0.1, 86_400.0),
        default=1.0,
        show_default=True,
        help="Pause of --watch.",
    ),
)
def status(to: str, timeout_ms: int, as_json: bool, watch: bool, every: float) -> int:
    """Show who leads, since when, and how far each node's log and disk have come.

    \b
    MATCH    what the leader knows to be on the node's disk, LAG what is missing there
    FSYNC    time of the last write to the log in ms, and what 99 of 100 do not exceed
    ROOM     left on the disk; with little of it, writes are refused
    DAMAGED  log entries that the disk lost, and that are asked for at the other nodes

    The exit code is 5 if none of the nodes answers.
    """
    addresses = [str(address) for address in parse_addresses(to)]
    if not watch:
        return _show(addresses, timeout_ms, as_json, "")
    before = _CLEAR if sys.stdout.isatty() and not as_json else ""
    try:
        while True:
            _show(addresses, min(timeout_ms, 1_000), as_json, before)
            time.sleep(every)
            if not before and not as_json:
                click.echo()
    except KeyboardInterrupt:
        return DONE


def _show(addresses: list[str], timeout_ms: int, as_json: bool, before: str) -> int:
    """Ask all nodes side by side, as one that is paused keeps its caller waiting to the end."""

    def ask(address: str) -> api.StatusResult | str:
        try:
            with Client(address, timeout_ms) as client:
                return client.status(address)
        except UnreachableError as error:
            return f"unreachable: {str(error).removeprefix(f'node at {address}: ')}"
        except RefusedError as error:
            return f"not a kvstore node: {error}"

    with ThreadPoolExecutor(len(addresses)) as threads:
        statuses = list(zip(addresses, threads.map(ask, addresses), strict=True))
    if as_json:
        for address, answer in statuses:
            click.echo(render.status_json(address, answer))
    else:
        click.echo(before + render.status_table(statuses))
    return UNREACHABLE if all(isinstance(answer, str) for _, answer in statuses) else DONE
