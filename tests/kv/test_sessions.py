"""Sessions: a request has one effect and one answer, and they end on all replicas alike."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore import api
from kvstore.kv.machine import StateMachine
from kvstore.kv.view import Applied

from .test_machine import Machine

RULES = api.SessionRules(ttl_ms=100, sessions_max=3, result_bytes_max=64)
ADD = api.Increment(b"n", 1)


class Sessions(Machine):
    """A state machine with narrow rules, asked as clients ask it."""

    def __init__(self, rules: api.SessionRules = RULES) -> None:
        super().__init__(rules=rules)
        self.rules = rules

    def open(self, time_ms: int = 0) -> int:
        result = self.run(api.Stamped(time_ms, api.OpenSession()))
        assert result == api.SessionResult(self.machine.last_applied)
        return self.machine.last_applied

    def once(
        self, session: int, sequence: int, write: api.Write = ADD, time_ms: int = 0
    ) -> api.Result:
        return self.run(api.Stamped(time_ms, api.Once(session, sequence, write)))

    def restart(self) -> None:
        """From what was committed last."""
        self.state.crash()
        self.machine = StateMachine(self.state, self.state.applied(), 1 << 20, self.rules)

    def commit(self) -> None:
        self.state.commit(self.machine.applied)

    def knows(self, session: int) -> bool:
        """Whether the session is there; asked under a number that it has passed."""
        return code(self.once(session, 0)) is not api.FailureCode.NO_SESSION


def code(result: api.Result) -> api.FailureCode | None:
    return result.code if isinstance(result, api.Failure) else None


@pytest.fixture
def machine() -> Sessions:
    return Sessions()


def test_a_session_is_named_by_the_entry_that_opened_it(machine: Sessions) -> None:
    machine.put(b"k", b"v")
    assert machine.open() == 2


def test_a_request_that_arrives_again_has_one_effect_and_one_answer(machine: Sessions) -> None:
    session = machine.open()
    first = machine.once(session, 1)
    machine.put(b"n", b"7")
    assert machine.once(session, 1) == first == api.IncrementResult(2, 1)
    assert machine.value(b"n") == b"7"
    assert machine.machine.revision == 3


def test_the_next_request_is_another_one(machine: Sessions) -> None:
    session = machine.open()
    assert machine.once(session, 1) == api.IncrementResult(2, 1)
    assert machine.once(session, 2) == api.IncrementResult(3, 2)


def test_a_number_that_was_passed_over_can_never_take_effect(machine: Sessions) -> None:
    session = machine.open()
    machine.once(session, 5)
    for late in (1, 4):
        refused = machine.once(session, late)
        assert code(refused) is api.FailureCode.TAKEN
        # An earlier copy may have been carried out before: this refuses one copy alone.
        assert isinstance(refused, api.Failure)
        assert not refused.is_final
    assert machine.value(b"n") == b"1"


@pytest.mark.parametrize(
    "other",
    [
        api.Increment(b"n", 2),
        api.Increment(b"m", 1),
        api.Put(b"n", b"1"),
        api.Increment(b"n", 1, guard=api.Guard(b"n", 0)),
    ],
)
def test_a_number_that_comes_with_another_write_is_refused_for_ever(
    machine: Sessions, other: api.Write
) -> None:
    session = machine.open()
    first = machine.once(session, 1)
    before = [*machine.state.scan(b"")], [*machine.state.sessions.scan(b"")]
    for _ in range(2):
        refused = machine.once(session, 1, other)
        assert code(refused) is api.FailureCode.TAKEN
        assert isinstance(refused, api.Failure)
        assert refused.is_final
    assert ([*machine.state.scan(b"")], [*machine.state.sessions.scan(b"")]) == before
    assert machine.once(session, 1) == first
    assert machine.once(session, 2, other) != refused


def test_a_restart_keeps_which_write_a_number_was_given_to(machine: Sessions) -> None:
    session = machine.open()
    first = machine.once(session, 1)
    machine.commit()
    machine.restart()
    assert code(machine.once(session, 1, api.Increment(b"n", 2))) is api.FailureCode.TAKEN
    assert machine.once(session, 1) == first


def test_what_is_kept_of_a_write_does_not_grow_with_it(machine: Sessions) -> None:
    machine.once(machine.open(), 1, api.Put(b"k", b"x" * 10_000))
    assert sum(len(record) for _, record in machine.state.sessions.scan(b"")) < 64


def test_sessions_do_not_share_their_numbers(machine: Sessions) -> None:
    one, two = machine.open(), machine.open()
    assert machine.once(one, 1) == api.IncrementResult(2, 1)
    assert machine.once(two, 1) == api.IncrementResult(3, 2)


def test_a_refusal_of_the_state_machine_is_kept_like_an_answer(machine: Sessions) -> None:
    session = machine.open()
    machine.put(b"n", b"text")
    refused = machine.once(session, 1)
    assert isinstance(refused, api.Failure)
    assert refused.is_final
    machine.put(b"n", b"7")
    assert machine.once(session, 1) == refused
    assert machine.value(b"n") == b"7"


def test_a_guard_that_did_not_hold_is_kept_like_an_answer(machine: Sessions) -> None:
    session = machine.open()
    write = api.Put(b"k", b"v", guard=api.Guard(b"lock", 2))
    assert machine.once(session, 1, write) == api.GuardFailed(1, 0)
    machine.put(b"lock", b"me")
    assert machine.once(session, 1, write) == api.GuardFailed(1, 0)


@pytest.mark.parametrize("session", [7, 1 << 62])
def test_a_request_of_an_unknown_session_is_not_carried_out(
    machine: Sessions, session: int
) -> None:
    assert code(machine.once(session, 1)) is api.FailureCode.NO_SESSION
    assert machine.value(b"n") is None


@pytest.mark.parametrize("when", [api.When.PRESENT, api.When.ABSENT])
def test_a_record_too_large_to_keep_is_told_once_and_whether_it_was_replaced_each_time(
    machine: Sessions, when: api.When
) -> None:
    session = machine.open()
    machine.put(b"k", b"x" * 100)
    put = api.Put(b"k", b"new", when, return_previous=True)
    first = machine.once(session, 1, put)
    assert isinstance(first, api.PutResult)
    assert first.previous is not None
    assert first.written == (when is api.When.PRESENT)
    again = machine.once(session, 1, put)
    assert again == api.Repeated(first.revision, first.written)
    assert (machine.value(b"k") == b"new") == first.written
    kept = sum(len(record) for _, record in machine.state.sessions.scan(b""))
    assert kept < 80


def test_a_transaction_too_long_to_keep_is_told_once_and_its_branch_each_time(
    machine: Sessions,
) -> None:
    session = machine.open()
    machine.put(b"k", b"x" * 100)
    is_there = api.Compare(b"k", api.CompareTarget.VERSION, api.Relation.GREATER)
    get, put = api.Get((b"k",)), api.Put(b"n", b"1")
    writes: list[api.Write] = [
        api.Txn((is_there,), (get, put)),
        api.Txn((api.Compare(b"k", api.CompareTarget.MOD),), (), (get, put)),
        api.DeleteRange(b"k", return_previous=True),
    ]
    for sequence, write in enumerate(writes, start=1):
        first = machine.once(session, sequence, write)
        assert isinstance(first, api.TxnResult | api.DeleteResult)
        changed = machine.machine.revision
        succeeded = getattr(first, "succeeded", True)
        assert succeeded == (sequence != 2)
        again = machine.once(session, sequence, write)
        assert again == api.Repeated(first.revision, succeeded)
        assert machine.machine.revision == changed
    kept = sum(len(record) for _, record in machine.state.sessions.scan(b""))
    assert kept < 80


# --- The end of sessions ------------------------------------------------------------------


def test_one_more_session_ends_the_one_that_was_not_used_for_longest(machine: Sessions) -> None:
    one, two, three = machine.open(), machine.open(), machine.open()
    machine.once(one, 1)
    four = machine.open()
    assert [machine.knows(session) for session in (one, two, three, four)] == [
        *(True, False, True, True)
    ]
    assert machine.state.sessions.count() == 3


def test_a_session_that_was_not_used_for_too_long_is_expired(machine: Sessions) -> None:
    one, two = machine.open(time_ms=0), machine.open(time_ms=0)
    machine.once(two, 1, time_ms=60)
    assert code(machine.once(one, 1, time_ms=101)) is api.FailureCode.NO_SESSION
    assert machine.once(two, 2, time_ms=160) == api.IncrementResult(3, 2)


def test_a_session_lives_to_its_last_millisecond(machine: Sessions) -> None:
    session = machine.open(time_ms=1_000)
    assert machine.once(session, 1, time_ms=1_100) == api.IncrementResult(2, 1)
    assert code(machine.once(session, 2, time_ms=1_201)) is api.FailureCode.NO_SESSION


def test_an_answer_told_again_is_a_use(machine: Sessions) -> None:
    session = machine.open()
    machine.once(session, 1, time_ms=50)
    machine.once(session, 1, time_ms=150)
    assert machine.once(session, 1, time_ms=250) == api.IncrementResult(2, 1)


def test_time_does_not_go_back_with_a_leader_that_lags(machine: Sessions) -> None:
    session = machine.open(time_ms=1_000)
    machine.once(session, 1, time_ms=5)
    assert machine.machine.clock.time_ms == 1_000
    assert code(machine.once(session, 2, time_ms=1_101)) is api.FailureCode.NO_SESSION


def test_an_entry_removes_a_bounded_number_and_counts_the_others_as_ended() -> None:
    machine = Sessions(api.SessionRules(ttl_ms=100, sessions_max=1_000))
    sessions = [machine.open() for _ in range(100)]
    machine.open(time_ms=500)
    left = machine.state.sessions.count()
    assert 50 < left < 101
    assert not machine.knows(sessions[-1])
    for _ in range(10):
        machine.open(time_ms=500)
    assert machine.state.sessions.count() == 11


# --- Beside the keys, and over restarts ---------------------------------------------------


def test_no_read_of_the_keys_sees_a_session(machine: Sessions) -> None:
    machine.once(machine.open(), 1)
    assert machine.machine.query(api.Count()) == api.CountResult(2, 1)
    page = machine.machine.query(api.Scan())
    assert isinstance(page, api.ScanResult)
    assert [item.key for item in page.items] == [b"n"]


def test_a_restart_keeps_answers_and_time(machine: Sessions) -> None:
    session = machine.open(time_ms=40)
    machine.once(session, 1, time_ms=50)
    machine.commit()
    machine.restart()
    assert machine.machine.clock.time_ms == 50
    assert machine.once(session, 1) == api.IncrementResult(2, 1)
    assert code(machine.once(session, 2, time_ms=151)) is api.FailureCode.NO_SESSION


def test_a_restart_keeps_the_order_in_which_sessions_were_used(machine: Sessions) -> None:
    one, two, three = machine.open(), machine.open(), machine.open()
    machine.once(one, 1)
    machine.commit()
    machine.restart()
    machine.open()
    assert [machine.knows(session) for session in (one, two, three)] == [True, False, True]


def test_what_was_not_committed_is_gone_with_its_session(machine: Sessions) -> None:
    machine.commit()
    session = machine.open()
    machine.once(session, 1)
    machine.restart()
    assert machine.machine.applied == Applied()
    assert not machine.knows(session)


writes = st.one_of(
    st.builds(api.Put, st.sampled_from([b"a", b"n"]), st.sampled_from([b"1", b"x" * 70])),
    st.builds(api.Put, st.just(b"a"), st.just(b"2"), return_previous=st.just(True)),
    st.just(ADD),
    st.just(api.Delete((b"a", b"n"), guard=api.Guard(b"a", 4))),
)
entries = st.lists(
    st.one_of(
        writes,
        st.builds(api.Stamped, st.integers(0, 400), st.just(api.OpenSession())),
        st.builds(
            api.Stamped,
            st.integers(0, 400),
            st.builds(api.Once, st.integers(1, 12), st.integers(1, 3), writes),
        ),
    ),
    max_size=30,
)


@given(entries, st.integers(0, 30))
def test_a_replay_from_any_checkpoint_gives_the_same_sessions_and_answers(
    script: list[api.Logged], at: int
) -> None:
    whole, interrupted = Sessions(), Sessions()
    results = [whole.run(logged) for logged in script]
    replayed = [interrupted.run(logged) for logged in script[:at]]
    interrupted.commit()
    interrupted.restart()
    replayed += [interrupted.run(logged) for logged in script[at:]]
    assert replayed == results
    assert [*interrupted.state.scan(b"")] == [*whole.state.scan(b"")]
    assert [*interrupted.state.sessions.scan(b"")] == [*whole.state.sessions.scan(b"")]
    assert interrupted.machine.applied == whole.machine.applied


@given(entries)
def test_no_number_of_a_session_changes_anything_twice(script: list[api.Logged]) -> None:
    machine, seen = Sessions(), set()
    for logged in script:
        before = machine.machine.revision
        machine.run(logged)
        match logged:
            case api.Stamped(command=api.Once(session=session, sequence=sequence)):
                if machine.machine.revision != before:
                    assert (session, sequence) not in seen
                    seen.add((session, sequence))


@given(entries)
def test_all_answers_under_a_number_are_for_one_write(script: list[api.Logged]) -> None:
    machine, given_to = Sessions(), dict[tuple[int, int], api.Write]()
    for logged in script:
        result = machine.run(logged)
        match logged:
            case api.Stamped(command=api.Once() as once):
                if not isinstance(result, api.Failure) or result.code is api.FailureCode.INVALID:
                    number = once.session, once.sequence
                    assert given_to.setdefault(number, once.write) == once.write


def test_a_time_in_the_log_is_part_of_the_entry() -> None:
    stamped = api.Stamped(17, api.Once(1, 1, ADD))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(stamped), type=api.Logged) == stamped
