"""One who writes, and knows of each revision what it wrote: so what a moment must hold is known.

Law: there is one writer, who does one thing at a time. What a revision wrote is noted when it
was acknowledged; at most the last write is in doubt.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from kvstore import Client, RequestError

from .cluster import Cluster

KEYS = 2_000

Changes: TypeAlias = dict[bytes, bytes | None]
"""Values by key, None for a key that is deleted."""


class Writer:
    """Writes one after the other, and keeps what each revision wrote."""

    def __init__(self, cluster: Cluster, patience_ms: int = 20_000) -> None:
        nodes = [f"{node.host}:{node.port}" for node in cluster.nodes.values()]
        self.client = Client(nodes, patience_ms)
        self.written: list[tuple[int, Changes]] = []
        self.in_doubt: Changes = {}
        """Of the write that nobody answered, if there is one."""
        self._ends = threading.Event()

    def fill(self) -> None:
        for first in range(0, KEYS, 500):
            pairs = {b"%06d" % n: b"%d" % n * 40 for n in range(first, first + 500)}
            self.written.append((self.client.put_many(pairs).revision, {**pairs}))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Write in this block; a cluster that is lost in it ends the work."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._ends.set()
            thread.join()

    def _work(self) -> None:
        number = 0
        while not self._ends.is_set():
            number += 1
            one, two = b"%06d" % (number * 37 % KEYS), b"new %d" % number
            value = b"at %d" % number
            if not self._write({one: value, two: value}):
                return
            if number % 10 == 0 and not self._write({b"%06d" % (number * 53 % KEYS): None}):
                return

    def _write(self, changes: Changes) -> bool:
        """Put these, or delete the one that is None; whether that was acknowledged."""
        self.in_doubt = changes
        pairs = {key: value for key, value in changes.items() if value is not None}
        try:
            if pairs:
                revision, is_done = self.client.put_many(pairs).revision, True
            else:
                deleted = self.client.delete(*changes)
                revision, is_done = deleted.revision, deleted.deleted > 0
        except RequestError:
            return False
        self.in_doubt = {}
        if is_done:
            self.written.append((revision, changes))
        return True

    def as_of(self, revision: int) -> dict[bytes, tuple[bytes, int]]:
        """Value and `mod_revision` of each key by then."""
        found: dict[bytes, tuple[bytes, int]] = {}
        for at, changes in self.written:
            for key, value in changes.items():
                if at <= revision and value is None:
                    found.pop(key, None)
                elif at <= revision and value is not None:
                    found[key] = value, at
        return found
