"""Entries, identities and directories that the storage tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from founding import founders

from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState, LogStart
from kvstore.storage import records
from kvstore.storage.base import Identity
from kvstore.storage.directory import PEERS, RAFT, STATE, DataDirectory, open_directory
from kvstore.storage.lmdb_files import sign_commit
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_state import LmdbState
from kvstore.storage.memory import MemoryLog, MemoryState
from kvstore.storage.peers_file import PeersFile
from kvstore.storage.records import FORMAT_VERSION
from kvstore.storage.tables import TABLES

MAP_BYTES = 4 << 20
IDENTITY = Identity(FORMAT_VERSION, "local", 1, "0" * 32)


def counts(**records: int) -> tuple[int, ...]:
    """How many records each table has, by names, as a header says it."""
    return tuple(records.get(row.name, 0) for row in TABLES)


def noop(index: int, term: int, leader: int) -> Entry:
    return Entry(index, term, EntryKind.NOOP, b"%d" % leader)


def command(index: int, term: int, data: bytes = b"") -> Entry:
    return Entry(index, term, EntryKind.COMMAND, data or b"command %d of term %d" % (index, term))


def commands(first: int, stop: int, term: int) -> list[Entry]:
    return [command(index, term) for index in range(first, stop)]


def led(first: int, stop: int, term: int, leader: int) -> list[Entry]:
    """The entries [first, stop) of one leader's term."""
    return [noop(first, term, leader), *commands(first + 1, stop, term)]


def open_node(
    data_dir: Path, node_id: int = 1, members: Iterable[int] = (1, 2, 3), **changed: Any
) -> DataDirectory:
    settings: dict[str, Any] = {
        "cluster_id": "local",
        "founders": founders(members),
        "incarnation": f"{node_id:032x}",
        "start": b"a start.",
        "joins": False,
        "log_map_bytes": MAP_BYTES,
        "state_map_bytes": MAP_BYTES,
    }
    return open_directory(data_dir, node_id=node_id, **{**settings, **changed})


def make_node(
    data_dir: Path,
    entries: list[Entry],
    *,
    applied: int = 0,
    term: int | None = None,
    keys: int = 0,
    start: LogStart = LogStart(),  # noqa: B008 - frozen
    **settings: Any,
) -> Path:
    """A directory with these entries, closed. They follow `start`, up to which all is applied."""
    if start.index:
        begin_after(start, data_dir, node_id=settings.get("node_id", 1))
    node = open_node(data_dir, **settings)
    last_term = entries[-1].term if entries else max(start.term, 1)
    node.log.write(DurableUpdate(HardState(term or last_term, 1), None, entries))
    for number in range(keys):
        node.state.put(b"key %d" % number, b"record %d" % number)
    applied = max(applied, start.index)
    node.state.commit(Applied(applied, applied))
    node.close()
    return data_dir


def begin_after(
    start: LogStart,
    data_dir: Path,
    *,
    node_id: int = 1,
    cluster_id: str = "local",
    applied: int | None = None,
    members: tuple[int, ...] = (1, 2, 3),
    configuration: Configuration | None = None,
) -> None:
    """A new directory whose log begins there, and whose state is as of then, if not earlier."""
    identity = Identity(FORMAT_VERSION, cluster_id, node_id, f"{node_id:032x}")
    data_dir.mkdir(exist_ok=True)
    LmdbLog.create(
        data_dir / RAFT,
        MAP_BYTES,
        identity,
        HardState(start.term),
        start,
        configuration or founders(members),
    )
    PeersFile.create(data_dir / RAFT / PEERS, identity.incarnation)
    LmdbState.create(data_dir / STATE, MAP_BYTES, identity)
    state = LmdbState(data_dir / STATE, MAP_BYTES)
    state.commit(Applied(start.index if applied is None else applied))
    state.close()


def copy_of(data_dir: Path, target: Path) -> Path:
    """What a crash would leave on the disk, without the engine's lock files.

    Opening and closing those in this process would drop the locks it holds.
    """
    shutil.copytree(data_dir, target, ignore=shutil.ignore_patterns("lock.mdb", "lock"))
    return target


def remove_record(log: LmdbLog, index: int) -> None:
    """Take an entry out of the log, as damage to its key in the file would."""
    with log._env.begin(write=True) as txn:
        assert txn.delete(records.log_key(index), db=log._log)
        sign_commit(txn)


def flip(path: Path, offset: int, mask: int = 0xFF) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def flip_text(path: Path, text: bytes, mask: int = 0x01) -> None:
    """Flip a bit in every place of the file that holds `text`."""
    content = path.read_bytes()
    position = content.find(text)
    assert position >= 0
    while position >= 0:
        flip(path, position, mask)
        position = content.find(text, position + 1)


class LogInMemory:
    """A log without a disk; to restart it changes nothing."""

    def __init__(self, path, hard_state=HardState(), start=LogStart()):  # noqa: B008 - frozen
        self.log = MemoryLog(IDENTITY, hard_state, start)

    def restart(self):
        self.log.crash()
        return self.log


class LogOnDisk:
    """A log in a directory of its own, closed and opened again by `restart`."""

    def __init__(
        self,
        path,
        hard_state=HardState(),  # noqa: B008 - frozen
        start=LogStart(),  # noqa: B008 - frozen
        map_bytes=MAP_BYTES,
    ):
        self.path, self.map_bytes = path / "raft", map_bytes
        LmdbLog.create(self.path, map_bytes, IDENTITY, hard_state, start)
        self.log = LmdbLog(self.path, map_bytes)

    def restart(self):
        self.log.close()
        self.log = LmdbLog(self.path, self.map_bytes)
        return self.log


class StateInMemory:
    """A state without a disk; a restart takes back what was not committed."""

    def __init__(self, path):
        self.state = MemoryState(IDENTITY)

    def restart(self):
        self.state.crash()
        return self.state


class StateOnDisk:
    """A state in a directory of its own, closed and opened again by `restart`."""

    def __init__(self, path):
        self.path = path / "state"
        LmdbState.create(self.path, MAP_BYTES, IDENTITY)
        self.state = LmdbState(self.path, MAP_BYTES)

    def restart(self):
        self.state.close()
        self.state = LmdbState(self.path, MAP_BYTES)
        return self.state


def content(directory: Path) -> dict[str, bytes]:
    """Everything but the engine's own reader tables, and what is allocated ahead."""
    files = (path for path in directory.rglob("*") if path.is_file() and path.name != "lock.mdb")
    return {str(path): path.read_bytes().rstrip(b"\0") for path in files}
