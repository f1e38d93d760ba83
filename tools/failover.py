#!/usr/bin/env python3
"""How long writes wait when the leader is killed.

Starts three servers with default settings on free ports, each with a fresh directory below
--dir, and lets writers put keys through `kvstore.Client`, each key once, all the time.
Then, again and again, the leader gets SIGKILL. The outage is the time from the kill to the
first acknowledgement of a write that was begun after it, by any writer. The killed node is
started again and catches up before the next kill. In the end every acknowledged write is
read back. The exit code is 1 if one is lost.

    make failover
"""

from __future__ import annotations

import datetime
import os
import platform
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import click

from kvstore import api
from kvstore.client.blocking import Client
from kvstore.demo.nodes import Interrupts, Nodes, wait_for
from kvstore.errors import KvstoreError, OutcomeUnknownError

_PAUSE_S = 0.01
"""Of a writer, after each write."""
_CALM_S = (0.3, 1.3)
"""Between the return of a killed node and the next kill."""
_TIMEOUT_MS = 20_000


@dataclass
class Writer:
    """Writes one key after the other, and notes what came of each.

    * `acknowledged`: when each key's write was begun and acknowledged, in seconds.
    """

    name: str
    addresses: list[str]
    acknowledged: dict[str, tuple[float, float]] = field(default_factory=dict)
    unknown: int = 0
    refused: int = 0

    def run(self, stops: threading.Event) -> None:
        """Until it is told to stop."""
        with Client(self.addresses, _TIMEOUT_MS) as client:
            number = 0
            while not stops.wait(_PAUSE_S):
                number += 1
                self._write(client, f"{self.name}.{number}")

    def _write(self, client: Client, key: str) -> None:
        began = time.monotonic()
        try:
            client.put(key.encode(), key.encode())
        except OutcomeUnknownError:
            self.unknown += 1
        except KvstoreError:
            self.refused += 1
        else:
            self.acknowledged[key] = (began, time.monotonic())


@click.command()
@click.option("--kills", default=30, show_default=True, help="How often the leader is killed.")
@click.option("--writers", default=8, show_default=True, help="Writers, each with its client.")
@click.option("--dir", "parent", default=".", show_default=True, help="On the disk to use.")
def main(kills: int, writers: int, parent: str) -> None:
    """Measure how long writes wait when the leader is killed."""
    directory = Path(tempfile.mkdtemp(prefix="kvstore-failover-", dir=parent))
    try:
        with Interrupts() as interrupts:
            nodes = Nodes(directory, interrupts)
            try:
                nodes.start()
                lost = _measure(nodes, kills, writers)
            finally:
                interrupts.ignore()
                nodes.close()
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    sys.exit(1 if lost else 0)


def _measure(nodes: Nodes, kills: int, count: int) -> int:
    """Kill, tell the figures, and return how many acknowledged writes are lost."""
    wait_for(lambda: nodes.agreed_leader([*nodes.ports]), "a leader")
    writers = [Writer(f"w{number}", _addresses_from(nodes, number)) for number in range(count)]
    stops = threading.Event()
    threads = [threading.Thread(target=writer.run, args=(stops,)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        killed_at = [_kill_leader(nodes) for _ in range(kills)]
        wait_for(lambda: _is_served(writers, killed_at[-1]), "writes after the last kill")
    finally:
        stops.set()
        for thread in threads:
            thread.join()
    lost = _lost(nodes, writers)
    _tell(writers, [_outage_s(writers, at) for at in killed_at], lost)
    return lost


def _addresses_from(nodes: Nodes, number: int) -> list[str]:
    """All nodes, beginning with another one for each writer."""
    addresses = [nodes.address(node) for node in nodes.ports]
    first = number % len(addresses)
    return addresses[first:] + addresses[:first]


def _kill_leader(nodes: Nodes) -> float:
    """Kill whoever leads, bring it back and up to date; when it was killed."""
    leader = wait_for(lambda: nodes.agreed_leader([*nodes.ports]), "a leader").node_id
    time.sleep(random.uniform(*_CALM_S))  # noqa: S311
    killed_at = time.monotonic()
    nodes.kill(leader)
    found = wait_for(lambda: nodes.agreed_leader(nodes.others(leader)), "another leader")
    nodes.start_one(leader)
    wait_for(lambda: _has_applied(nodes, leader, found.last_log_index), "the killed node is back")
    return killed_at


def _has_applied(nodes: Nodes, node: int, index: int) -> bool:
    try:
        status: api.StatusResult = nodes.status(node)
    except KvstoreError:
        return False
    return status.last_applied >= index


def _is_served(writers: list[Writer], killed_at: float) -> bool:
    return any(
        began > killed_at for writer in writers for began, _ in [*writer.acknowledged.values()]
    )


def _outage_s(writers: list[Writer], killed_at: float) -> float:
    return min(
        acknowledged - killed_at
        for writer in writers
        for began, acknowledged in writer.acknowledged.values()
        if began > killed_at
    )


def _lost(nodes: Nodes, writers: list[Writer]) -> int:
    with Client([nodes.address(node) for node in nodes.ports], _TIMEOUT_MS) as client:
        found = {record.key for record in client.scan(b"", with_values=False)}
    return sum(key.encode() not in found for writer in writers for key in writer.acknowledged)


def _tell(writers: list[Writer], outages_s: list[float], lost: int) -> None:
    times_ms = sorted(outage_s * 1000 for outage_s in outages_s)
    written = sum(len(writer.acknowledged) for writer in writers)
    unknown = sum(writer.unknown for writer in writers)
    refused = sum(writer.refused for writer in writers)
    click.echo(f"date      {datetime.datetime.now(datetime.UTC):%Y-%m-%d}")
    click.echo(
        f"machine   {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"python {platform.python_version()}"
    )
    click.echo(f"writes    {written:,} acknowledged, {unknown} unknown, {refused} refused")
    click.echo(f"lost      {lost}")
    click.echo(
        f"outage    median {statistics.median(times_ms):.0f} ms, "
        f"p90 {times_ms[-(-len(times_ms) * 9 // 10) - 1]:.0f} ms, worst {times_ms[-1]:.0f} ms, "
        f"best {times_ms[0]:.0f} ms, of {len(times_ms)} kills"
    )


if __name__ == "__main__":
    main()
