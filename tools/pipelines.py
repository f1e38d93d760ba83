"""Writers that send whoever leads SETs in pipelines, and count what is acknowledged.

Law: only `+OK` counts. Anything else ends the connection, and what it carried is sent again
to who leads then: a SET that took effect twice is the same SET.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from typing import Final

from kvstore.demo.nodes import Nodes, wait_for

_OK: Final = b"+OK\r\n"
_REPLY_BYTES_MAX: Final = 1 << 16
_TIMEOUT_S: Final = 30.0
_PIPELINE: Final = 128
"""SETs that one writer has on the way."""


class Writers:
    """Threads that write keys `key:0`, `key:1`, ... over and over.

    * `acknowledged`: how many SETs got their OK.
    * `interruptions`: how often a writer had to look for the leader again.
    """

    def __init__(self, nodes: Nodes, *, count: int, keys: int, value_bytes: int) -> None:
        self._nodes = nodes
        self._keys = keys
        self._tail = b"$%d\r\n%b\r\n" % (value_bytes, b"v" * value_bytes)
        self._acknowledged = [0] * count
        self._interruptions = [0] * count
        self._stops = threading.Event()
        self._threads: list[threading.Thread] = []
        self._errors: list[BaseException] = []

    @property
    def acknowledged(self) -> int:
        return sum(self._acknowledged)

    @property
    def interruptions(self) -> int:
        return sum(self._interruptions)

    @property
    def are_done(self) -> bool:
        """Whether all have written what they were to write."""
        return not any(thread.is_alive() for thread in self._threads)

    def start(self, puts: int | None = None) -> None:
        """Write that many, or until `stop`."""
        count = len(self._acknowledged)
        for number in range(count):
            share = None if puts is None else (puts - number + count - 1) // count
            thread = threading.Thread(target=self._guard, args=(number, share), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """Wait until no writer is at work. Raises what one of them failed by."""
        self._stops.set()
        self.finish()

    def finish(self) -> None:
        """Wait until each writer has written its share. Raises what one of them failed by."""
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]

    # --- One writer -----------------------------------------------------------------------

    def _guard(self, number: int, share: int | None) -> None:
        try:
            self._write(number, share)
        except BaseException as error:
            self._errors.append(error)

    def _write(self, number: int, share: int | None) -> None:
        batches = self._batches(number, share)
        batch = next(batches, None)
        while batch is not None and not self._stops.is_set():
            try:
                with self._connection() as connection:
                    while batch is not None and not self._stops.is_set():
                        self._exchange(connection, number, *batch)
                        batch = next(batches, None)
            except OSError:
                self._interruptions[number] += 1

    def _connection(self) -> socket.socket:
        leader = wait_for(self._find_leader, "a leader")
        connection = socket.create_connection(("127.0.0.1", leader), _TIMEOUT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _find_leader(self) -> int | None:
        """The port of who leads in the eyes of all that run."""
        found = self._nodes.agreed_leader(self._nodes.running)
        return None if found is None else self._nodes.ports[found.node_id]

    def _exchange(self, connection: socket.socket, number: int, batch: bytes, size: int) -> None:
        """Raises `OSError` if not all of it is acknowledged."""
        connection.sendall(batch)
        replies = b""
        while len(replies) < size * len(_OK):
            received = connection.recv(_REPLY_BYTES_MAX)
            if not received:
                raise ConnectionError("the node hung up")
            replies += received
            if not replies.startswith(_OK[: len(replies)]) or b"-" in received:
                raise ConnectionError(f"the node refused: {replies[:80]!r}")
        self._acknowledged[number] += size

    def _batches(self, number: int, share: int | None) -> Iterator[tuple[bytes, int]]:
        """Pipelines of SETs, each with its length: in all `share`, or without an end."""
        own = range(number, self._keys, len(self._acknowledged))
        left = share
        for first in itertools.cycle(range(0, len(own), _PIPELINE)):
            keys = own[first : first + _PIPELINE][:left]
            if not keys:
                return
            yield b"".join([self._set(key) for key in keys]), len(keys)
            if left is not None:
                left -= len(keys)

    def _set(self, key: int) -> bytes:
        name = b"key:%d" % key
        return b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n%b" % (len(name), name, self._tail)
