"""What tables and the log count beside what they keep is its sum, on any medium."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.kv.view import Applied, TableFootprint
from kvstore.storage import records
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_state import LmdbState
from kvstore.storage.memory import MemoryState
from storage.samples import IDENTITY, MAP_BYTES

KEYS = [b"a", b"b", b"ab", b"c"]

acts = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "delete", "commit", "end"]),
        st.sampled_from(KEYS),
        st.binary(max_size=9),
    ),
    min_size=10,
    max_size=40,
)


@given(acts)
def test_a_table_in_memory_holds_what_was_kept_and_what_came_since(story):
    state = MemoryState(IDENTITY)
    for table in (state, state.sessions):
        now: dict[bytes, bytes] = {}
        kept: dict[bytes, bytes] = {}
        for act, key, record in story:
            if act == "put":
                table.put(key, record)
                now[key] = record
            elif act == "delete":
                assert table.delete(key) == (now.pop(key, None) is not None)
            elif act == "commit":
                state.commit(state.applied())
                kept = dict(now)
            else:
                state.crash()
                now = dict(kept)
            assert list(table.scan(b"")) == sorted(now.items())
            assert table.count() == len(now)
            changed = {key for key in {*now, *kept} if now.get(key) != kept.get(key)}
            assert changed <= table._before.keys(), "a change could not be taken back"


@settings(max_examples=25)
@given(acts)
def test_a_table_on_disk_counts_what_its_open_transaction_would_write(story):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "state"
        LmdbState.create(path, MAP_BYTES, IDENTITY)
        state = LmdbState(path, MAP_BYTES)
        changes, counted, index = state.changes, TableFootprint(), 0
        for act, key, record in story:
            if act == "commit":
                index += 1
                state.commit(Applied(index, index))
                counted = TableFootprint()
            elif act == "put":
                state.put(key, record)
                counted += TableFootprint(1, len(key) + len(record), 0)
            elif act == "delete":
                state.delete(key)
                counted += TableFootprint(0, 0, 1)
            assert act == "end" or state.changes > changes, "a scan would go on over a change"
            changes = state.changes
            assert state._so_far == counted
            assert state.sessions._so_far == TableFootprint()
        state.close()


@pytest.mark.parametrize("starts", [1, 4, 5, 9])
def test_the_list_of_starts_is_bounded_and_says_what_the_disk_does(tmp_path, starts, monkeypatch):
    monkeypatch.setattr("kvstore.storage.lmdb_log._STARTS_MAX", 4)
    path = tmp_path / "raft"
    LmdbLog.create(path, MAP_BYTES, IDENTITY)
    log = LmdbLog(path, MAP_BYTES)
    names = [b"%08d" % number for number in range(starts)]
    for name in names:
        log.add_start(name)
        shown = log.starts
        log.close()
        log = LmdbLog(path, MAP_BYTES)
        assert log.starts == shown == b"".join(names[: names.index(name) + 1][-4:])
        assert len(shown) <= 4 * records.START_BYTES
    log.close()
