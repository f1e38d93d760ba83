"""What the state machine does with leases, and with keys under them."""

from __future__ import annotations

import msgspec
import pytest

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.kv.view import Applied
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState


class Machine:
    """A state machine, and a clock that says what time it is in the log."""

    def __init__(self) -> None:
        self.state = MemoryState(Identity(1, "test", 1, ""))
        self.machine = StateMachine(self.state, Applied(), 1 << 20, api.SessionRules())
        self.now_ms = 0

    def apply(self, command: api.Command | api.Internal) -> api.Result:
        row = api.COMMAND_ROW_OF[type(command)]
        logged = api.Stamped(self.now_ms, command) if row.needs_time else command
        data = msgspec.msgpack.encode(logged)
        self.effect = self.machine.apply(self.machine.last_applied + 1, data)
        return self.effect.result

    def there(self, *keys: bytes) -> list[int | None]:
        """The lease of each key, None for one that is not there."""
        result = self.machine.query(api.Get(keys))
        assert isinstance(result, api.GetResult)
        return [None if item is None else item.lease for item in result.items]


@pytest.fixture
def granted() -> Machine:
    """Leases 7 and 8, of 10 s."""
    machine = Machine()
    for lease in (7, 8):
        machine.apply(api.Grant(10_000, lease))
    return machine


def test_what_is_put_under_a_lease_is_gone_with_it_under_one_revision(granted: Machine) -> None:
    for key in (b"a", b"b"):
        granted.apply(api.Put(key, b"", lease=7))
    granted.apply(api.Put(b"c", b"", lease=8))
    revision = granted.machine.revision
    assert granted.apply(api.Revoke(7)) == api.RevokeResult(revision + 1, 2)
    assert [change[:2] for change in granted.effect.changes] == [(b"a", None), (b"b", None)]
    assert granted.there(b"a", b"b", b"c") == [None, None, 8]


def test_a_lease_that_is_due_ends_by_pass_and_by_nothing_else(granted: Machine) -> None:
    granted.apply(api.Put(b"a", b"", lease=7))
    granted.now_ms = 10_500
    assert granted.apply(api.Pass(0)) == api.PassResult(0, False)
    assert granted.there(b"a") == [7]
    assert granted.apply(api.Pass(512)) == api.PassResult(2, False)
    assert granted.there(b"a") == [None]
    assert granted.effect.revision == granted.machine.revision


def test_a_pass_that_ends_no_key_is_no_revision(granted: Machine) -> None:
    granted.now_ms = 20_000
    assert granted.apply(api.Pass(512)) == api.PassResult(2, False)
    assert (granted.effect.revision, granted.machine.revision) == (0, 1)


def test_what_was_renewed_before_a_pass_is_not_ended_by_it(granted: Machine) -> None:
    granted.apply(api.Put(b"a", b"", lease=7))
    granted.now_ms = 10_499
    assert granted.apply(api.Renew((7, 9))) == api.KeptResult((10_000, 0))
    granted.now_ms = 10_500
    assert granted.apply(api.Pass(512)) == api.PassResult(1, False)
    assert granted.there(b"a") == [7]


def test_a_key_is_under_the_lease_of_its_last_put(granted: Machine) -> None:
    granted.apply(api.Put(b"a", b"", lease=7))
    granted.apply(api.Put(b"a", b"", lease=8))
    granted.apply(api.Put(b"b", b"", lease=7))
    granted.apply(api.Put(b"b", b""))
    granted.apply(api.Put(b"c", b"", lease=7))
    granted.apply(api.PutMany(((b"c", b""),)))
    granted.apply(api.Put(b"d", b"", lease=7))
    granted.apply(api.Delete((b"d",)))
    granted.apply(api.Put(b"e", b"", lease=7))
    granted.apply(api.DeleteRange(b"e", b"f"))
    assert granted.apply(api.Revoke(7)) == api.RevokeResult(granted.machine.revision, 0)
    assert granted.there(b"a", b"b", b"c", b"d") == [8, 0, 0, None]
    assert granted.state.attached.count() == 1


def test_an_increment_leaves_a_key_where_it_is(granted: Machine) -> None:
    granted.apply(api.Put(b"n", b"1", lease=7))
    granted.apply(api.Increment(b"n", 1))
    assert granted.there(b"n") == [7]


def test_a_transaction_puts_under_a_lease_or_is_refused_whole(granted: Machine) -> None:
    granted.apply(api.Txn((), (api.Put(b"a", b"", lease=7), api.Put(b"b", b""))))
    assert granted.there(b"a", b"b") == [7, 0]
    refused = granted.apply(api.Txn((), (api.Put(b"c", b""), api.Put(b"d", b"", lease=9))))
    assert isinstance(refused, api.Failure)
    assert (refused.code, refused.is_final) == (api.FailureCode.NO_LEASE, True)
    assert granted.there(b"c", b"d") == [None, None]


@pytest.mark.parametrize("lease", [7, 9], ids=["that is over", "that never was"])
def test_nothing_is_put_under_a_lease(granted: Machine, lease: int) -> None:
    granted.apply(api.Revoke(7))
    for write in (api.Put(b"a", b"", lease=lease), api.Revoke(lease)):
        refused = granted.apply(write)
        assert isinstance(refused, api.Failure)
        assert (refused.code, refused.is_final) == (api.FailureCode.NO_LEASE, True)
    assert granted.there(b"a") == [None]


def test_a_lease_is_told_with_what_is_left_of_it_and_with_its_keys(granted: Machine) -> None:
    granted.apply(api.Put(b"a", b"", lease=7))
    granted.now_ms = 4_000
    granted.apply(api.OpenSession())
    query = granted.machine.query
    assert query(api.TimeToLive(7)) == api.TimeToLiveResult(2, 10_000, 6_000)
    assert query(api.TimeToLive(7, True)) == api.TimeToLiveResult(2, 10_000, 6_000, (b"a",))
    assert query(api.TimeToLive(9)) == api.TimeToLiveResult(2, 0, 0)
    assert query(api.Leases(limit=1)) == api.LeasesResult(2, (7,), 7)
    assert query(api.Leases(after=7)) == api.LeasesResult(2, (8,), None)


def test_leases_go_on_where_another_machine_takes_the_state_over(granted: Machine) -> None:
    granted.apply(api.Put(b"a", b"", lease=7))
    again = Machine()
    again.state, applied = granted.state, granted.machine.applied
    again.machine = StateMachine(again.state, applied, 1 << 20, api.SessionRules())
    again.now_ms = 10_500
    assert again.apply(api.Pass(512)) == api.PassResult(2, False)
    assert again.there(b"a") == [None]
