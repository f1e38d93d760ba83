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
                    _measure(nodes.ports[leader.node_id], count, requests)
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
    click.echo("clients    SET/s   p50 ms")


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


def _measure(port: int, clients: int, requests: int) -> None:
    command = ["redis-benchmark", "-p", str(port), "-t", "set", "-q", "-c", str(clients)]
    command += ["-n", str(requests), "-r", str(_KEYS), "-d", str(_VALUE_BYTES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    found = _RATE.search(done.stdout.replace("\r", "\n"))
    if found is None:
        raise click.ClickException(f"redis-benchmark failed: {done.stdout}{done.stderr}")
    click.echo(f"{clients:7}  {float(found[1]):7,.0f}  {float(found[2]):7.2f}")


if __name__ == "__main__":
    sys.exit(main())
