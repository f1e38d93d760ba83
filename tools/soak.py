#!/usr/bin/env python3
"""Whether a cluster stays small and fast, however much is written.

Starts three servers with default settings on free ports, each with a fresh directory below
--dir, and puts the same keys over and over in pipelines. Each second it looks at the files
and the private memory of each node. Then it kills a follower, writes on, starts it again, and
takes the time until it listens and until it has caught up. The exit code is 1 if a limit
does not hold.

    make soak
    make soak PUTS=300000
"""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import click
from gauges import NOTHING, Gauges, highest, look_at
from pipelines import Writers

from kvstore.demo.nodes import Interrupts, Nodes, wait_for
from kvstore.errors import KvstoreError

_MB: Final = 10**6
_FILES_MAX: Final = 300 * _MB
_PRIVATE_MAX: Final = 150 * _MB
_LISTENS_MAX_S: Final = 3.0
_SLOWER_MAX: Final = 0.15

_WRITERS: Final = 8
_MISSED_MAX: Final = 50_000
"""Puts while the follower is away: what all keep for those who lag a little."""
_CATCH_UP_S: Final = 300.0
_SAMPLE_S: Final = 1.0
_SAMPLES_MAX: Final = 24 * 3_600
"""A soak that takes longer is none that anybody waits for."""
_MINUTE_S: Final = 60.0
_ROWS: Final = 10
"""In the table of a run that is too short for a row a minute."""


class Sample(NamedTuple):
    """When so many puts were acknowledged."""

    at_s: float
    puts: int


class Measured(NamedTuple):
    """What is held against the limits."""

    highest: dict[int, Gauges]
    samples: Sequence[Sample]
    listens_s: float
    caught_up_s: float


class Verdict(NamedTuple):
    """One limit; `holds` is None where the run tells nothing of it."""

    what: str
    found: str
    limit: str
    holds: bool | None


# --- Judgement ----------------------------------------------------------------------------


def rate(samples: Sequence[Sample], since_s: float, until_s: float) -> float:
    """Puts a second, between the samples that are the closest inside."""
    inside = [sample for sample in samples if since_s <= sample.at_s <= until_s]
    first, last = inside[0], inside[-1]
    return (last.puts - first.puts) / (last.at_s - first.at_s)


def verdicts(measured: Measured) -> list[Verdict]:
    """Each limit, and whether it held."""
    files = max(gauges.files for gauges in measured.highest.values())
    private = max(gauges.private for gauges in measured.highest.values())
    return [
        Verdict(
            "log and state of a node, at most",
            f"{files / _MB:.0f} MB",
            f"{_FILES_MAX / _MB:.0f} MB",
            files < _FILES_MAX,
        ),
        Verdict(
            "private memory of a node, at most",
            f"{private / _MB:.0f} MB",
            f"{_PRIVATE_MAX / _MB:.0f} MB",
            private < _PRIVATE_MAX,
        ),
        Verdict(
            "a killed node listens after",
            f"{measured.listens_s:.1f} s",
            f"{_LISTENS_MAX_S:.0f} s",
            measured.listens_s < _LISTENS_MAX_S,
        ),
        Verdict("and has caught up after", f"{measured.caught_up_s:.1f} s", "-", None),
        _slowed(measured.samples),
    ]


def _slowed(samples: Sequence[Sample]) -> Verdict:
    """The last minute against the first, of runs that have two."""
    began_s, ended_s = samples[0].at_s, samples[-1].at_s
    what, limit = "rate of the last minute", f"{1 - _SLOWER_MAX:.0%} of the first"
    if ended_s - began_s < 2 * _MINUTE_S:
        return Verdict(what, "the run was too short", limit, None)
    first = rate(samples, began_s, began_s + _MINUTE_S)
    last = rate(samples, ended_s - _MINUTE_S, ended_s)
    return Verdict(
        what,
        f"{last:,.0f} SET/s, {last / first:.0%}",
        f"{limit}, {first:,.0f}",
        last >= first * (1 - _SLOWER_MAX),
    )


# --- The run ------------------------------------------------------------------------------


@click.command()
@click.option(
    "--puts", type=click.IntRange(min=1_000), default=20_000_000, show_default=True, help="In all."
)
@click.option("--keys", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--value-bytes", type=click.IntRange(min=0), default=256, show_default=True)
@click.option("--dir", "parent", default=".", show_default=True, help="On the disk to use.")
def main(puts: int, keys: int, value_bytes: int, parent: str) -> None:
    """Whether a cluster stays small and fast, however much is written."""
    directory = Path(tempfile.mkdtemp(prefix="kvstore-soak-", dir=parent)).resolve()
    try:
        with Interrupts() as interrupts:
            nodes = Nodes(directory, interrupts)
            try:
                nodes.start()
                measured = _measure(nodes, puts, keys, value_bytes)
            finally:
                interrupts.ignore()
                nodes.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    found = verdicts(measured)
    _tell(found)
    sys.exit(any(verdict.holds is False for verdict in found))


def _measure(nodes: Nodes, puts: int, keys: int, value_bytes: int) -> Measured:
    began = wait_for(lambda: nodes.agreed_leader([*nodes.ports]), "a leader")
    click.echo(f"date      {datetime.datetime.now(datetime.UTC):%Y-%m-%d}")
    click.echo(
        f"machine   {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"python {platform.python_version()}"
    )
    click.echo(f"puts      {puts:,} of {value_bytes} bytes, into {keys:,} keys")
    writers = Writers(nodes, count=_WRITERS, keys=keys, value_bytes=value_bytes)
    writers.start(puts)
    samples, most = _watch(nodes, writers, puts)
    writers.finish()
    listens_s, caught_up_s = _restart(nodes, min(puts // 10, _MISSED_MAX), keys, value_bytes)
    leader = wait_for(lambda: nodes.agreed_leader([*nodes.ports]), "a leader")
    click.echo(
        f"writers looked for the leader again {writers.interruptions} times, "
        f"and {leader.term - began.term} more terms began"
    )
    return Measured(most, samples, listens_s, caught_up_s)


def _watch(nodes: Nodes, writers: Writers, puts: int) -> tuple[list[Sample], dict[int, Gauges]]:
    """Look at all nodes each second until all is written; what was most of each."""
    click.echo("")
    click.echo(
        "      s        puts   SET/s"
        + "".join(f"   n{node}: log state private" for node in nodes.ports)
    )
    samples = [Sample(time.monotonic(), writers.acknowledged)]
    most = dict.fromkeys(nodes.ports, NOTHING)
    told = samples[0]
    for _ in range(_SAMPLES_MAX):
        if writers.are_done:
            break
        time.sleep(_SAMPLE_S)
        sample = Sample(time.monotonic(), writers.acknowledged)
        samples.append(sample)
        now = {node: look_at(nodes, node) for node in nodes.ports}
        most = {node: highest(most[node], now[node]) for node in nodes.ports}
        is_due = sample.at_s - told.at_s >= _MINUTE_S or sample.puts - told.puts >= puts / _ROWS
        if is_due or writers.are_done:
            _print_row(samples[0], told, sample, now)
            told = sample
    click.echo("")
    return samples, most


def _print_row(start: Sample, before: Sample, now: Sample, gauges: dict[int, Gauges]) -> None:
    set_rate = (now.puts - before.puts) / (now.at_s - before.at_s)
    click.echo(
        f"{now.at_s - start.at_s:7.0f}  {now.puts:10,}  {set_rate:6,.0f}"
        + "".join(
            f"   {one.log / _MB:7.1f} {one.state / _MB:5.1f} {one.private / _MB:7.1f}"
            for one in gauges.values()
        )
    )


def _restart(nodes: Nodes, missed: int, keys: int, value_bytes: int) -> tuple[float, float]:
    """Kill a follower, and write on; then how long it takes to listen, and to catch up, in s."""
    leader = wait_for(lambda: nodes.agreed_leader([*nodes.ports]), "a leader").node_id
    node = nodes.others(leader)[0]
    nodes.kill(node)
    writers = Writers(nodes, count=_WRITERS, keys=keys, value_bytes=value_bytes)
    writers.start(missed)
    writers.finish()
    target = nodes.status(leader).commit_index
    began_s = time.monotonic()
    nodes.start_one(node)
    wait_for(lambda: _listens(nodes.ports[node]), "the node listens", _CATCH_UP_S)
    listens_s = time.monotonic() - began_s
    wait_for(lambda: _has_applied(nodes, node, target), "the node has caught up", _CATCH_UP_S)
    return listens_s, time.monotonic() - began_s


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def _has_applied(nodes: Nodes, node: int, index: int) -> bool:
    try:
        return nodes.status(node).last_applied >= index
    except KvstoreError:
        return False


def _tell(found: Sequence[Verdict]) -> None:
    words = {True: "holds", False: "BROKEN", None: "not judged"}
    click.echo("")
    for verdict in found:
        click.echo(
            f"{verdict.what:34}  {verdict.found:>24}  {verdict.limit:>24}  {words[verdict.holds]}"
        )


if __name__ == "__main__":
    main()
