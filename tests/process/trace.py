"""System calls of a server as strace saw them, and whether it spoke before it had persisted.

Law: only what the kernel was asked for counts. An entry is durable when its bytes were
written to the data file of `raft/`, an fdatasync after that has returned, and the
meta page that makes it the newest commit was written through an O_DSYNC descriptor.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import hiredis

from kvstore.errors import ProtocolError
from kvstore.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Message,
    RequestVote,
    RequestVoteReply,
)
from kvstore.raft.types import Entry
from kvstore.wire.peer import decode_message

LOG_FILE_SUFFIX = "/raft/data.mdb"
SYNCS = ("fdatasync", "fsync")
WRITES = ("pwrite64", "pwritev", "write", "writev", "sendto", "sendmsg")
READS = ("recvfrom", "recvmsg")
_CALLS = ",".join(("openat", *SYNCS, *WRITES, *READS))
_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)(.*)")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_TARGET = re.compile(r"\d+<(TCP[^]]*\]|[^>]*)>")


def why_strace_cannot_run() -> str | None:
    """The reason, in words; None where it works."""
    tool = shutil.which("strace")
    if tool is None:
        return "strace is not installed"
    command = [tool, "-f", "-o", "/dev/null", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"strace may not trace: {done.stderr.strip()}"


def tracer(output: Path) -> list[str]:
    """The words before a command that has it traced. The process keeps its own id (-D)."""
    options = ["-D", "-f", "-yy", "-xx", "-s", "4000000", "-e", f"trace={_CALLS}"]
    return ["strace", *options, "-o", str(output)]


@dataclass(frozen=True)
class Call:
    """One call that has returned."""

    name: str
    target: str
    """Path of the file, or `local->remote` of the connection."""
    is_dsync: bool
    """Whether the descriptor was opened with O_DSYNC or O_SYNC."""
    data: bytes
    result: int


def read_calls(lines: Iterable[str]) -> Iterator[Call]:
    """Calls in the order in which they returned."""
    begun: dict[str, str] = {}
    dsync: set[str] = set()
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            continue
        thread, text = match.groups()
        if text.endswith("<unfinished ...>"):
            begun[thread] = text.removesuffix("<unfinished ...>")
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>(.*)", text):
            text = begun.pop(thread, "") + resumed[1]
        call = _CALL.match(text)
        if call is not None:
            yield from _call(*call.groups(), dsync)


def _call(name: str, arguments: str, result: str, rest: str, dsync: set[str]) -> Iterator[Call]:
    if name == "openat":
        descriptor = f"{result}{rest.strip()}"
        (dsync.add if re.search(r"O_D?SYNC", arguments) else dsync.discard)(descriptor)
        return
    target = _TARGET.match(arguments)
    if target is None:
        return
    data = b"".join(_bytes(text) for text in _TEXT.findall(arguments))
    size = int(result)
    yield Call(name, _name(target[1]), target[0] in dsync, data if size < 0 else data[:size], size)


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _name(text: str) -> str:
    if text.startswith("\\x"):
        return _bytes(text).decode()
    connection = re.fullmatch(r"TCP(?:v6)?:\[(.*)\]", text)
    return connection[1] if connection else text


# --- The rule -----------------------------------------------------------------------------


@dataclass
class _Promise:
    """Something received that a later message will vouch for; durable after its steps."""

    payloads: list[bytes]
    """Bytes that must reach the file; empty where their form on the disk is not known."""
    is_written: bool = False
    is_synced: bool = False
    is_durable: bool = False

    def wrote(self, data: bytes) -> None:
        self.payloads = [payload for payload in self.payloads if payload not in data]
        self.is_written = not self.payloads

    def synced(self) -> None:
        self.is_synced = self.is_written

    def committed(self) -> None:
        self.is_durable = self.is_synced


@dataclass
class _Stream:
    """One direction of a connection, cut into frames."""

    reader: hiredis.Reader = field(default_factory=hiredis.Reader)

    def feed(self, data: bytes) -> list[object]:
        self.reader.feed(data)
        frames = []
        while (frame := self.reader.gets()) is not False:
            frames.append(frame)
        return frames


class PersistThenSpeak:
    """Follows the calls of one process and notes each message that leaves too early.

    * `checked` counts the promises of each kind that were held against the rule.
    """

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.checked: Counter[str] = Counter()
        self._received: dict[str, _Stream] = {}
        self._sent: dict[str, _Stream] = {}
        self._promises: list[_Promise] = []
        self._entries: dict[tuple[int, int], _Promise] = {}
        self._vouched: dict[int, int] = {}
        """Term of each entry that was vouched for: it may come again, and is not written again."""
        self._votes: dict[tuple[int, int], _Promise] = {}
        self._writes: dict[str, list[_Promise | None]] = {}
        self._spoken_term = 0
        self._next_term = _Promise([])

    def check(self, calls: Iterable[Call]) -> None:
        for call in calls:
            if call.target.endswith(LOG_FILE_SUFFIX):
                self._on_disk(call)
            elif "->" in call.target and call.result > 0:
                self._on_network(call)

    # --- Disk -----------------------------------------------------------------------------

    def _on_disk(self, call: Call) -> None:
        waiting = [self._next_term, *self._promises]
        for promise in waiting:
            if call.name in SYNCS and call.result == 0:
                promise.synced()
            elif call.name in WRITES and call.is_dsync:
                promise.committed()
            elif call.name in WRITES:
                promise.wrote(call.data)
        self._promises = [promise for promise in self._promises if not promise.is_durable]

    def _promise(self, payloads: Sequence[bytes] = ()) -> _Promise:
        promise = _Promise(list(payloads))
        self._promises.append(promise)
        return promise

    # --- Network --------------------------------------------------------------------------

    def _on_network(self, call: Call) -> None:
        if call.name in READS:
            stream = self._received.setdefault(call.target, _Stream())
            for frame in stream.feed(call.data):
                self._on_received(call.target, frame)
        else:
            stream = self._sent.setdefault(call.target, _Stream())
            for frame in stream.feed(call.data):
                self._on_sent(call.target, frame)

    def _on_received(self, connection: str, frame: object) -> None:
        message = _message(frame)
        if isinstance(message, RequestVote):
            self._votes.setdefault((message.term, message.sender), self._promise())
        elif isinstance(message, AppendEntries):
            for entry in message.entries:
                self._on_entry(entry)
        elif message is None and isinstance(frame, list):
            is_write = frame[0].upper() == b"SET"
            promise = self._promise([frame[2]]) if is_write else None
            self._writes.setdefault(connection, []).append(promise)

    def _on_entry(self, entry: Entry) -> None:
        if self._vouched.get(entry.index, entry.term) != entry.term:
            # The old one goes, and all behind it: should they come back, they must be written.
            self._vouched = {i: term for i, term in self._vouched.items() if i < entry.index}
        if entry.index not in self._vouched and (entry.index, entry.term) not in self._entries:
            self._entries[entry.index, entry.term] = self._promise([entry.data])

    def _on_sent(self, connection: str, frame: object) -> None:
        message = _message(frame)
        if message is not None:
            self._on_message(message)
        elif self._writes.get(connection):
            promise = self._writes[connection].pop(0)
            if promise is not None and frame == b"OK":
                self._hold(promise, "acknowledged write", frame)

    def _on_message(self, message: Message) -> None:
        if message.term > self._spoken_term and not isinstance(message, AppendEntries):
            self._hold(self._next_term, "new term", message)
            self._spoken_term, self._next_term = message.term, _Promise([])
        if isinstance(message, RequestVoteReply) and message.vote_granted:
            self._hold(self._votes[message.term, message.recipient], "granted vote", message)
        elif isinstance(message, AppendEntriesReply) and message.success:
            for (index, term), promise in self._entries.items():
                if index <= message.match_index:
                    self._hold(promise, "accepted entry", message)
                    self._vouched[index] = term
            # Each entry is held against the first reply that vouches for it; a later one adds
            # nothing, because what is durable stays so.
            self._entries = {
                name: promise
                for name, promise in self._entries.items()
                if name[0] > message.match_index
            }

    def _hold(self, promise: _Promise, kind: str, spoken: object) -> None:
        self.checked[kind] += 1
        if not promise.is_durable:
            self.findings.append(f"{kind}: not durable yet when this left: {spoken}")


def _message(frame: object) -> Message | None:
    """The Raft message in a frame; None for everything else, a hello included."""
    if not isinstance(frame, list) or frame[:1] != [b"RAFT"]:
        return None
    try:
        return decode_message(frame)
    except ProtocolError:
        return None
