"""A peer for tests of the client: a small RESP server that answers from a script.

Each request that arrives takes the next step of the script, whichever connection
it came on: a typed result, raw bytes, a way to misbehave, or a function of those.
A request beyond the script is answered by hanging up, and shows in `requests`.
Sessions are opened without a step, unless `scripts_sessions` says otherwise.
"""

from __future__ import annotations

import enum
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeAlias

import hiredis
import msgspec

from kvstore import api


class Misbehave(enum.Enum):
    HANG_UP = enum.auto()
    """Read the request, then close the connection without a reply."""
    SILENCE = enum.auto()
    """Read the request and never reply."""
    HALF_CLOSE = enum.auto()
    """Read the request, end the own direction without a reply, and go on reading."""
    RESET_UNREAD = enum.auto()
    """Reset the connection when the request arrives, before any of it is read."""
    RESET_EARLY = enum.auto()
    """Reset the connection after the first byte of the request."""
    RESET_LATE = enum.auto()
    """Reset the connection after the last byte of the request."""
    REFUSE_EARLY = enum.auto()
    """Answer with an error after the first byte of the request, and hang up."""
    REFUSE_AND_STALL = enum.auto()
    """Answer with an error after the first byte of the request, and read no more."""


_BEFORE_THE_END = (
    Misbehave.RESET_UNREAD,
    Misbehave.RESET_EARLY,
    Misbehave.REFUSE_EARLY,
    Misbehave.REFUSE_AND_STALL,
)
TOO_LARGE = b"-ERR Protocol error: request too large: over 16 bytes\r\n"

Answer: TypeAlias = api.Result | api.Reply | bytes | Misbehave
Step: TypeAlias = Answer | Callable[[], Answer]

_decode = msgspec.msgpack.Decoder(api.Call).decode


class ScriptedNode:
    def __init__(self, *script: Step) -> None:
        self.requests: list[object] = []
        """Typed requests, writes without their session, and lists of words of all others."""
        self.calls: list[api.Call] = []
        """The typed ones as they came."""
        self.scripts_sessions = False
        """Whether to open a session is a request like others."""
        self.connections = 0
        self.hung_up = threading.Event()
        """Set each time that the node has closed a connection."""
        self._script = list(script)
        self._lock = threading.Lock()
        self._closes = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def extend(self, *script: Step) -> None:
        """Add steps, for scripts that need addresses of nodes made later."""
        with self._lock:
            self._script.extend(script)

    def close(self) -> None:
        self._closes.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while self._one(connection):
                    pass
            except OSError:
                pass
        self.hung_up.set()

    def _one(self, connection: socket.socket) -> bool:
        if self._script and self._script[0] in _BEFORE_THE_END:
            self._break_off(connection, self._script.pop(0))
            return False
        words = _read_words(connection)
        if words is None:
            return False
        request: object = words
        if words[0] == b"KV":
            call = _decode(words[1])
            request = call.request
            with self._lock:
                self.calls.append(call)
        if isinstance(request, api.OpenSession) and not self.scripts_sessions:
            connection.sendall(bulk(api.SessionResult(len(self.calls))))
            return True
        with self._lock:
            self.requests.append(request.write if isinstance(request, api.Once) else request)
            step = self._next_step(request)
        answer = step() if callable(step) else step
        if answer is Misbehave.RESET_LATE:
            _reset_at_close(connection)
        if answer in (Misbehave.HANG_UP, Misbehave.RESET_LATE):
            return False
        if answer is Misbehave.HALF_CLOSE:
            connection.shutdown(socket.SHUT_WR)
        elif answer is not Misbehave.SILENCE:
            connection.sendall(answer if isinstance(answer, bytes) else bulk(answer))
        return True

    def _next_step(self, _request: object) -> Step:
        return self._script.pop(0) if self._script else Misbehave.HANG_UP

    def _break_off(self, connection: socket.socket, way: Step) -> None:
        """End a connection in the middle of a request, or before it."""
        connection.recv(1, socket.MSG_PEEK if way is Misbehave.RESET_UNREAD else 0)
        if way in (Misbehave.RESET_UNREAD, Misbehave.RESET_EARLY):
            _reset_at_close(connection)
            return
        connection.sendall(TOO_LARGE)
        if way is Misbehave.REFUSE_AND_STALL:
            self._closes.wait()


def _reset_at_close(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _read_words(connection: socket.socket) -> list[bytes] | None:
    reader = hiredis.Reader(notEnoughData=None)
    while (words := reader.gets()) is None:
        received = connection.recv(1 << 16)
        if not received:
            return None
        reader.feed(received)
    assert isinstance(words, list)
    return words


def reply(
    result: api.Result,
    *,
    cluster_id: str = "scripted",
    term: int = 1,
    revision: int = 1,
    members_at: int = 0,
) -> api.Reply:
    """A result in the envelope of a scripted node."""
    return api.Reply(cluster_id, 1, term, revision, result, members_at)


def bulk(answer: api.Result | api.Reply) -> bytes:
    """The bytes that carry a typed reply."""
    payload = msgspec.msgpack.encode(answer if isinstance(answer, api.Reply) else reply(answer))
    return b"$%d\r\n%s\r\n" % (len(payload), payload)


def not_leader(leader: str | None) -> api.Failure:
    """The refusal of a follower."""
    return api.Failure(
        api.FailureCode.NOT_LEADER, f"not leader, try node 2 at {leader}", leader=leader
    )


NO_LEADER = api.Failure(api.FailureCode.NO_LEADER, "no leader is known")
BUSY = api.Failure(api.FailureCode.BUSY, "too many writes wait")
INVALID = api.Failure(api.FailureCode.INVALID, "key is longer than 480 bytes")
UNKNOWN = api.Failure(api.FailureCode.UNKNOWN, "the outcome is unknown")
OK = api.PutResult(revision=1, written=True)
FULL = b"-ERR max number of clients reached\r\n"
"""The first word on a connection of a node that has no free place for another client."""


class ClosedPort:
    """An address that refuses connections, and that nobody else can take meanwhile."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._socket.close()


def status_of(node_id: int, **changes: Any) -> api.StatusResult:
    """What a node of a cluster that node 1 leads says of itself, but for `changes`."""
    status = api.StatusResult(
        node_id=node_id,
        cluster_id="kvstore-1a2b3c4d",
        incarnation="i",
        role="leader" if node_id == 1 else "follower",
        term=7,
        voted_for=1,
        leader_id=1,
        leader_address="127.0.0.1:9001",
        commit_index=30,
        last_applied=29,
        last_log_index=31,
        revision=12,
        keys=5,
        members={1: "127.0.0.1:9001"},
        match_index={1: 31, 2: 28} if node_id == 1 else {},
        leader_ms=192_000.0,
        is_voter=True,
        damaged_entries=0,
        room_bytes=53 << 30,
        waits_for_room=0,
        sync_last_ms=0.31,
        sync_p99_ms=1.94,
        is_short_of_room=False,
        links={},
        heard_from=(),
        refused={},
        version="0.1.0",
        format_version=4,
        speaks=(2, 2),
        cluster_version=2,
        first_log_index=1,
        log_bytes=2_345,
        lacks_data=False,
        receiving=None,
        sending={},
    )
    return msgspec.structs.replace(status, **changes)
