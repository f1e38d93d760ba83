"""The command `kvstore status`: what each node says of itself, and what to do about it.

Law: asks and prints. A node that does not answer is a line like the others; what the answers
come to is for `advice`.
"""

from __future__ import annotations

import math
import os
import sys
import time
from typing import Any

import click

from kvstore import api
from kvstore.address import LOCAL_CLUSTER, parse_address
from kvstore.cli import advice, probe, render
from kvstore.cli.findings import State
from kvstore.cli.options import Command, as_json, option, options
from kvstore.cli.overview import Asked, Silence, Why
from kvstore.cli.targets import Target, all_nodes, are_named
from kvstore.config.limits import TIME_MS_CEILING
from kvstore.exit_codes import DEGRADED, DONE, NO_WRITES, UNREACHABLE

_CLEAR = "\x1b[H\x1b[2J"
_CODES = {
    State.HEALTHY: DONE,
    State.DEGRADED: DEGRADED,
    State.NO_WRITES: NO_WRITES,
    State.UNREACHABLE: UNREACHABLE,
}

settings_file = option(
    "--config",
    section="Cluster",
    metavar="FILE",
    help="The settings file of serve, which names the nodes. Also from KVSTORE_CONFIG.",
)
short_timeout = option(
    "--timeout-ms",
    section="Cluster",
    metavar="MS",
    type=click.IntRange(1, TIME_MS_CEILING),
    default=1_000,
    show_default=True,
    help="A node that says nothing for so long does not answer.",
)


class _Seconds(click.FloatRange):
    """A time in a range: what is not a number is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds


@click.command(cls=Command, short_help="Show every node, and what is to be done.")
@options(
    option(
        "--to",
        section="Cluster",
        metavar="NODES",
        help="Nodes to ask: 9001, host:port or [::1]:9001, with commas. Also from KVSTORE_TO.  "
        f"[default: those of serve's settings, else {LOCAL_CLUSTER}]",
    ),
    settings_file,
    short_timeout,
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
def status(
    to: str | None, config: str | None, timeout_ms: int, as_json: bool, watch: bool, every: float
) -> int:
    """Show who leads, since when, how far each node's log and disk have come, and what
    is to be done.

    The nodes are those of --to, else of --config, else of KVSTORE_TO, else of the
    variables and the file that serve reads; in the last case, and with --config, also the
    members that these name.

    \b
    MATCH    what the leader knows to be on the node's disk, LAG what is missing there
    FSYNC    time of the last write to the log in ms, and what 99 of 100 do not exceed
    ROOM     left on the disk; with little of it, writes are refused
    DAMAGED  log entries that the disk lost, and that are asked for at the other nodes

    \b
    Exit codes:
      0  all is well
      1  writes are taken, but something is to be done: see the warnings
      3  writes are not taken
      5  none of the nodes answers
    """
    targets = all_nodes(to, config, os.environ)
    asks_all = not are_named(to, config, os.environ)
    if not watch:
        return _show(targets, timeout_ms, as_json, "", asks_all)
    before = _CLEAR if sys.stdout.isatty() and not as_json else ""
    try:
        while True:
            _show(targets, timeout_ms, as_json, before, asks_all)
            time.sleep(every)
            if not before and not as_json:
                click.echo()
    except KeyboardInterrupt:
        return DONE


def _show(
    targets: list[Target], timeout_ms: int, as_json: bool, before: str, asks_all: bool
) -> int:
    asked = _ask(targets, timeout_ms)
    if asks_all and (others := _others(asked)):
        asked += _ask(others, timeout_ms)
    verdict = advice.judge(asked)
    if as_json:
        click.echo(render.json_line(render.status_fields(asked, verdict)))
    else:
        click.echo(before + render.status_table(asked, verdict))
    return _CODES[verdict.state]


def _ask(targets: list[Target], timeout_ms: int) -> list[Asked]:
    until = time.monotonic() + timeout_ms / 1000
    answers = probe.ask_all([one.address for one in targets], api.Call(api.Status()), until)
    return [
        Asked(str(target.address), _status_of(answer), target.node_id)
        for target, answer in zip(targets, answers, strict=True)
    ]


def _others(asked: list[Asked]) -> list[Target]:
    """The members that the settings do not name: they may be older than the cluster's nodes."""
    answers = [one.answer for one in asked if isinstance(one.answer, api.StatusResult)]
    newest = max(answers, key=lambda one: (one.leader_id == one.node_id, one.term), default=None)
    known = {one.address for one in asked} | {str(one.node_id) for one in answers}
    return [
        Target(parse_address(address), node_id)
        for node_id, address in sorted(newest.members.items() if newest else ())
        if not known & {address, str(node_id)}
    ]


def _status_of(answer: api.Result | Silence) -> api.StatusResult | Silence:
    if isinstance(answer, api.StatusResult | Silence):
        return answer
    refusal = answer.message if isinstance(answer, api.Failure) else "it answers something else"
    return Silence(Why.STRANGER, refusal)
