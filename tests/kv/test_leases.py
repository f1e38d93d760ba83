"""Leases, against a model with a clock, and what they promise one by one."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from kvstore import api
from kvstore.kv.clock import LogClock
from kvstore.kv.leases import Due, Leases
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState

RULES = api.LeaseRules(grace_ms=50, ttl_min_ms=100)
NUMBERS = st.integers(1, 9)
KEYS = st.sampled_from([b"", b"a", b"ab", b"b" * 480])


class Bench:
    """Leases over tables in memory, with a clock that the test moves, and who deletes keys."""

    def __init__(self, time_ms: int = 0) -> None:
        self.state = MemoryState(Identity(1, "test", 1, ""))
        self.clock = LogClock(time_ms)
        self.leases = Leases(self.state, RULES, self.clock)
        self.index = 0
        self.lease_of: dict[bytes, int] = {}

    def grant(self, lease: int = 0, ttl_ms: int = 1_000) -> api.Result:
        self.index += 1
        return self.leases.grant(self.index, api.Grant(ttl_ms, lease))

    def attach(self, lease: int, *keys: bytes) -> None:
        for key in keys:
            if before := self.lease_of.pop(key, 0):
                self.leases.detach(before, key)
            self.leases.attach(lease, key)
            self.lease_of[key] = lease

    def end(self, due: Due | None) -> Due:
        """As the state machine does: the keys go, then the leases."""
        assert due is not None
        for key in due.keys:
            self.leases.detach(self.lease_of.pop(key), key)
        self.leases.end(due)
        return due


# --- One by one ---------------------------------------------------------------------------


def test_a_lease_lasts_for_its_ttl_and_the_grace_and_no_longer() -> None:
    bench = Bench(5_000)
    assert bench.grant(7) == api.GrantResult(7, 1_000)
    bench.clock.move_to(6_049)
    assert bench.leases.is_alive(7)
    assert bench.leases.due(10) == Due()
    bench.clock.move_to(6_050)
    assert bench.end(bench.leases.due(10)) == Due((7,))
    assert not bench.leases.is_alive(7)
    assert bench.leases.next_end_ms is None


def test_a_renewal_begins_the_ttl_anew() -> None:
    bench = Bench()
    bench.grant(7)
    bench.clock.move_to(1_049)
    assert bench.leases.renew([7, 8]) == (1_000, 0)
    assert bench.leases.next_end_ms == 2_099
    assert bench.leases.times(7) == (1_000, 1_000)


def test_a_renewal_is_in_time_as_long_as_nobody_has_ended_the_lease() -> None:
    """A new leader waits for those that were on their way to the one before it."""
    bench = Bench()
    bench.grant(7)
    bench.clock.move_to(9_000)
    assert bench.leases.times(7) == (1_000, 0)
    assert bench.leases.renew([7]) == (1_000,)
    assert bench.leases.due(10) == Due()
    bench.end(bench.leases.end_now(7))
    assert bench.leases.renew([7]) == (0,)
    assert bench.leases.times(7) == (0, 0)
    assert [*bench.leases.numbers(0)] == []
    assert bench.leases.end_now(7) is None


def test_a_lease_of_which_a_part_has_ended_is_renewed_no_more() -> None:
    bench = Bench()
    bench.grant(7)
    bench.attach(7, *(b"%04d" % number for number in range(api.KEYS_MAX + 3)))
    bench.clock.move_to(9_000)
    bench.end(bench.leases.due(1))
    assert not bench.leases.is_alive(7)
    assert bench.leases.renew([7]) == (0,)
    assert [*bench.leases.numbers(0)] == []


def test_what_is_left_is_told_without_the_grace() -> None:
    bench = Bench()
    bench.grant(7)
    bench.clock.move_to(990)
    assert bench.leases.times(7) == (1_000, 10)
    bench.clock.move_to(1_040)
    assert bench.leases.times(7) == (1_000, 0)


def test_a_ttl_that_is_too_short_is_raised() -> None:
    assert Bench().grant(7, ttl_ms=1) == api.GrantResult(7, 100)


def test_a_number_is_a_lease_s_once_and_stays_so_until_that_is_ended() -> None:
    bench = Bench()
    bench.grant(7)
    for _ in range(2):
        again = bench.grant(7)
        assert isinstance(again, api.Failure)
        assert (again.code, again.is_final) == (api.FailureCode.LEASE_EXISTS, True)
        bench.clock.move_to(9_000)
    bench.end(bench.leases.due(1))
    assert bench.grant(7) == api.GrantResult(7, 1_000)


def test_who_chooses_no_number_gets_that_of_the_entry_or_the_next_free_one() -> None:
    bench = Bench()
    bench.grant(3)
    bench.grant(4)
    assert bench.grant() == api.GrantResult(5, 1_000)
    assert bench.grant() == api.GrantResult(6, 1_000)


def test_keys_go_with_their_lease_and_with_no_other_one() -> None:
    bench = Bench()
    bench.grant(1)
    bench.grant(256)
    bench.attach(1, b"a", b"b", b"\x00" * 8)
    bench.attach(256, b"b", b"c")
    bench.leases.detach(1, b"a")
    assert [*bench.leases.keys(1)] == [b"\x00" * 8]
    assert [*bench.leases.keys(256)] == [b"b", b"c"]


def test_leases_that_are_due_end_in_the_order_of_their_ends() -> None:
    bench = Bench()
    for lease, ttl_ms in ((3, 300), (1, 200), (2, 200)):
        bench.grant(lease, ttl_ms)
    bench.clock.move_to(10_000)
    assert bench.end(bench.leases.due(2)) == Due((1, 2), (), has_more=True)
    assert bench.end(bench.leases.due(2)) == Due((3,))


def test_no_lease_is_split_but_one_that_has_more_keys_than_one_entry_may_delete() -> None:
    bench = Bench()
    for lease in (1, 2):
        bench.grant(lease)
    few = tuple(b"1%03d" % number for number in range(20))
    many = tuple(b"2%04d" % number for number in range(api.KEYS_MAX + 3))
    bench.attach(1, *few)
    bench.attach(2, *many)
    bench.clock.move_to(10_000)
    assert bench.end(bench.leases.due(5)) == Due((1,), few, has_more=True)
    assert bench.end(bench.leases.due(5)) == Due((), many[: api.KEYS_MAX], has_more=True)
    assert bench.end(bench.leases.due(5)) == Due((2,), many[api.KEYS_MAX :])


def test_a_lease_that_is_revoked_is_due_and_its_further_keys_are_as_well() -> None:
    bench = Bench()
    bench.grant(1)
    keys = tuple(b"%04d" % number for number in range(api.KEYS_MAX + 3))
    bench.attach(1, *keys)
    assert bench.end(bench.leases.end_now(1)) == Due((), keys[: api.KEYS_MAX], has_more=True)
    assert not bench.leases.is_alive(1)
    assert bench.end(bench.leases.due(1)) == Due((1,), keys[api.KEYS_MAX :])


@pytest.mark.parametrize("restarted", [False, True])
def test_what_ends_next_is_known_after_each_change(restarted: bool) -> None:
    bench = Bench()

    def next_end_ms() -> int | None:
        if restarted:
            return Leases(bench.state, RULES, bench.clock).next_end_ms
        return bench.leases.next_end_ms

    assert next_end_ms() is None
    bench.grant(1, 500)
    assert next_end_ms() == 550
    bench.grant(2, 200)
    assert next_end_ms() == 250
    bench.end(bench.leases.end_now(2))
    assert next_end_ms() == 550
    bench.clock.move_to(100)
    bench.leases.renew([1])
    assert next_end_ms() == 650


# --- Against a model ----------------------------------------------------------------------


class LeaseStory(RuleBasedStateMachine):
    """Whatever happens, the tables say what a dict of leases says."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.model: dict[int, tuple[int, int]] = {}
        """Lease -> TTL and end."""

    @property
    def now_ms(self) -> int:
        return self.bench.clock.time_ms

    def is_alive(self, lease: int) -> bool:
        return lease in self.model

    @rule(passed_ms=st.integers(0, 400))
    def time_passes(self, passed_ms: int) -> None:
        self.bench.clock.move_to(self.now_ms + passed_ms)

    @rule(lease=NUMBERS | st.just(0), ttl_ms=st.integers(1, 800))
    def grant(self, lease: int, ttl_ms: int) -> None:
        result = self.bench.grant(lease, ttl_ms)
        if lease in self.model:
            assert isinstance(result, api.Failure)
            return
        assert isinstance(result, api.GrantResult)
        ttl_ms = max(100, ttl_ms)
        assert result.lease not in self.model
        assert result == api.GrantResult(lease or result.lease, ttl_ms)
        self.model[result.lease] = (ttl_ms, self.now_ms + ttl_ms + 50)

    @rule(leases=st.lists(NUMBERS, max_size=4))
    def renew(self, leases: list[int]) -> None:
        ttls = tuple(self.model[one][0] if self.is_alive(one) else 0 for one in leases)
        assert self.bench.leases.renew(leases) == ttls
        for lease, ttl_ms in zip(leases, ttls, strict=True):
            if ttl_ms:
                self.model[lease] = (ttl_ms, self.now_ms + ttl_ms + 50)

    @rule(lease=NUMBERS, key=KEYS)
    def put(self, lease: int, key: bytes) -> None:
        assert self.bench.leases.is_alive(lease) == self.is_alive(lease)
        if self.is_alive(lease):
            self.bench.attach(lease, key)

    @precondition(lambda self: self.bench.lease_of)
    @rule(data=st.data())
    def put_under_none(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.bench.lease_of)))
        self.bench.leases.detach(self.bench.lease_of.pop(key), key)

    @rule(lease=NUMBERS)
    def revoke(self, lease: int) -> None:
        due = self.bench.leases.end_now(lease)
        assert (due is not None) == self.is_alive(lease)
        if due is not None:
            assert (due.leases, due.keys) == ((lease,), self.keys_of(lease))
            self.bench.end(due)
            del self.model[lease]

    @rule(keys_max=st.integers(1, 6))
    def end_what_is_due(self, keys_max: int) -> None:
        due = self.bench.leases.due(keys_max)
        overdue = sorted(
            (end, lease) for lease, (_, end) in self.model.items() if end <= self.now_ms
        )
        assert due.leases == tuple(lease for _, lease in overdue)[: len(due.leases)]
        assert due.keys == sum((self.keys_of(lease) for lease in due.leases), ())
        assert due.has_more == (len(due.leases) < len(overdue))
        assert due.leases or not overdue
        assert len(due.leases) + len(due.keys) <= keys_max or len(due.leases) == 1
        self.bench.end(due)
        for lease in due.leases:
            del self.model[lease]

    @rule()
    def begin_anew(self) -> None:
        """As a node does that starts, or installs a snapshot."""
        self.bench.leases = Leases(self.bench.state, RULES, self.bench.clock)

    def keys_of(self, lease: int) -> tuple[bytes, ...]:
        return tuple(sorted(key for key, of in self.bench.lease_of.items() if of == lease))

    @invariant()
    def says_the_same(self) -> None:
        leases, state = self.bench.leases, self.bench.state
        ends = [end for _, end in self.model.values()]
        assert leases.next_end_ms == min(ends, default=None)
        assert [*leases.numbers(0)] == sorted(filter(self.is_alive, self.model))
        for lease in range(1, 10):
            assert tuple(leases.keys(lease)) == self.keys_of(lease)
        assert state.ends.count() == state.leases.count() == len(self.model)
        assert state.attached.count() == len(self.bench.lease_of)


TestLeaseStory = LeaseStory.TestCase
TestLeaseStory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
