"""Run as a program: a directory of a lost cluster is recovered, for who records what that does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
from storage.samples import open_node

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.kv.view import Applied
from kvstore.raft.configuration import Configuration
from kvstore.raft.configurations import configuration_data
from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState
from kvstore.recovery import recover
from kvstore.storage.recovering import survivor

APPLIED = 5
THREE = Configuration.of_founders({1: "h:9001", 2: "h:9002", 3: "h:9003"})
TERM = 7


def encoded(request: object) -> bytes:
    return msgspec.msgpack.encode(request)


def entries() -> list[Entry]:
    """Of all kinds: committed up to `APPLIED`, by what the node knew."""
    command, noop = EntryKind.COMMAND, EntryKind.NOOP
    session = api.Stamped(900, api.OpenSession())
    found = [
        (1, noop, b"1"),
        (1, command, encoded(api.Put(b"a", b"1"))),
        (1, command, encoded(session)),
        (1, command, encoded(api.Increment(b"n", 5))),
        (1, EntryKind.VERSION, b"2"),
        (6, noop, b"2"),
        (6, command, encoded(api.Put(b"b", b"2"))),
        (6, command, encoded(api.Stamped(950, api.Once(3, 1, api.Increment(b"n", 2))))),
        (6, EntryKind.CONFIGURE, configuration_data(THREE)),
        (6, command, encoded(api.Delete((b"a",)))),
    ]
    return [Entry(index, *rest) for index, rest in enumerate(found, 1)]


def made(data_dir: Path) -> Path:
    """The directory of node 3, which knows entries beyond those that it had applied."""
    node = open_node(data_dir, 3)
    node.log.write(DurableUpdate(HardState(TERM, 2), None, entries()))
    machine = StateMachine(node.state, Applied(), 0, api.SessionRules())
    for entry in entries()[:APPLIED]:
        if entry.kind is EntryKind.COMMAND:
            machine.apply(entry.index, entry.data)
        else:
            machine.advance(entry.index)
    machine.adopt(2)
    node.state.commit(machine.applied)
    node.close()
    return data_dir


def run(directory: Path) -> None:
    made(directory / "n3")
    os.write(1, b"made\n")
    with survivor(directory / "n3") as found:
        recover(found, os.urandom)
    os.write(1, b"recovered\n")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
