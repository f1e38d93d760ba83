#!/usr/bin/env python3
"""Writes per second against three local nodes, as redis-benchmark measures them.

Starts three servers with default settings on free ports, each with a fresh
directory below --dir, sends the leader SETs of 100-byte values over 10,000 random
keys from each number of clients, and prints a table with what is needed to read
it: the machine, the interpreter, and how long one fdatasync takes on that disk.

A machine that is shared differs from itself by a third within minutes. So two
versions are compared in short bursts by turns, each with the next:

    make bench
    git worktree add ../before SOME-COMMIT && make bench AGAINST=../before
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from kvstore.demo.nodes import Interrupts, Nodes, wait_for

_VALUE_BYTES = 100
_KEYS = 10_000
_SYNCS = 300
_PAIRS = 20
_CLIENT = 0
"""Stands for redis-benchmark where node ids stand for nodes."""
_RATE = re.compile(r"SET: ([\d.]+) requests per second, p50=([\d.]+) msec")


class Burst(NamedTuple):
    """What one run of redis-benchmark showed; processor times in us per SET."""

    rate: float
    p50_ms: float
    leader_us: float
    follower_us: float
    client_us: float


class Cluster:
    """Three nodes, and how they are measured."""

    def __init__(self, directory: Path, interrupts: Interrupts, checkout: Path | None) -> None:
        directory.mkdir()
        self.nodes = Nodes(directory, interrupts, checkout)
        self._leader = 0

    def start(self) -> None:
        """Start them, and wait for a leader."""
        self.nodes.start()
        self._leader = wait_for(self._find_leader, "a leader")

    def _find_leader(self) -> int | None:
        """Who takes a write: Redis' protocol is what all versions have in common."""
        for node, port in self.nodes.ports.items():
            command = ["redis-cli", "-p", str(port), "SET", "key", "value"]
            done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603
            if done.stdout.strip() == b"OK":
                return node
        return None

    def measure(self, clients: int, requests: int) -> Burst:
        """One run. Raises `ClickException` if it fails."""
        command = ["redis-benchmark", "-p", str(self.nodes.ports[self._leader]), "-t", "set", "-q"]
        command += ["-c", str(clients), "-n", str(requests), "-r", str(_KEYS)]
        command += ["-d", str(_VALUE_BYTES)]
        before = self._processor_seconds()
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        found = _RATE.search(done.stdout.replace("\r", "\n"))
        if found is None:
            raise click.ClickException(f"redis-benchmark failed: {done.stdout}{done.stderr}")
        after = self._processor_seconds()
        spent = {who: (after[who] - before[who]) / requests * 1e6 for who in after}
        followers = statistics.mean(spent[node] for node in self.nodes.others(self._leader))
        return Burst(
            float(found[1]), float(found[2]), spent[self._leader], followers, spent[_CLIENT]
        )

    def _processor_seconds(self) -> dict[int, float]:
        """What each node, and all clients so far, have used, user and system together."""
        tick = os.sysconf("SC_CLK_TCK")
        used = {}
        for node in self.nodes.ports:
            stat = Path(f"/proc/{self.nodes.pid(node)}/stat").read_text()
            fields = stat.rsplit(")", 1)[1].split()
            used[node] = (int(fields[11]) + int(fields[12])) / tick
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {**used, _CLIENT: children.ru_utime + children.ru_stime}


@click.command()
@click.option("--clients", default="64,256", show_default=True, help="Numbers of clients.")
@click.option(
    "--requests",
    type=click.IntRange(min=_PAIRS),
    default=100_000,
    show_default=True,
    help="Writes for each number.",
)
@click.option("--dir", "parent", default=".", show_default=True, help="On the disk to measure.")
@click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Another checkout to compare with.",
)
def main(clients: str, requests: int, parent: str, against: Path | None) -> None:
    """Measure writes per second against three local nodes."""
    if shutil.which("redis-benchmark") is None:
        raise click.ClickException("redis-benchmark is missing; install redis-tools")
    directory = Path(tempfile.mkdtemp(prefix="kvstore-bench-", dir=parent)).resolve()
    try:
        _print_machine(directory)
        with Interrupts() as interrupts:
            checkouts = [None, against] if against else [None]
            clusters = [
                Cluster(directory / str(number), interrupts, checkout)
                for number, checkout in enumerate(checkouts)
            ]
            try:
                for cluster in clusters:
                    cluster.start()
                click.echo("                            processor time, us per SET")
                click.echo("clients    SET/s   p50 ms    leader  follower    client")
                for count in map(int, clients.split(",")):
                    if against is None:
                        _print_row(f"{count:7}", clusters[0].measure(count, requests))
                    else:
                        _compare(clusters, count, requests)
            finally:
                interrupts.ignore()
                for cluster in clusters:
                    cluster.nodes.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _compare(clusters: Sequence[Cluster], count: int, requests: int) -> None:
    """Bursts by turns, of which each pair sees the same machine; medians of them, and of ratios."""
    pairs: list[tuple[Burst, Burst]] = []
    for number in range(_PAIRS):
        order = (0, 1) if number % 2 else (1, 0)
        bursts = {which: clusters[which].measure(count, requests // _PAIRS) for which in order}
        pairs.append((bursts[0], bursts[1]))
    this, other = ([pair[which] for pair in pairs] for which in (0, 1))
    _print_row(f"{count:7}", _median(this))
    _print_row("against", _median(other))
    ratios = [one.rate / two.rate for one, two in pairs]
    low, middle, high = statistics.quantiles(ratios, n=4)
    click.echo(f"         {middle:.2f} times the other's SET/s (quartiles {low:.2f}, {high:.2f})")


def _median(bursts: Sequence[Burst]) -> Burst:
    return Burst(*map(statistics.median, zip(*bursts, strict=True)))


def _print_row(label: str, burst: Burst) -> None:
    click.echo(
        f"{label}  {burst.rate:7,.0f}  {burst.p50_ms:7.1f}  {burst.leader_us:8.0f}"
        f"  {burst.follower_us:8.0f}  {burst.client_us:8.0f}"
    )


def _print_machine(directory: Path) -> None:
    load = os.getloadavg()[0]
    click.echo(f"date      {datetime.datetime.now(datetime.UTC):%Y-%m-%d}")
    click.echo(f"machine   {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}")
    click.echo(
        f"python    {platform.python_version()}, {_loop_ms():.0f} ms for an empty loop of 10^7"
    )
    click.echo(f"fdatasync {_sync_ms(directory):.2f} ms (median of {_SYNCS})")
    click.echo("")


def _loop_ms() -> float:
    """How fast this interpreter is here: builds of one version differ by a factor of two."""
    began = time.perf_counter()
    for _ in range(10**7):
        pass
    return (time.perf_counter() - began) * 1000


def _sync_ms(directory: Path) -> float:
    """Median time in ms of a write of 8 KiB at the end of a file, made durable."""
    times = []
    fd = os.open(directory / "sync", os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for number in range(_SYNCS):
            os.pwrite(fd, bytes(8192), number * 8192)
            began = time.perf_counter()
            os.fdatasync(fd)
            times.append(time.perf_counter() - began)
    finally:
        os.close(fd)
    return statistics.median(times) * 1000


if __name__ == "__main__":
    sys.exit(main())
