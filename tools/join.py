#!/usr/bin/env python3
"""What it costs to take in a node while writers are at work.

Starts three servers with default settings on free ports, each with a fresh directory below
--dir, fills them with keys, and lets writers go on. Their rate is taken; then a fourth node is
added, joins with an empty directory, gets a snapshot and the log, and votes. The exit code is
1 if a limit does not hold.

    make join
"""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click
from gauges import private_bytes
from pipelines import Writers

from kvstore import api
from kvstore.client.blocking import Client
from kvstore.demo.nodes import Interrupts, Nodes, wait_for
from kvstore.errors import KvstoreError

_MB: Final = 10**6
_VOTES_MAX_S: Final = 90.0
_RATE_MIN: Final = 0.6
_GROWTH_MAX: Final = 64 * _MB

_WRITERS: Final = 8
_WARM_UP_S: Final = 5.0
_BEFORE_S: Final = 20.0
_SAMPLE_S: Final = 0.25
_WAIT_S: Final = 600.0


class Span(NamedTuple):
    """What was seen for a while."""

    seconds: float
    puts: int
    private: int
    """The most that the leader had, in bytes."""

    @property
    def rate(self) -> float:
        return self.puts / self.seconds


class Verdict(NamedTuple):
    """One limit."""

    what: str
    found: str
    limit: str
    holds: bool


def verdicts(before: Span, joining: Span, elections: int) -> list[Verdict]:
    """Each limit, and whether it held."""
    share, growth = joining.rate / before.rate, joining.private - before.private
    return [
        Verdict(
            "a new node votes after",
            f"{joining.seconds:.1f} s",
            f"{_VOTES_MAX_S:.0f} s",
            joining.seconds < _VOTES_MAX_S,
        ),
        Verdict("elections meanwhile", str(elections), "0", elections == 0),
        Verdict(
            "rate of the writers meanwhile",
            f"{joining.rate:,.0f} SET/s, {share:.0%}",
            f"{_RATE_MIN:.0%} of {before.rate:,.0f}",
            share >= _RATE_MIN,
        ),
        Verdict(
            "the leader's private memory grows by",
            f"{growth / _MB:.0f} MB",
            f"{_GROWTH_MAX / _MB:.0f} MB",
            growth < _GROWTH_MAX,
        ),
    ]


@click.command()
@click.option("--keys", type=click.IntRange(min=1_000), default=1_000_000, show_default=True)
@click.option("--value-bytes", type=click.IntRange(min=0), default=256, show_default=True)
@click.option("--dir", "parent", default=".", show_default=True, help="On the disk to use.")
def main(keys: int, value_bytes: int, parent: str) -> None:
    """What it costs to take in a node while writers are at work."""
    directory = Path(tempfile.mkdtemp(prefix="kvstore-join-", dir=parent)).resolve()
    try:
        with Interrupts() as interrupts:
            nodes = Nodes(directory, interrupts)
            try:
                nodes.start()
                found = _measure(nodes, keys, value_bytes)
            finally:
                interrupts.ignore()
                nodes.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    _tell(found)
    sys.exit(not all(verdict.holds for verdict in found))


def _measure(nodes: Nodes, keys: int, value_bytes: int) -> list[Verdict]:
    wait_for(lambda: nodes.agreed_leader([*nodes.ports]), "a leader")
    click.echo(f"date      {datetime.datetime.now(datetime.UTC):%Y-%m-%d}")
    click.echo(
        f"machine   {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"python {platform.python_version()}"
    )
    click.echo(f"keys      {keys:,} of {value_bytes} bytes")
    loading = Writers(nodes, count=_WRITERS, keys=keys, value_bytes=value_bytes)
    loading.start(keys)
    loading.finish()
    writers = Writers(nodes, count=_WRITERS, keys=keys, value_bytes=value_bytes)
    writers.start()
    try:
        return _join(nodes, writers)
    finally:
        writers.stop()


def _join(nodes: Nodes, writers: Writers) -> list[Verdict]:
    """Let a node join, and watch what that does to the others."""
    old = [*nodes.ports]
    before_it = wait_for(lambda: nodes.agreed_leader(old), "a leader")
    leader = before_it.node_id
    _watch(nodes, leader, writers, _has_lasted(_WARM_UP_S))
    before = _watch(nodes, leader, writers, _has_lasted(_BEFORE_S))
    with Client([nodes.address(node) for node in old], timeout_ms=30_000) as client:
        began_s = time.monotonic()
        new = nodes.reserve_one()
        client.add_member(new, nodes.address(new))
        nodes.join_one(new, leader)
        joining = _watch(nodes, leader, writers, lambda: _votes(client, new), began_s)
    after_it = wait_for(lambda: nodes.agreed_leader(old), "a leader")
    return verdicts(before, joining, after_it.term - before_it.term)


def _watch(
    nodes: Nodes,
    leader: int,
    writers: Writers,
    is_over: Callable[[], bool],
    began_s: float | None = None,
) -> Span:
    """Look at the leader until it is over."""
    began_s = time.monotonic() if began_s is None else began_s
    first, most = writers.acknowledged, 0

    def look() -> bool:
        nonlocal most
        most = max(most, private_bytes(nodes.pid(leader)))
        time.sleep(_SAMPLE_S)
        return is_over()

    wait_for(look, "what is watched is over", _WAIT_S)
    return Span(time.monotonic() - began_s, writers.acknowledged - first, most)


def _has_lasted(seconds: float) -> Callable[[], bool]:
    until_s = time.monotonic() + seconds
    return lambda: time.monotonic() >= until_s


def _votes(client: Client, node: int) -> bool:
    try:
        found = client.members()
    except KvstoreError:
        return False
    voters = [one.node_id for one in found.members if one.role is api.MemberRole.VOTER]
    return found.is_settled and node in voters


def _tell(found: Sequence[Verdict]) -> None:
    click.echo("")
    for verdict in found:
        word = "holds" if verdict.holds else "BROKEN"
        click.echo(f"{verdict.what:38}  {verdict.found:>20}  {verdict.limit:>20}  {word}")


if __name__ == "__main__":
    main()
