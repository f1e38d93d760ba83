"""How long a node leaves clients waiting: one asks PING, another writes, over and over.

Law: every reply is looked at, and a wait that is not over counts as long as it lasts.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from .cluster import Cluster
from .resp import ask, dial

EXPECTED = {b"PING": "+PONG", b"SET": "+OK"}


class Gaps:
    """The longest waits for one node's replies, in seconds, since `forget`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stops = threading.Event()
        self._longest: dict[bytes, float] = {}
        self.answered = 0
        self.wrong: list[str] = []
        """Replies that were not what is answered to who is served."""

    def longest_s(self, name: bytes) -> float:
        return self._longest.get(name, 0.0)

    @contextlib.contextmanager
    def watched(self) -> Iterator[Gaps]:
        """Ask until the block ends."""
        threads = [
            threading.Thread(target=self._ask_on, args=words)
            for words in ((b"PING",), (b"SET", b"watched", b"x"))
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stops.set()
            for thread in threads:
                thread.join()

    def _ask_on(self, *words: bytes) -> None:
        name = words[0]
        try:
            with dial(self._port) as connection:
                while not self._stops.is_set():
                    began = time.monotonic()
                    reply = ask(connection, *words)
                    wait_s = time.monotonic() - began
                    self._longest[name] = max(self.longest_s(name), wait_s)
                    self.answered += 1
                    if reply != EXPECTED[name]:
                        self.wrong.append(reply)
        except OSError as error:
            self.wrong.append(f"{name!r}: {error}")


@contextlib.contextmanager
def undisturbed(cluster: Cluster, leader: int, bound_s: float) -> Iterator[Gaps]:
    """In this block the leader answers in time, serves, and stays what it is."""
    term = cluster.status(leader).term
    with Gaps(cluster.nodes[leader].port).watched() as gaps:
        yield gaps
    status = cluster.status(leader)
    assert (status.role, status.term) == ("leader", term)
    assert gaps.wrong == []
    assert gaps.longest_s(b"PING") < bound_s
    assert gaps.longest_s(b"SET") < bound_s
