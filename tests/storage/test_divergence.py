"""A state that is not to be trusted is known for one, until a snapshot takes its place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kvstore.errors import DiskWriteError
from kvstore.kv.view import Applied
from kvstore.raft.types import DurableUpdate, HardState, LogStart
from kvstore.storage import lmdb_files, records
from kvstore.storage.base import Divergence
from kvstore.storage.directory import STATE, DataDirectory
from kvstore.storage.inspect import inspect_directory
from kvstore.storage.lmdb_state import LmdbState
from kvstore.storage.lmdb_successor import DIFFERING
from storage.samples import MAP_BYTES, StateInMemory, StateOnDisk, led, make_node, open_node

DIVERGENCE = Divergence(9, b"d" * 32)
START = LogStart(50, 3)
APPLIED = Applied(50, 40, 3_000)


@pytest.fixture(params=[StateInMemory, StateOnDisk])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    store = request.param(tmp_path)
    store.state.put(b"old", b"0")
    store.state.commit(Applied(9, 9))
    yield store
    store.state.close()


def finished(state: Any) -> Any:
    successor = state.begin_successor()
    successor.put([(b"ka", records.encode_value(b"ka", b"1"))])
    successor.finish(APPLIED)
    return successor


def test_it_outlasts_a_restart_and_what_was_not_committed_does_not(store: Any) -> None:
    assert store.state.divergence is None
    store.state.put(b"new", b"1")
    store.state.sessions.put(b"\1" * 8, b"new")
    store.state.record_divergence(DIVERGENCE)
    assert store.state.divergence == DIVERGENCE
    assert store.state.get(b"new") is None
    assert store.state.sessions.get(b"\1" * 8) is None
    state = store.restart()
    assert state.divergence == DIVERGENCE
    assert state.applied() == Applied(9, 9)
    assert list(state.scan(b"")) == [(b"old", b"0")]


def test_what_takes_its_place_is_trusted(store: Any) -> None:
    store.state.record_divergence(DIVERGENCE)
    store.state.change_over(finished(store.state))
    assert store.state.divergence is None
    assert store.state.applied() == APPLIED
    state = store.restart()
    assert (state.divergence, list(state.scan(b""))) == (None, [(b"a", b"1")])


def test_a_store_that_failed_records_nothing(tmp_path: Path) -> None:
    state = StateOnDisk(tmp_path).state
    state.failed = True
    with pytest.raises(DiskWriteError, match="an earlier write failed"):
        state.record_divergence(DIVERGENCE)
    state.close()


def test_a_damaged_divergence_is_damage_and_never_none(tmp_path: Path) -> None:
    """The state is built anew then, which ends the divergence as well."""
    make_node(tmp_path, led(1, 12, 1, 1), applied=8, keys=3)
    node = open_node(tmp_path)
    node.state.record_divergence(DIVERGENCE)
    node.close()
    env = lmdb_files.open_own(tmp_path / STATE, MAP_BYTES)
    with env.begin(write=True) as txn:
        value = bytearray(txn.get(records.DIVERGENCE) or b"")
        value[-1] ^= 1
        txn.put(records.DIVERGENCE, bytes(value))
        lmdb_files.sign_commit(txn)
    env.close()
    node = open_node(tmp_path)
    assert "divergence" in node.notes[0]
    assert (node.state.divergence, node.state.count()) == (None, 0)
    node.close()


# --- A start after each step of an installation ------------------------------------------------


@pytest.fixture
def node(tmp_path: Path) -> DataDirectory:
    node = open_node(make_node(tmp_path / "n1", [], start=LogStart(10, 2), keys=3))
    node.state.record_divergence(DIVERGENCE)
    return node


def opened(data_dir: Path) -> tuple[Applied, int, Divergence | None]:
    node = open_node(data_dir)
    found = (node.state.applied(), node.state.count(), node.state.divergence)
    node.close()
    return found


def aside(data_dir: Path) -> tuple[Applied, Divergence | None]:
    """What is kept of the state that was replaced."""
    state = LmdbState(data_dir / DIFFERING, MAP_BYTES)
    found = (state.applied(), state.divergence)
    state.close()
    return found


def test_before_the_log_names_the_snapshot_the_state_is_still_not_trusted(
    node: DataDirectory, tmp_path: Path
) -> None:
    finished(node.state).env.close()
    node.close()
    for _ in range(2):
        assert opened(tmp_path / "n1") == (Applied(10, 10), 3, DIVERGENCE)


@pytest.mark.parametrize("start", [START, LogStart(10, 2)], ids=["later", "where it began"])
@pytest.mark.parametrize("moved", [(), ("state",), ("state", "state.new")], ids=len)
def test_from_then_on_the_next_start_has_the_snapshot_and_keeps_what_it_replaced(
    node: DataDirectory, tmp_path: Path, moved: tuple[str, ...], start: LogStart
) -> None:
    """Also where the log begins already where the snapshot ends."""
    data_dir = tmp_path / "n1"
    successor = node.state.begin_successor()
    successor.put([(b"ka", records.encode_value(b"ka", b"1"))])
    applied = Applied(start.index, 40)
    successor.finish(applied)
    successor.env.close()
    if start == START:
        node.log.write(DurableUpdate(HardState(3), start=START))
    node.close()
    for name in moved:
        (data_dir / name).rename(data_dir / {"state": DIFFERING, "state.new": STATE}[name])
    for _ in range(2):
        assert opened(data_dir) == (applied, 1, None)
        assert aside(data_dir) == (Applied(10, 10), DIVERGENCE)
        assert not (data_dir / "state.new").exists()


def test_one_is_kept_the_last(node: DataDirectory, tmp_path: Path) -> None:
    data_dir = tmp_path / "n1"
    (data_dir / DIFFERING).mkdir()
    (data_dir / DIFFERING / "of another time").touch()
    node.state.change_over(finished(node.state))
    assert aside(data_dir) == (Applied(10, 10), DIVERGENCE)
    assert not (data_dir / DIFFERING / "of another time").exists()
    # What is replaced in the ordinary way leaves it where it is.
    successor = node.state.begin_successor()
    successor.finish(Applied(90, 90))
    node.state.change_over(successor)
    assert aside(data_dir) == (Applied(10, 10), DIVERGENCE)
    assert not node.state.tidy()
    assert not (data_dir / "state.old").exists()
    node.close()
    shutil.rmtree(data_dir / DIFFERING)


def test_an_inspection_finds_it(node: DataDirectory, tmp_path: Path) -> None:
    node.close()
    [finding] = inspect_directory(tmp_path / "n1").findings
    assert "as of entry 9 differs from that of a majority" in finding
