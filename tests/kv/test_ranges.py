"""Ranges and versions against a list of all that the data ever were."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore import api
from kvstore.api import Order, Target
from kvstore.kv import ranges

from .test_machine import Machine

KEYS = (b"", b"a", b"aa", b"b", b"c")
BOUNDS = (*KEYS, b"\0", b"d")

writes = st.one_of(
    st.builds(api.Put, st.sampled_from(KEYS), st.sampled_from((b"", b"1", b"2"))),
    st.builds(lambda keys: api.Delete(tuple(keys)), st.sets(st.sampled_from(KEYS), max_size=3)),
    st.builds(
        lambda pairs: api.PutMany(tuple(pairs.items())),
        st.dictionaries(st.sampled_from(KEYS), st.sampled_from((b"1", b"3")), max_size=3),
    ),
)
numbers = st.just(0) | st.integers(0, 14)
queries = st.builds(
    api.Range,
    key=st.sampled_from(BOUNDS),
    range_end=st.none() | st.sampled_from(BOUNDS),
    revision=numbers,
    limit=st.integers(0, 4),
    order=st.sampled_from(Order),
    target=st.sampled_from(Target),
    keys_only=st.booleans(),
    count_only=st.booleans(),
    min_mod=numbers,
    max_mod=numbers,
    min_create=numbers,
    max_create=numbers,
)


@dataclass
class Told:
    """A machine, and its data as of each revision, which `Get` told at the time."""

    machine: Machine = field(default_factory=Machine)
    data: dict[int, dict[bytes, api.KeyValue]] = field(default_factory=lambda: {1: {}})

    def write(self, write: api.Write) -> None:
        self.machine.run(write)
        found = self.machine.machine.query(api.Get(KEYS))
        assert isinstance(found, api.GetResult)
        self.data[found.revision] = {item.key: item for item in found.items if item is not None}

    @property
    def newest(self) -> int:
        return max(self.data)

    def range(self, query: api.Range) -> api.RangeResult:
        """As etcd does it, in the fewest words."""
        data = self.data[query.revision or self.newest].values()
        end = query.range_end
        if end is None:
            those = [item for item in data if item.key == query.key]
        else:
            those = [
                one for one in data if query.key <= one.key and (end == b"\0" or one.key < end)
            ]
        those.sort(key=lambda item: item.key)
        count = len(those)
        if query.count_only:
            return api.RangeResult(self.newest, (), False, count)
        those = [
            item
            for item in those
            if query.min_mod <= item.mod_revision
            and (not query.max_mod or item.mod_revision <= query.max_mod)
            and query.min_create <= item.create_revision
            and (not query.max_create or item.create_revision <= query.max_create)
        ]
        names = ("key", "version", "create_revision", "mod_revision", "value")
        name = names[query.target]
        those.sort(key=lambda one: getattr(one, name), reverse=query.order is Order.DESCEND)
        more = 0 < query.limit < len(those)
        those = those[: query.limit] if query.limit else those
        if query.keys_only:
            those = [
                api.KeyValue(one.key, b"", one.create_revision, one.mod_revision, one.version)
                for one in those
            ]
        return api.RangeResult(self.newest, tuple(those), more, count)


@given(st.lists(writes, max_size=25), st.lists(queries, max_size=12))
def test_a_range_is_answered_as_etcd_does_it(
    written: list[api.Write], asked: list[api.Range]
) -> None:
    told = Told()
    for write in written:
        told.write(write)
    for query in asked:
        found = told.machine.machine.query(query)
        if query.revision > told.newest:
            assert isinstance(found, api.Failure)
            assert found.code is api.FailureCode.FUTURE
        else:
            assert found == told.range(query), query


TIES = [
    (Order.NONE, Target.KEY, 0, b"abc", False),
    (Order.NONE, Target.KEY, 2, b"ab", True),
    (Order.NONE, Target.KEY, 3, b"abc", False),
    (Order.DESCEND, Target.KEY, 1, b"c", True),
    (Order.DESCEND, Target.KEY, 2, b"cb", True),
    (Order.NONE, Target.VALUE, 0, b"bac", False),
    (Order.ASCEND, Target.VALUE, 2, b"ba", True),
    (Order.DESCEND, Target.VALUE, 0, b"acb", False),
    (Order.DESCEND, Target.VALUE, 1, b"a", True),
    (Order.DESCEND, Target.VERSION, 0, b"cab", False),
    (Order.DESCEND, Target.MOD, 1, b"c", True),
]


@pytest.mark.parametrize(("order", "target", "limit", "keys", "more"), TIES)
def test_what_is_equal_comes_in_the_order_of_keys_and_a_limit_cuts_what_is_ordered(
    order: Order, target: Target, limit: int, keys: bytes, more: bool
) -> None:
    told = Told()
    for key, value in ((b"a", b"2"), (b"b", b"1"), (b"c", b"0"), (b"c", b"2")):
        told.write(api.Put(key, value))
    query = api.Range(b"a", b"d", limit=limit, order=order, target=target)
    found = told.machine.machine.query(query)
    assert isinstance(found, api.RangeResult)
    assert b"".join(item.key for item in found.items) == keys
    assert (found.more, found.count) == (more, 3)


@given(st.lists(writes, max_size=40), st.sampled_from(KEYS), st.integers(1, 4))
def test_the_versions_of_a_key_come_in_pages(
    written: list[api.Write], key: bytes, limit: int
) -> None:
    told = Told()
    for write in written:
        told.write(write)
    right = []
    for revision in sorted(told.data):
        was, now = told.data.get(revision - 1, {}).get(key), told.data[revision].get(key)
        if was != now:
            right.append(api.Version(revision, now))
    found: list[api.Version] = []
    page = api.HistoryResult(0, (), True, 0)
    while page.more:
        before = found[-1].revision if found else 0
        answer = told.machine.machine.query(api.History(key, before, limit))
        assert isinstance(answer, api.HistoryResult)
        page = answer
        assert (page.revision, len(page.versions) <= limit) == (told.newest, True)
        found += page.versions
        assert len(found) <= len(right)
    assert found == right[::-1]


@pytest.fixture
def machine() -> Machine:
    machine = Machine(reply_bytes_max=1000)
    for number in range(20):
        machine.put(b"%02d" % number, b"x" * 100)
    return machine


def test_a_reply_that_would_be_too_long_is_refused_with_what_to_ask_for(machine: Machine) -> None:
    everything = api.Range(b"", api.FROM_KEY)
    found = machine.machine.query(everything)
    assert isinstance(found, api.Failure)
    assert found.message == (
        "the reply would exceed 1000 bytes; ask for keys only, or a lower limit"
    )
    some = machine.machine.query(api.Range(b"", api.FROM_KEY, limit=4))
    assert isinstance(some, api.RangeResult)
    assert (len(some.items), some.more, some.count) == (4, True, 20)
    names = machine.machine.query(api.Range(b"", api.FROM_KEY, keys_only=True))
    assert isinstance(names, api.RangeResult)
    assert len(names.items) == 20


def test_versions_that_are_too_long_for_a_reply_come_in_pages(machine: Machine) -> None:
    for _ in range(20):
        machine.put(b"hot", b"x" * 300)
    found = machine.machine.query(api.History(b"hot"))
    assert isinstance(found, api.HistoryResult)
    assert (len(found.versions), found.more) == (2, True)


@pytest.mark.parametrize("revision", [0, 12])
def test_a_range_that_takes_too_long_is_refused_before_it_has(
    machine: Machine, revision: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is only counted, and at an earlier revision."""
    monkeypatch.setattr(ranges, "RANGE_STEPS_MAX", 8)
    before = machine.machine.steps
    found = machine.machine.query(api.Range(b"0", b"2", revision, count_only=True))
    assert isinstance(found, api.Failure)
    assert "ask for a part of it, or scan it page by page" in found.message
    assert machine.machine.steps - before < 30


def test_all_keys_are_counted_without_looking_at_each(machine: Machine) -> None:
    for query in (
        api.Range(b"", api.FROM_KEY, count_only=True),
        api.Range(b"", api.FROM_KEY, limit=2),
    ):
        before = machine.machine.steps
        found = machine.machine.query(query)
        assert isinstance(found, api.RangeResult)
        assert found.count == 20
        assert machine.machine.steps - before < 15


def test_what_is_not_kept_any_more_is_refused_with_the_first_revision_that_is(
    machine: Machine,
) -> None:
    machine.machine.go_on_from(machine.machine.applied.raised(100))
    newest = machine.machine.revision
    for query in (api.Range(b"00", revision=newest - 1), api.History(b"00", before=newest)):
        found = machine.machine.query(query)
        assert isinstance(found, api.Failure)
        assert (found.code, found.compacted) == (api.FailureCode.COMPACTED, newest)
        assert str(newest) in found.message
    now = machine.machine.query(api.Range(b"00", revision=newest))
    assert isinstance(now, api.RangeResult)
    assert now.count == 1
    versions = machine.machine.query(api.History(b"00"))
    assert isinstance(versions, api.HistoryResult)
    assert [one.revision for one in versions.versions] == [2]
