"""What one client is told over a connection: in order, whole, and only what it asked for."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from until import until

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.wire import typed

from ..line import LIMITS, Line


class Conversation:
    """A line whose replies are read as typed results."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.line = Line(limits=limits)
        self.writer = self.line.client
        self.line.connect_anew()

    def say(self, *requests: api.Request) -> list[api.Result]:
        """Ask, and hear whatever comes."""
        data = self.line.ask(*(typed.encode_call(api.Call(request)) for request in requests))
        return self._read(data)

    def hear(self) -> list[api.Result]:
        """What comes in a few turns."""
        return self._read(self.line.receive())

    def _read(self, data: bytes) -> list[api.Result]:
        return [typed.decode_reply(payload).result for payload in payloads(data)]

    def write(self, *writes: api.Write) -> None:
        """By another client, one after the other."""
        for write in writes:
            self.writer.sendall(typed.encode_call(api.Call(write)))
            self.line.turn()
        self.line.turn()


def payloads(data: bytes) -> Iterator[bytes]:
    while data:
        assert data[:1] == b"$", data[:100]
        length, _, data = data[1:].partition(b"\r\n")
        yield data[: int(length)]
        data = data[int(length) + 2 :]


@pytest.fixture
def talk() -> Iterator[Conversation]:
    conversation = Conversation()
    yield conversation
    conversation.line.close()


def put(key: bytes, value: bytes = b"v") -> api.Put:
    return api.Put(key, value)


def shape(result: api.Result) -> object:
    """What is told, without revisions of keys."""
    if isinstance(result, api.WatchEvents):
        return [(one.key, one.item and one.item.value) for one in result.events]
    return result


def test_a_watch_is_told_of_its_range_and_no_other(talk: Conversation) -> None:
    before = talk.line.node.machine.revision
    assert talk.say(api.CreateWatch(7, b"a", b"c")) == [api.WatchCreated(7, before + 1)]
    talk.write(put(b"a"), put(b"c"), put(b"b", b"w"), api.Delete((b"a", b"c")))
    told = talk.hear()
    assert [shape(one) for one in told] == [[(b"a", b"v")], [(b"b", b"w")], [(b"a", None)]]
    events = [one for one in told if isinstance(one, api.WatchEvents)]
    assert [one.revision for one in events] == [before + 1, before + 3, before + 4]
    assert all(one.watches == (7,) and not one.more for one in events)


def test_what_several_watches_of_a_connection_are_told_alike_comes_once(
    talk: Conversation,
) -> None:
    talk.say(api.CreateWatch(1, b"a", b"c"), api.CreateWatch(2, b"a", b"c"))
    talk.say(api.CreateWatch(3, b"a"))
    talk.write(put(b"a"))
    told = [one for one in talk.hear() if isinstance(one, api.WatchEvents)]
    assert sorted(one.watches for one in told) == [(1, 2), (3,)]


def test_keys_that_change_together_are_told_together(talk: Conversation) -> None:
    talk.say(api.CreateWatch(1, b"", api.FROM_KEY))
    talk.write(api.PutMany(((b"b", b"1"), (b"a", b"2"))))
    [told] = talk.hear()
    assert shape(told) == [(b"b", b"1"), (b"a", b"2")]


def test_puts_or_deletions_alone_are_told_if_so_asked(talk: Conversation) -> None:
    talk.say(
        api.CreateWatch(1, b"", api.FROM_KEY, puts=False),
        api.CreateWatch(2, b"", api.FROM_KEY, deletes=False),
    )
    talk.write(put(b"a"), api.Delete((b"a",)))
    told = [one for one in talk.hear() if isinstance(one, api.WatchEvents)]
    assert [(one.watches, shape(one)) for one in told] == [
        ((2,), [(b"a", b"v")]),
        ((1,), [(b"a", None)]),
    ]


def test_what_changes_nothing_is_no_event(talk: Conversation) -> None:
    talk.say(api.CreateWatch(1, b"", api.FROM_KEY))
    talk.write(
        api.Delete((b"nothing",)),
        api.Put(b"a", b"v", api.When.PRESENT),
        api.Put(b"a", b"v", guard=api.Guard(b"lock", 3)),
        api.OpenSession(),
    )
    assert talk.hear() == []


def test_a_write_of_a_session_that_comes_again_is_told_once(talk: Conversation) -> None:
    talk.say(api.CreateWatch(1, b"", api.FROM_KEY))
    talk.write(api.OpenSession())
    session = talk.line.node.machine.last_applied
    talk.write(*[api.Once(session, 1, put(b"a"))] * 2)
    assert [shape(one) for one in talk.hear()] == [[(b"a", b"v")]]


def test_nothing_is_told_any_more_once_a_watch_is_cancelled(talk: Conversation) -> None:
    talk.say(api.CreateWatch(1, b"a"), api.CreateWatch(2, b"a"))
    talk.write(put(b"a"))
    assert len(talk.hear()) == 1
    assert talk.say(api.CancelWatch(1)) == [api.WatchCanceled(1)]
    talk.write(put(b"a"))
    [told] = talk.hear()
    assert isinstance(told, api.WatchEvents)
    assert told.watches == (2,)
    [refusal] = talk.say(api.CancelWatch(1))
    assert isinstance(refusal, api.Failure)


def test_progress_is_what_all_was_told_up_to(talk: Conversation) -> None:
    talk.say(api.CreateWatch(1, b"a"))
    talk.write(put(b"b"), put(b"c"))
    assert talk.say(api.AskProgress()) == [api.WatchProgress(talk.line.node.machine.revision)]


def test_the_answer_to_progress_comes_behind_all_events_up_to_it(talk: Conversation) -> None:
    talk.say(api.CreateWatch(1, b"a"))
    talk.line.node.watches.tick(talk.line.now_ms, has_leader=True)
    talk.write(put(b"a"), put(b"a"))
    heard = talk.say(api.AskProgress()) + talk.hear()
    reached = talk.line.node.machine.revision
    for place, one in enumerate(heard):
        if isinstance(one, api.WatchProgress):
            told = [e.revision for e in heard[:place] if isinstance(e, api.WatchEvents)]
            assert told == [r for r in (reached - 1, reached) if r <= one.revision]
    assert sum(isinstance(one, api.WatchEvents) for one in heard) == 2


def test_a_connection_that_watches_takes_nothing_else(talk: Conversation) -> None:
    talk.say(api.CreateWatch(1, b"a"))
    [refusal] = talk.say(put(b"a"))
    assert isinstance(refusal, api.Failure)
    assert refusal.code is api.FailureCode.INVALID
    assert talk.line.node.machine.revision == talk.line.node.watches._past.revision


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (api.CreateWatch(-1, b"a"), "numbered"),
        (api.CreateWatch(1 << 32, b"a"), "numbered"),
        (api.CreateWatch(1, b"a", b"a"), "behind its beginning"),
        (api.CreateWatch(1, b"b", b"a"), "behind its beginning"),
        (api.CreateWatch(1, b"a", start_revision=-1), "starts at revision"),
        (api.CreateWatch(1, bytes(api.KEY_BYTES_MAX + 1)), "the limit is"),
        (api.CreateWatch(1, b"a", b"b" * (api.KEY_BYTES_MAX + 2)), "the limit is"),
        (api.CancelWatch(1), "no watch 1"),
    ],
)
def test_what_cannot_be_watched_is_refused_and_says_why(
    talk: Conversation, request_: api.Request, said: str
) -> None:
    [refusal] = talk.say(request_)
    assert isinstance(refusal, api.Failure)
    assert refusal.code is api.FailureCode.INVALID
    assert said in refusal.message


def test_a_number_is_one_watch(talk: Conversation) -> None:
    [_, refusal] = talk.say(api.CreateWatch(1, b"a"), api.CreateWatch(1, b"b"))
    assert isinstance(refusal, api.Failure)
    assert "free number" in refusal.message


def test_more_watches_than_there_may_be_are_told_so() -> None:
    limits = msgspec.structs.replace(LIMITS, watches_of_client_max=2, watches_max=3)
    talk = Conversation(limits)
    said = talk.say(*(api.CreateWatch(number, b"a") for number in range(3)))
    assert [type(one) for one in said] == [api.WatchCreated, api.WatchCreated, api.Failure]
    talk.line.connect_anew()
    said += talk.say(*(api.CreateWatch(number, b"a") for number in range(2)))
    assert isinstance(said[3], api.WatchCreated)
    for refusal, who in ((said[2], "connection"), (said[4], "node")):
        assert isinstance(refusal, api.Failure)
        assert refusal.code is api.FailureCode.BUSY
        assert who in refusal.message
    talk.line.close()


def test_who_hangs_up_watches_no_more(talk: Conversation) -> None:
    free_bytes = talk.line.context.load.share_bytes
    talk.say(api.CreateWatch(1, b"a"))
    assert talk.line.node.watches.is_wanted
    assert talk.line.context.load.share_bytes < free_bytes, "what they take is no room for replies"
    talk.line.close()
    until(lambda: not talk.line.node.watches.is_wanted, talk.line.turn, "nobody watches")
    talk.line.node.watches.check()


def test_who_reads_nothing_costs_no_more_than_its_share() -> None:
    """What it misses is counted by bytes of the queue, and its socket holds little."""
    limits = msgspec.structs.replace(LIMITS, watch_queue_bytes_max=200_000)
    talk = Conversation(limits)
    talk.say(api.CreateWatch(1, b"", api.FROM_KEY))
    watches, [subscriber] = talk.line.node.watches, talk.line.node.watches._subscribers
    for _ in range(100):
        talk.write(put(b"a", bytes(100_000)))
        assert watches._queues.held_bytes <= limits.watch_queue_bytes_max
        assert talk.line.connection.unsent_bytes <= 400_000
        watches.check()
    assert not subscriber.queue or subscriber.queued_bytes <= limits.watch_queue_bytes_max
    told: list[api.Result] = []
    while heard := talk.hear():
        told += heard
    ended = told[-1]
    assert isinstance(ended, api.WatchCanceled)
    assert ended.failure is not None
    assert ended.failure.code is api.FailureCode.COMPACTED
    revisions = [one.revision for one in told if isinstance(one, api.WatchEvents)]
    assert revisions == list(range(revisions[0], revisions[-1] + 1))
    assert revisions[-1] < ended.failure.compacted <= talk.line.node.machine.revision + 1
    talk.line.close()
