#!/usr/bin/env python3
"""Writes per second against three local nodes, as redis-benchmark measures them.

Starts three servers with default settings on free ports, each with a fresh
directory below --dir, sends the leader SETs of 100-byte values over 10,000 random
keys from each number of clients, and prints a table with what is needed to read
it: the machine, the interpreter, and how long one fdatasync takes on that disk.

    make bench
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
from pathlib import Path

import click

from kvstore.demo.nodes import Interrupts, Nodes, wait_for

_VALUE_BYTES = 100
_KEYS = 10_000
_SYNCS = 300
_CLIENT = 0
"""Stands for redis-benchmark where node ids stand for nodes."""
_RATE = re.compile(r"SET: ([\d.]+) requests per second, p50=([\d.]+) msec")


@click.command()
@click.option("--clients", default="64,256", show_default=True, help="Numbers of clients.")
@click.option("--requests", default=100_000, show_default=True, help="Writes for each number.")
@click.option("--dir", "parent", default=".", show_default=True, help="On the disk to measure.")
def main(clients: str, requests: int, parent: str) -> None:
    """Measure writes per second against three local nodes."""
    if shutil.which("redis-benchmark") is None:
        raise click.ClickException("redis-benchmark is missing; install redis-tools")
    directory = Path(tempfile.mkdtemp(prefix="kvstore-bench-", dir=parent))
    try:
        _print_machine(directory)
        with Interrupts() as interrupts:
            nodes = Nodes(directory, interrupts)
            try:
                nodes.start()
                leader = wait_for(lambda: nodes.agreed_leader([*nodes.ports]), "a leader")
                for count in map(int, clients.split(",")):
                    _measure(nodes, leader.node_id, count, requests)
            finally:
                interrupts.ignore()
                nodes.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _print_machine(directory: Path) -> None:
    load = os.getloadavg()[0]
    click.echo(f"date      {datetime.datetime.now(datetime.UTC):%Y-%m-%d}")
    click.echo(f"machine   {platform.machine()}, {os.cpu_count()} cores, load {load:.1f}")
    click.echo(
        f"python    {platform.python_version()}, {_loop_ms():.0f} ms for an empty loop of 10^7"
    )
    click.echo(f"fdatasync {_sync_ms(directory):.2f} ms (median of {_SYNCS})")
    click.echo("")
    click.echo("                            processor time, us per SET")
    click.echo("clients    SET/s   p50 ms    leader  follower    client")


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


def _measure(nodes: Nodes, leader: int, clients: int, requests: int) -> None:
    command = ["redis-benchmark", "-p", str(nodes.ports[leader]), "-t", "set", "-q"]
    command += ["-c", str(clients), "-n", str(requests), "-r", str(_KEYS), "-d", str(_VALUE_BYTES)]
    before = _processor_seconds(nodes)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    found = _RATE.search(done.stdout.replace("\r", "\n"))
    if found is None:
        raise click.ClickException(f"redis-benchmark failed: {done.stdout}{done.stderr}")
    after = _processor_seconds(nodes)
    spent = {who: (after[who] - before[who]) / requests * 1e6 for who in after}
    followers = [spent[node] for node in nodes.others(leader)]
    click.echo(
        f"{clients:7}  {float(found[1]):7,.0f}  {float(found[2]):7.1f}  {spent[leader]:8.0f}"
        f"  {statistics.mean(followers):8.0f}  {spent[_CLIENT]:8.0f}"
    )


def _processor_seconds(nodes: Nodes) -> dict[int, float]:
    """What each node, and all clients so far, have used, user and system together."""
    tick = os.sysconf("SC_CLK_TCK")
    used = {}
    for node in nodes.ports:
        fields = Path(f"/proc/{nodes.pid(node)}/stat").read_text().rsplit(")", 1)[1].split()
        used[node] = (int(fields[11]) + int(fields[12])) / tick
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {**used, _CLIENT: children.ru_utime + children.ru_stime}


if __name__ == "__main__":
    sys.exit(main())
