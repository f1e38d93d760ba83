"""A node whose own log says that another directory has taken the place of its own."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from founding import founders

from kvstore.address import Address
from kvstore.config.settings import Settings
from kvstore.errors import DirectoryRefusedError
from kvstore.kv.view import Applied
from kvstore.raft.changes import promoted
from kvstore.raft.configuration import Configuration
from kvstore.raft.configurations import configuration_data
from kvstore.raft.messages import AppendEntries
from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState
from kvstore.server.node import Node
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryLog, MemoryState

IDENTITY = Identity(1, "c", 1, "ab" * 16)
AFTER = promoted(founders((1, 2, 3)), 1, "c" * 32, at=2)
HEARTBEAT = AppendEntries(
    cluster_id="c",
    sender=2,
    recipient=1,
    term=3,
    prev_log_index=2,
    prev_log_term=3,
    entries=(),
    leader_commit=0,
)


def node(admitted_at: int = 0, applied: int = 0) -> Node:
    """Node 1, with a log whose second entry admits a directory of it."""
    is_first = admitted_at == 0
    identity = msgspec.structs.replace(IDENTITY, is_founder=is_first)
    log = MemoryLog(identity, configuration=founders((1, 2, 3)) if is_first else Configuration())
    state = MemoryState(identity)
    log.write(
        DurableUpdate(
            HardState(3, None, admitted_at),
            entries=[
                Entry(1, 3, EntryKind.NOOP, b"2"),
                Entry(2, 3, EntryKind.CONFIGURE, configuration_data(AFTER)),
            ],
        )
    )
    state.commit(Applied(applied))
    return of_stores(log, state)


def of_stores(log: MemoryLog, state: MemoryState) -> Node:
    members = {one: Address("sim", 9_000 + one) for one in (1, 2, 3)}
    settings = Settings(node_id=1, members=members, cluster_id="c", data_dir=Path("d1"))
    return Node(settings, log, state, random.Random(1))


def hear(one: Node, commit: int) -> None:
    one.receive(msgspec.structs.replace(HEARTBEAT, leader_commit=commit))
    one.prepare()
    one.complete()


def test_it_ends_with_advice_as_soon_as_it_knows_that_this_is_committed() -> None:
    one = node()
    hear(one, 1)
    with pytest.raises(DirectoryRefusedError, match=r"d1: by log entry 2 another .* --join"):
        hear(one, 2)


def test_it_does_not_start_if_it_had_applied_that() -> None:
    with pytest.raises(DirectoryRefusedError, match="by log entry 2 another directory"):
        node(applied=2)


def test_its_own_admission_ends_nobody() -> None:
    hear(node(admitted_at=2), 2)
    node(admitted_at=2, applied=2)


def test_a_directory_that_waits_is_ended_by_no_admission_of_earlier_ones() -> None:
    hear(node(admitted_at=-1), 2)


def test_a_removed_node_ends_and_says_why() -> None:
    log = MemoryLog(IDENTITY, configuration=founders((1, 2, 3)))
    without = configuration_data(founders((2, 3)))
    entries = [Entry(1, 3, EntryKind.NOOP, b"2"), Entry(2, 3, EntryKind.CONFIGURE, without)]
    log.write(DurableUpdate(HardState(3), entries=entries))
    one = of_stores(log, MemoryState(IDENTITY))
    hear(one, 1)
    with pytest.raises(
        DirectoryRefusedError, match=r"d1: node 1 was removed from its cluster by log entry 2"
    ):
        hear(one, 2)


def test_a_node_that_was_removed_and_comes_back_lives_through_its_own_removal() -> None:
    """Its new directory gets the log from the beginning, and was never a member itself."""
    joined = msgspec.structs.replace(IDENTITY, is_founder=False)
    log = MemoryLog(joined, HardState(admitted_at=-1))
    history = [founders((1, 2, 3)), founders((2, 3))]
    entries = [
        Entry(index, 3, EntryKind.CONFIGURE, configuration_data(one))
        for index, one in enumerate(history, 1)
    ]
    log.write(DurableUpdate(HardState(3, admitted_at=-1), entries=entries))
    hear(of_stores(log, MemoryState(joined)), 2)
