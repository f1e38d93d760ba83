"""The command `kvstore health`: one node, one line, one exit code, for who supervises it.

Law: asks this node alone. What it says is at most as old as the question.
"""

from __future__ import annotations

import os
import time

import click

from kvstore import api
from kvstore.address import Address
from kvstore.cli import probe
from kvstore.cli.advice import reason_not_ready, unapplied
from kvstore.cli.options import Command, option, options
from kvstore.cli.overview import Silence, Why
from kvstore.cli.status import settings_file, short_timeout
from kvstore.cli.targets import this_node
from kvstore.exit_codes import DONE, NOT_READY, UNREACHABLE
from kvstore.printable import printable

_ALIVE = (Why.FULL,)
"""Silences that say that the process does its work."""

_NOT_CONFIRMED = "no majority confirmed a read in time"


@click.command(cls=Command, short_help="Tell whether one node lives, or is ready.")
@options(
    option(
        "--to",
        section="Cluster",
        metavar="NODE",
        help="The node: 9001, host:port or [::1]:9001.  [default: that of serve's settings]",
    ),
    settings_file,
    short_timeout,
    option("--live", "wanted", section="Options", flag_value="live", help="Does it answer?"),
    option(
        "--ready",
        "wanted",
        section="Options",
        flag_value="ready",
        default="ready",
        help="Does it do its part? (Stands unless --live is given.)",
    ),
)
def health(to: str | None, config: str | None, timeout_ms: int, wanted: str) -> int:
    """Tell whether a node lives, or is ready, in one line.

    The node is that of --to, else of the settings that serve reads (--config, variables),
    so the same environment does for both.

    A node is live if its process answers. It is ready if it can read here what a majority
    confirms, knows who leads, counts towards majorities, and has all of its log: then
    the next node may be restarted. A node whose disk is nearly full is ready: it reads,
    it sends writes to the leader, and a restart would not help.

    \b
    Exit codes:
      0  it is
      1  it answers, but is not ready; the line says why
      5  it does not answer
    """
    node = this_node(to, config, os.environ).address
    until = time.monotonic() + timeout_ms / 1000
    (answer,) = probe.ask_all([node], api.Call(api.Status()), until)
    if isinstance(answer, Silence) and answer.why not in _ALIVE:
        return _tell(f"no answer from {node}: {answer.why.value}, {answer.reason}", UNREACHABLE)
    if wanted == "live":
        return _tell(f"live: {node} answers", DONE)
    if reason := _reason_not_ready(node, answer, until):
        return _tell(f"not ready: {reason}", NOT_READY)
    assert isinstance(answer, api.StatusResult)
    leads = "leads" if answer.leader_id == answer.node_id else f"follows node {answer.leader_id}"
    room = ", and is short of room" if answer.is_short_of_room else ""
    return _tell(f"ready: node {answer.node_id} {leads} in term {answer.term}{room}", DONE)


def _reason_not_ready(node: Address, answer: api.Result | Silence, until: float) -> str | None:
    if not isinstance(answer, api.StatusResult):
        return f"{node} {_instead(answer)}"
    if reason := reason_not_ready(answer):
        return f"node {answer.node_id}: {reason}"
    # What the node believes may be old; what a majority confirms now is not.
    read = api.Call(api.Get((b"kvstore",), with_values=False), from_any=True)
    (found,) = probe.ask_all([node], read, until)
    if isinstance(found, api.GetResult):
        return None
    if isinstance(found, Silence) and found.why is Why.FROZEN:
        not_applied = unapplied(answer)
        why = f"it has {not_applied} still to apply" if not_applied else _NOT_CONFIRMED
        return f"node {answer.node_id}: {why}"
    return f"node {answer.node_id}: {_instead(found)}"


def _instead(answer: api.Result | Silence) -> str:
    """What came instead of what was asked for."""
    if isinstance(answer, api.Failure):
        return answer.message
    if isinstance(answer, Silence):
        is_full = answer.why is Why.FULL
        words = "has no place for another connection"
        return words if is_full else f"{answer.why.value}, {answer.reason}"
    return "answers something else"


def _tell(line: str, code: int) -> int:
    click.echo(printable(line))
    return code
