"""What writes take of real environments, held against what they were said to take at most."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from kvstore.kv.view import Applied, Footprint, TableFootprint
from kvstore.raft.types import DurableUpdate, HardState, LogStart
from kvstore.storage import cost
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_state import LmdbState
from storage.samples import IDENTITY, command, remove_record

MAP_BYTES = 1 << 30
SIZES = {
    "small": (0, 100),
    "half pages": (1_900, 2_100),
    "pages": (1_500, 9_000),
    "long": (1, 400_000),
}
TRANSACTION_BYTES = cost.TRANSACTION_PAGES * cost.PAGE_BYTES


def used_bytes(store: LmdbLog | LmdbState) -> int:
    """How far the file is in use, as the map's bound counts it."""
    return (store._env.info()["last_pgno"] + 1) * cost.PAGE_BYTES


def some_bytes(rng: random.Random, sizes: str) -> bytes:
    return bytes(rng.randint(*SIZES[sizes]))


@pytest.fixture
def state(tmp_path: Path):
    LmdbState.create(tmp_path / "state", MAP_BYTES, IDENTITY)
    store = LmdbState(tmp_path / "state", MAP_BYTES)
    yield store
    store.close()


@pytest.fixture
def log(tmp_path: Path):
    LmdbLog.create(tmp_path / "raft", MAP_BYTES, IDENTITY)
    store = LmdbLog(tmp_path / "raft", MAP_BYTES)
    yield store
    store.close()


@pytest.mark.parametrize("key_bytes", [8, 480])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("kind", ["puts", "deletions", "both", "one key"])
def test_what_has_a_footprint_takes_no_more_than_is_said_before(
    state: LmdbState, kind: str, sizes: str, key_bytes: int
) -> None:
    rng = random.Random(f"{kind} {sizes} {key_bytes}")
    keys = [rng.randbytes(key_bytes) for _ in range(60 if sizes == "long" else 3_000)]
    for key in keys:
        state.put(key, some_bytes(rng, sizes))
    state.commit(Applied(1))
    for turn, count in enumerate((1, 1, 7, 90, 2_000, 1, 400), start=2):
        used = used_bytes(state)
        chosen = [keys[0]] * count if kind == "one key" else rng.choices(keys, k=count)
        deleted = [key for key in chosen if kind == "deletions" or (kind == "both" and key[0] & 1)]
        written = [] if kind == "deletions" else [key for key in chosen if key not in deleted]
        records = [some_bytes(rng, sizes) for _ in written[: 60 if sizes == "long" else None]]
        put_bytes = key_bytes * len(records) + sum(map(len, records))
        footprint = Footprint(keys=TableFootprint(len(records), put_bytes, len(deleted)))
        room = state.room_bytes()
        said = room - state.room_bytes(footprint) + TRANSACTION_BYTES
        for key, record in zip(written, records, strict=False):
            state.put(key, record)
        for key in deleted:
            state.delete(key)
        assert state.owed_bytes() <= said
        state.commit(Applied(turn))
        assert used_bytes(state) - used <= said


def test_the_pages_that_long_records_give_back_are_listed_in_what_was_said(
    state: LmdbState,
) -> None:
    """A list of 32,000 pages is longer than what any transaction may take beside its changes."""
    keys = [b"%d" % number for number in range(8)]
    for key in keys:
        state.put(key, bytes(16 << 20))
    state.commit(Applied(1))
    used = used_bytes(state)
    said = state.room_bytes() - state.room_bytes(Footprint(keys=TableFootprint(4, 4 * 9, 4)))
    for replaced, deleted in zip(keys[:4], keys[4:], strict=True):
        state.put(replaced, b"shorter.")
        state.delete(deleted)
    state.commit(Applied(2))
    assert TRANSACTION_BYTES < used_bytes(state) - used <= said + TRANSACTION_BYTES


@pytest.mark.parametrize("sizes", SIZES)
def test_entries_take_no_more_of_the_log_than_is_said_before(log: LmdbLog, sizes: str) -> None:
    rng = random.Random(sizes)
    index = 1
    for count in (1, 1, 30, 500, 1, 100):
        used = used_bytes(log)
        entries = [command(index + i, 1, some_bytes(rng, sizes)) for i in range(count)]
        index += count
        said = sum(log.entry_bytes(len(entry.data)) for entry in entries)
        log.write(DurableUpdate(hard_state=HardState(1), entries=entries))
        assert used_bytes(log) - used <= said + TRANSACTION_BYTES
        assert used_bytes(log) - used >= sum(len(entry.data) for entry in entries) - (64 << 10)


@pytest.mark.parametrize("sizes", ["small", "pages"])
def test_repairs_take_no_more_of_the_log_than_is_said_before(log: LmdbLog, sizes: str) -> None:
    rng = random.Random(sizes)
    entries = [command(1 + i, 1, some_bytes(rng, sizes)) for i in range(3_000)]
    log.write(DurableUpdate(hard_state=HardState(1), entries=entries))
    lost = [entry for entry in entries if rng.random() < 0.5 or 1_000 < entry.index < 1_500]
    with log._env.begin(write=True) as txn:
        for entry in lost:
            txn.delete(entry.index.to_bytes(8), db=log._log)
    for _ in range(3):
        log.write(DurableUpdate(hard_state=HardState(1)))
    for part in (lost[:1], lost[1:200], lost[200:]):
        used = used_bytes(log)
        said = sum(log.repair_bytes(len(entry.data)) for entry in part)
        log.write(DurableUpdate(repairs=part))
        assert used_bytes(log) - used <= said + TRANSACTION_BYTES


def test_a_log_that_grows_says_of_repairs_what_it_says_when_it_is_opened(tmp_path: Path) -> None:
    """The deeper its tree, the more they take."""
    LmdbLog.create(tmp_path / "raft", MAP_BYTES, IDENTITY)
    said = []
    for first, stop in ((1, 2), (2, 100), (100, 3_000)):
        log = LmdbLog(tmp_path / "raft", MAP_BYTES)
        before = log.repair_bytes(1)
        grown = [command(i, 1, bytes(1_000)) for i in range(first, stop)]
        log.write(DurableUpdate(HardState(1), entries=grown))
        said.append((before, log.repair_bytes(1)))
        log.close()
    log = LmdbLog(tmp_path / "raft", MAP_BYTES)
    afterwards = [*(before for before, _ in said[1:]), log.repair_bytes(1)]
    log.close()
    assert [after for _, after in said] == afterwards
    assert all(after > before for before, after in said)


def test_a_log_that_is_repaired_says_of_repairs_what_it_says_when_it_is_opened(
    tmp_path: Path,
) -> None:
    """Entries that were lost make its tree deeper, too, when they come back."""
    LmdbLog.create(tmp_path / "raft", MAP_BYTES, IDENTITY)
    entries = [command(i, 1, bytes(1_000)) for i in range(1, 3_000)]
    log = LmdbLog(tmp_path / "raft", MAP_BYTES)
    log.write(DurableUpdate(HardState(1), entries=entries))
    for entry in entries[1:]:
        remove_record(log, entry.index)
    log.close()
    log = LmdbLog(tmp_path / "raft", MAP_BYTES)
    before = log.repair_bytes(1)
    log.write(DurableUpdate(repairs=entries[1:]))
    after = log.repair_bytes(1)
    log.close()
    log = LmdbLog(tmp_path / "raft", MAP_BYTES)
    assert before < after == log.repair_bytes(1)
    log.close()


@pytest.mark.parametrize("data_bytes", [1, 1_900, 4 << 20])
def test_a_truncation_takes_no_more_than_is_kept_for_it(log: LmdbLog, data_bytes: int) -> None:
    """As many entries as may wait for a majority, and as many bytes."""
    count = min(60_000, (192 << 20) // data_bytes)
    entries = [command(1 + i, 1, bytes(data_bytes)) for i in range(count)]
    log.write(DurableUpdate(hard_state=HardState(1), entries=entries))
    used = used_bytes(log)
    log.write(DurableUpdate(truncate_from=2))
    assert used_bytes(log) - used <= log.truncation_bytes
    assert log.truncation_bytes == 2 << 20


def test_votes_take_nothing_in_the_long_run(log: LmdbLog) -> None:
    for term in range(1, 50):
        log.write(DurableUpdate(hard_state=HardState(term)))
    used = used_bytes(log)
    for term in range(50, 400):
        log.write(DurableUpdate(hard_state=HardState(term)))
    assert used_bytes(log) - used <= 8 * cost.PAGE_BYTES


def test_a_small_map_takes_what_is_said_to_fit_to_the_last_byte(tmp_path: Path) -> None:
    """A full map is an error of the engine that no later write survives."""
    map_bytes = 1 << 20
    LmdbState.create(tmp_path / "state", map_bytes, IDENTITY)
    state = LmdbState(tmp_path / "state", map_bytes)
    rng = random.Random(1)
    taken = index = 0
    while taken < 20 or index < 1_000:
        index += 1
        key, record = b"%d" % rng.randrange(500), bytes(rng.choice((10, 1_000, 9_000)))
        footprint = Footprint(keys=TableFootprint(1, len(key) + len(record)))
        if state.room_bytes(footprint) < 0:
            state.commit(Applied(index))
            footprint = Footprint(keys=TableFootprint(deletes=1))
            if state.room_bytes(footprint) >= 0:
                state.delete(key)
            continue
        taken += 1
        state.put(key, record)
    state.commit(Applied(index + 1))
    state.close()


def test_changes_are_held_as_far_as_the_map_goes(tmp_path: Path) -> None:
    LmdbState.create(tmp_path / "state", 4 << 20, IDENTITY)
    state = LmdbState(tmp_path / "state", 4 << 20)
    assert state.can_hold(Footprint(keys=TableFootprint(1, 2 << 20)))
    assert not state.can_hold(Footprint(keys=TableFootprint(1, 4 << 20)))
    state.close()


def test_what_is_allocated_ahead_is_found_again_after_a_restart(tmp_path: Path) -> None:
    LmdbLog.create(tmp_path / "raft", MAP_BYTES, IDENTITY)
    for _ in range(2):
        log = LmdbLog(tmp_path / "raft", MAP_BYTES)
        file = (tmp_path / "raft" / "data.mdb").stat()
        assert file.st_blocks * 512 >= used_bytes(log) + cost.RESERVE_BYTES // 2
        log.close()


def test_what_is_allocated_ahead_stays_ahead_of_what_is_written(log: LmdbLog) -> None:
    """The disk may be filled by others at any moment; votes must go on."""
    for index in range(1, 41):
        log.write(DurableUpdate(HardState(1), entries=[command(index, 1, bytes(200_000))]))
        allocated = (log._path / "data.mdb").stat().st_blocks * 512
        assert allocated >= used_bytes(log) + cost.RESERVE_BYTES * 3 // 4


@pytest.mark.parametrize("sizes", SIZES)
def test_what_is_dropped_from_the_front_takes_no_more_than_any_commit(
    log: LmdbLog, sizes: str
) -> None:
    """It is not asked for beforehand, so it must fit beside whatever was."""
    rng = random.Random(sizes)
    entries = [command(1 + i, 1, some_bytes(rng, sizes)) for i in range(6_000)]
    if sizes == "long":
        entries = entries[:200]
    log.write(DurableUpdate(hard_state=HardState(1), entries=entries))
    while (end := log.sizes.droppable(entries[-1].index, 0, 16)) is not None:
        used = used_bytes(log)
        log.write(DurableUpdate(start=LogStart(end, 1)))
        assert used_bytes(log) - used <= TRANSACTION_BYTES
    assert log.sizes.total_bytes == 0


def test_what_is_appended_and_dropped_at_the_front_takes_no_more_than_is_said_before(
    state: LmdbState,
) -> None:
    """Also where each commit drops more, or less, than it appends, and rows are long or short."""
    rng, history, first, last = random.Random(7), state.history, 0, 0
    for number in range(60):
        sizes = [rng.choice((0, 60, 300, 1_900, 2_100, 9_000)) for _ in range(rng.randrange(400))]
        dropped = min(last - first, rng.randrange(500))
        footprint = TableFootprint(len(sizes), sum(sizes) + 10 * len(sizes), dropped)
        said = state.room_bytes() - state.room_bytes(Footprint(history=footprint))
        used = used_bytes(state)
        for size in sizes:
            last += 1
            history.append(last.to_bytes(10, "big"), bytes(size))
        for _ in range(dropped):
            first += 1
            assert history.delete(first.to_bytes(10, "big"))
        state.commit(Applied(number + 1, number + 1))
        assert used_bytes(state) - used <= said + TRANSACTION_BYTES, number


def test_what_others_take_of_the_disk_is_not_taken_of_the_map(log: LmdbLog) -> None:
    """The map is the log's own, and here far smaller than the disk."""
    assert log.growth_bytes(MAP_BYTES) == log.growth_bytes() > 0
    assert log.room_bytes(MAP_BYTES) == log.room_bytes() > 0
    disk_bytes = log._file.free_bytes()
    assert log.growth_bytes(disk_bytes) < log.growth_bytes()
    assert log.room_bytes(2 * disk_bytes) < 0
