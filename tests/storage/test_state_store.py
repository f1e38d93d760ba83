"""The contract of a state store, over memory and over LMDB."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.kv.view import Applied
from kvstore.storage.lmdb_files import check_data_file
from kvstore.storage.tables import TABLES
from storage.samples import IDENTITY, StateInMemory, StateOnDisk


@pytest.fixture(params=[StateInMemory, StateOnDisk])
def store(request, tmp_path):
    store = request.param(tmp_path)
    yield store
    store.state.close()


def test_a_new_key_space_is_empty(store):
    assert store.state.applied() == Applied()
    assert store.state.count() == 0
    assert list(store.state.scan(b"")) == []
    assert store.state.get(b"a") is None
    assert store.state.delete(b"a") is False
    assert store.state.identity == IDENTITY


def test_what_was_put_is_read_at_once(store):
    store.state.put(b"a", b"1")
    store.state.put(b"a", b"2")
    assert store.state.get(b"a") == b"2"
    assert store.state.count() == 1


def test_what_was_deleted_is_gone_at_once(store):
    store.state.put(b"a", b"1")
    assert store.state.delete(b"a") is True
    assert store.state.get(b"a") is None
    assert store.state.delete(b"a") is False
    assert store.state.count() == 0


def test_the_empty_key_and_the_empty_record_are_like_others(store):
    store.state.put(b"", b"")
    assert store.state.get(b"") == b""
    assert list(store.state.scan(b"")) == [(b"", b"")]
    assert store.state.delete(b"") is True


def test_a_scan_goes_in_byte_order_from_its_start(store):
    for key in (b"b", b"\xff", b"", b"a\x00", b"a", b"\x00"):
        store.state.put(key, b"record of " + key)
    keys = [b"", b"\x00", b"a", b"a\x00", b"b", b"\xff"]
    assert list(store.state.scan(b"")) == [(key, b"record of " + key) for key in keys]
    assert [key for key, _ in store.state.scan(b"a")] == keys[2:]
    assert [key for key, _ in store.state.scan(b"a\x01")] == keys[4:]
    assert list(store.state.scan(b"\xff\xff")) == []


def test_a_scan_back_goes_the_other_way_and_leaves_its_bound_out(store):
    keys = [b"", b"\x00", b"a", b"a\x00", b"b", b"\xff"]
    assert list(store.state.scan_back(None)) == []
    assert list(store.state.scan_back(b"b")) == []
    for key in keys:
        store.state.put(key, b"record of " + key)
    down = keys[::-1]
    assert list(store.state.scan_back(None)) == [(key, b"record of " + key) for key in down]
    assert [key for key, _ in store.state.scan_back(b"\xff\xff")] == down
    assert [key for key, _ in store.state.scan_back(b"\xff")] == down[1:]
    assert [key for key, _ in store.state.scan_back(b"a\x01")] == down[2:]
    assert [key for key, _ in store.state.scan_back(b"a")] == [b"\x00", b""]
    assert list(store.state.scan_back(b"\x00")) == [(b"", b"record of ")]
    assert list(store.state.scan_back(b"")) == []
    assert list(store.state.sessions.scan_back(None)) == []


@pytest.mark.parametrize("is_back", [False, True], ids=["scan", "scan back"])
@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.put(b"b", b"new"),
        lambda state: state.delete(b"b"),
        lambda state: state.commit(Applied(1, 1)),
    ],
)
def test_a_scan_ends_with_the_next_change(store, change, is_back):
    for key in (b"a", b"b", b"c"):
        store.state.put(key, b"")
    scan = store.state.scan_back(None) if is_back else store.state.scan(b"")
    assert next(scan)[0] == (b"c" if is_back else b"a")
    change(store.state)
    with pytest.raises(RuntimeError, match="changed during a scan"):
        next(scan)


def test_an_abandoned_scan_hinders_nothing(store):
    store.state.put(b"a", b"1")
    scan = store.state.scan(b"")
    next(scan)
    store.state.put(b"b", b"2")
    store.state.commit(Applied(2, 2))
    scan.close()
    assert store.restart().count() == 2


def test_what_was_committed_survives_together_with_applied(store):
    store.state.put(b"a", b"1")
    store.state.put(b"b", b"2")
    store.state.commit(Applied(7, 5))
    state = store.restart()
    assert state.applied() == Applied(7, 5)
    assert list(state.scan(b"")) == [(b"a", b"1"), (b"b", b"2")]


def test_what_was_not_committed_is_gone_together_with_applied(store):
    store.state.put(b"a", b"1")
    store.state.put(b"b", b"2")
    store.state.commit(Applied(7, 5))
    store.state.put(b"a", b"changed")
    store.state.put(b"a", b"changed twice")
    store.state.delete(b"b")
    store.state.put(b"c", b"new")
    state = store.restart()
    assert state.applied() == Applied(7, 5)
    assert list(state.scan(b"")) == [(b"a", b"1"), (b"b", b"2")]
    assert state.count() == 2


def test_applied_alone_is_committed(store):
    store.state.commit(Applied(3, 0))
    assert store.restart().applied() == Applied(3, 0)


def test_changes_are_committed_even_if_applied_is_the_same(store):
    store.state.commit(Applied(3, 1))
    store.state.put(b"a", b"1")
    store.state.commit(Applied(3, 1))
    assert store.restart().get(b"a") == b"1"


def test_applied_does_not_go_back(store):
    store.state.commit(Applied(3, 1))
    with pytest.raises(ValueError, match="goes back"):
        store.state.commit(Applied(2, 1))


def test_a_key_too_long_to_store_changes_nothing(store):
    longest, too_long = b"x" * 510, b"x" * 511
    store.state.put(longest, b"1")
    with pytest.raises(ValueError, match="key of 511 bytes"):
        store.state.put(too_long, b"1")
    assert store.state.get(too_long) is None
    assert store.state.delete(too_long) is False
    assert list(store.state.scan(too_long)) == []
    store.state.commit(Applied(1, 1))
    assert list(store.restart().scan(b"")) == [(longest, b"1")]


def test_a_commit_of_nothing_new_does_not_touch_the_disk(tmp_path):
    store = StateOnDisk(tmp_path)
    store.state.put(b"a", b"1")
    store.state.commit(Applied(1, 1))
    before = check_data_file(store.path).transaction
    store.state.commit(Applied(1, 1))
    assert check_data_file(store.path).transaction == before
    store.state.commit(Applied(2, 1))
    assert check_data_file(store.path).transaction == before + 1
    store.state.close()


# --- Tables beside the keys ---------------------------------------------------------------


def test_each_table_keeps_its_own(store):
    for number, table in enumerate(store.state.tables):
        table.put(b"same", b"%d" % number)
    store.state.commit(Applied(1, 1))
    for table in store.state.tables:
        table.put(b"same", b"never committed")
    state = store.restart()
    kept = [b"%d" % number for number in range(len(TABLES))]
    assert [table.get(b"same") for table in state.tables] == kept
    reading = state.reading()
    stored = [key for key, _ in reading.read(1 << 20)]
    reading.close()
    assert stored == [row.prefix + b"same" for row in TABLES]


def test_what_is_appended_stands_behind_all_others(store):
    history = store.state.history
    for key in (b"a", b"a\x00", b"b"):
        history.append(key, b"record of " + key)
    assert [key for key, _ in history.scan(b"")] == [b"a", b"a\x00", b"b"]
    for key in (b"b", b"a"):
        with pytest.raises(AssertionError):
            history.append(key, b"")
    history.delete(b"b")
    history.append(b"b", b"again")
    assert history.get(b"b") == b"again"


# --- Sessions, beside the keys ------------------------------------------------------------


def test_a_session_is_no_key_and_a_key_no_session(store):
    store.state.put(b"same", b"key")
    store.state.sessions.put(b"same", b"session")
    assert store.state.get(b"same") == b"key"
    assert store.state.sessions.get(b"same") == b"session"
    assert store.state.count() == store.state.sessions.count() == 1
    assert list(store.state.scan(b"")) == [(b"same", b"key")]
    assert store.state.delete(b"same") is True
    assert list(store.state.sessions.scan(b"")) == [(b"same", b"session")]


def test_sessions_are_committed_together_with_applied(store):
    store.state.sessions.put(b"1", b"kept")
    store.state.sessions.put(b"2", b"kept")
    store.state.commit(Applied(7, 5, 900))
    store.state.sessions.put(b"1", b"changed")
    store.state.sessions.delete(b"2")
    store.state.sessions.put(b"3", b"new")
    state = store.restart()
    assert state.applied() == Applied(7, 5, 900)
    assert list(state.sessions.scan(b"")) == [(b"1", b"kept"), (b"2", b"kept")]


def test_a_change_of_sessions_alone_is_committed(store):
    store.state.commit(Applied(3, 1))
    store.state.sessions.put(b"1", b"x")
    store.state.commit(Applied(3, 1))
    assert store.restart().sessions.get(b"1") == b"x"


KEYS = st.binary(max_size=3)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), KEYS, st.sampled_from([b"", b"x", b"x" * 9000])),
        st.tuples(st.just("delete"), KEYS),
        st.tuples(st.just("sessions.put"), KEYS, st.sampled_from([b"", b"x"])),
        st.tuples(st.just("sessions.delete"), KEYS),
        st.tuples(st.just("sessions.scan"), KEYS),
        st.tuples(st.just("scan"), KEYS),
        st.tuples(st.just("scan_back"), KEYS | st.none()),
        st.tuples(st.just("commit")),
        st.tuples(st.just("restart")),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_memory_and_disk_cannot_be_told_apart(tmp_path_factory, steps):
    stores = [kind(tmp_path_factory.mktemp("state")) for kind in (StateInMemory, StateOnDisk)]
    try:
        for number, step in enumerate(steps, 1):
            one, two = (run(store, number, *step) for store in stores)
            assert one == two
        one, two = (contents(store.restart()) for store in stores)
        assert one == two
    finally:
        for store in stores:
            store.state.close()


def contents(state):
    return list(state.scan(b"")), list(state.sessions.scan(b""))


def run(store, number, action, *arguments):
    table = store.state
    if action.startswith("sessions."):
        table, action = table.sessions, action.removeprefix("sessions.")
    if action in ("scan", "scan_back"):
        return list(getattr(table, action)(*arguments))
    if action == "commit":
        return store.state.commit(Applied(number, number))
    if action == "restart":
        return store.restart().applied()
    return getattr(table, action)(*arguments)
