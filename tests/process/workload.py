"""Clients that write through every fault, and an observer that watches terms and votes.

Law: a client never repeats a write. Whatever became of an attempt, the next one
writes a new key, so that each recorded outcome stands alone.
"""

from __future__ import annotations

import contextlib
import random
import re
import threading
from collections.abc import Callable, Iterator

import redis

from .cluster import Cluster, eventually
from .history import (
    History,
    Outcome,
    Sample,
    Write,
    check_samples,
    check_writes,
    now,
    outcome_of,
)

CLIENTS = 4
COUNTERS = 2
CLIENT_TIMEOUT_S = 1.5
PAUSE_AFTER_REFUSAL_S = 0.02
SAMPLE_EVERY_S = 0.05


class Workload:
    """Threads that write to a cluster until `stop`, and what they saw."""

    def __init__(self, cluster: Cluster, seed: int, clients: int = CLIENTS) -> None:
        self.history = History()
        self._cluster = cluster
        self._stopped = threading.Event()
        self._errors: list[BaseException] = []
        self._threads = [
            threading.Thread(
                target=self._guard,
                args=(self._work, random.Random(seed * 1_000 + number), number),
                name=f"client {number}",
            )
            for number in range(clients)
        ]
        self._threads.append(
            threading.Thread(target=self._guard, args=(self._observe,), name="observer")
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[History]:
        """Run for the length of the block; an error in a thread is raised at its end."""
        for thread in self._threads:
            thread.start()
        try:
            yield self.history
        finally:
            self._stopped.set()
            for thread in self._threads:
                thread.join(30)
        assert not self._errors, self._errors

    def wait_for_writes(self, count: int, since: float) -> None:
        """Wait until so many writes that began after `since` have been acknowledged."""
        eventually(
            lambda: self._errors or self.history.count(Outcome.OK, since) >= count,
            f"{count} more writes are acknowledged; so far {self.history.summary}",
        )

    def _guard(self, target: Callable[..., None], *args: object) -> None:
        try:
            target(*args)
        except BaseException as error:
            self._errors.append(error)

    # --- Clients --------------------------------------------------------------------------

    def _work(self, rng: random.Random, client_id: int) -> None:
        connections = {
            node_id: self._cluster.client(node_id, socket_timeout=CLIENT_TIMEOUT_S)
            for node_id in self._cluster.nodes
        }
        with contextlib.ExitStack() as stack:
            for connection in connections.values():
                stack.enter_context(connection)
            node_id, number = rng.choice(list(connections)), 0
            while not self._stopped.is_set():
                number += 1
                write = self._attempt(connections[node_id], node_id, rng, f"{client_id}.{number}")
                self.history.add(write)
                if write.outcome is not Outcome.OK:
                    node_id = self._next_node(write.reply, rng)
                    self._stopped.wait(PAUSE_AFTER_REFUSAL_S)

    def _attempt(
        self, connection: redis.Redis, node_id: int, rng: random.Random, name: str
    ) -> Write:
        counter = rng.random() < 0.3
        key = f"counter.{rng.randrange(COUNTERS)}" if counter else f"key.{name}"
        invoked, returned, reply = now(), None, "OK"
        try:
            if counter:
                returned = int(connection.incr(key))
            else:
                connection.set(key, name)
            outcome = Outcome.OK
        except redis.ResponseError as error:
            reply = str(error)
            outcome = outcome_of(reply)
        except redis.RedisError as error:
            # Also where connecting failed: the library does not tell that apart for certain.
            reply, outcome = repr(error), Outcome.UNKNOWN
        return Write(key, name, node_id, invoked, now(), outcome, reply, counter, returned)

    def _next_node(self, reply: str, rng: random.Random) -> int:
        """Follow a redirect by its id: its address may be that of a proxy."""
        hint = re.search(r"try node (\d+)", reply)
        return int(hint[1]) if hint else rng.choice(list(self._cluster.nodes))

    # --- Observer -------------------------------------------------------------------------

    def _observe(self) -> None:
        while not self._stopped.wait(SAMPLE_EVERY_S):
            for node_id in self._cluster.awake:
                node = self._cluster.nodes[node_id]
                starts, directory = node.starts, node.directories
                with contextlib.suppress(OSError):
                    status = self._cluster.status(node_id)
                    # A node that was restarted meanwhile may be either of its two lives.
                    if starts == node.starts:
                        self.history.add(Sample(node_id, starts, status, directory))


def read_everything(cluster: Cluster, node_id: int) -> dict[str, str]:
    """The whole key space as one node has applied it."""
    with cluster.client(node_id, decode_responses=True) as client:
        client.execute_command("READONLY")
        keys = sorted(set(client.scan_iter(count=1_000)))
        found: dict[str, str] = {}
        for start in range(0, len(keys), 1_000):
            page = keys[start : start + 1_000]
            found.update(zip(page, client.mget(page), strict=True))
        return found


def check_disks(cluster: Cluster, history: History) -> list[str]:
    """What nodes said of their terms and votes must be on their disks, or be outdated."""
    last = {
        sample.node_id: sample.status
        for sample in history.samples
        if sample.directory == cluster.nodes[sample.node_id].directories
    }
    findings = []
    for node_id, report in cluster.reports().items():
        said, disk = last.get(node_id), report.hard_state
        if said is None:
            continue
        if disk is None or (disk.current_term, disk.voted_for or 0) < (
            said.term,
            said.voted_for or 0,
        ):
            findings.append(f"node {node_id} said {said}, its disk holds {disk}")
    return findings


def check(cluster: Cluster, history: History) -> None:
    """Heal nothing, wait until all nodes are level, and hold all of them against the history."""
    cluster.wait_for_leader()
    cluster.wait_until_level()
    findings = check_samples(history.samples) + check_disks(cluster, history)
    for node_id in cluster.awake:
        findings += [
            f"on node {node_id}: {finding}"
            for finding in check_writes(history.writes, read_everything(cluster, node_id))
        ]
    assert not findings, "\n".join([history.summary, *findings[:20]])
    assert history.count(Outcome.OK) > 0, "nothing was ever acknowledged"
    assert history.samples, "no node was ever observed"
