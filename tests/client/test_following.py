"""What a watch does when nodes come and go: scripted nodes, without sockets or time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from kvstore import api
from kvstore.address import Address
from kvstore.client.attempt import Rest, Setback, Unanswered
from kvstore.client.following import Dial, Follower, Listen, Say, WatchBatch
from kvstore.client.knowledge import Knowledge
from kvstore.errors import CompactedError, RefusedError, UnreachableError
from kvstore.wire import typed

ONE, TWO = Address("one", 1), Address("two", 2)
SILENCE = Unanswered("no reply came in time", is_silence=True)
GONE = Unanswered("the connection was closed")
WATCH = api.CreateWatch(0, b"a", start_revision=5)


def reply(result: api.Result, cluster_id: str = "c") -> bytes:
    framed = typed.encode_reply(api.Reply(cluster_id, 1, 1, 9, result))
    return framed.partition(b"\r\n")[2][:-2]


def created(revision: int) -> bytes:
    return reply(api.WatchCreated(1, revision))


def put(revision: int, key: bytes = b"a", *, more: bool = False) -> bytes:
    event = api.Event(key, api.KeyValue(key, b"v", 1, revision, 1))
    return reply(api.WatchEvents((1,), revision, (event,), more))


def cancelled(code: api.FailureCode, floor: int = 0) -> bytes:
    return reply(api.WatchCanceled(1, api.Failure(code, "so", compacted=floor)))


class Script:
    """What nodes say, in order, whoever is asked: frames, or setbacks; then the test ends.

    * `did`: what the follower wanted done.
    """

    def __init__(self, *said: bytes | Setback, **options: Any) -> None:
        self.now = 0.0
        self._said = list(said)
        nodes: Sequence[Address] = options.pop("nodes", (ONE, TWO))
        knowledge = options.pop("knowledge", None) or Knowledge()
        self.follower = Follower(WATCH, knowledge, nodes, self._clock, **options)
        self.did: list[object] = []
        self.batches: list[WatchBatch] = []

    def _clock(self) -> float:
        return self.now

    def play(self) -> Script:
        """Until all is said."""
        way = self.follower.follow()
        step = next(way)
        while True:
            self.did.append(step)
            answer: bytes | None = None
            if isinstance(step, WatchBatch):
                self.batches.append(step)
            elif isinstance(step, Rest):
                self.now += step.longest_s
            elif isinstance(step, Listen):
                if not self._said:
                    return self
                one = self._said.pop(0)
                if isinstance(one, Setback):
                    self.now = step.until if one.is_silence else self.now
                    step = way.throw(one)
                    continue
                answer = one
            step = way.send(answer)

    @property
    def dialled(self) -> list[Address]:
        return [one.node for one in self.did if isinstance(one, Dial)]

    @property
    def starts(self) -> list[int]:
        asked = [one.call.request for one in self.did if isinstance(one, Say)]
        return [one.start_revision for one in asked if isinstance(one, api.CreateWatch)]


def revisions(script: Script) -> list[int]:
    return [batch.revision for batch in script.batches]


def test_what_is_told_is_handed_on() -> None:
    script = Script(created(5), put(6), put(9)).play()
    assert revisions(script) == [6, 9]
    assert script.dialled == [ONE]


def test_elsewhere_it_goes_on_behind_what_was_handed_on() -> None:
    script = Script(created(5), put(6), put(9), GONE, created(10), put(11)).play()
    assert revisions(script) == [6, 9, 11]
    assert script.dialled == [ONE, TWO]
    assert script.starts == [5, 10]


def test_who_was_told_nothing_goes_on_from_where_it_began() -> None:
    script = Script(created(5), GONE, created(5)).play()
    assert script.starts == [5, 5]


def test_a_node_that_was_left_is_asked_again_after_all_others() -> None:
    script = Script(GONE, GONE, GONE, created(5)).play()
    assert script.dialled == [ONE, TWO, ONE, TWO]
    assert sum(isinstance(one, Rest) for one in script.did) == 1


def test_what_comes_again_is_not_handed_on_again() -> None:
    script = Script(created(5), put(6), GONE, created(6), put(6), put(7)).play()
    assert revisions(script) == [6, 7]


def test_a_revision_in_parts_is_handed_on_when_it_is_whole() -> None:
    script = Script(created(5), put(6, b"a", more=True), put(6, b"b")).play()
    assert [[event.key for event in batch.events] for batch in script.batches] == [[b"a", b"b"]]


def test_a_revision_that_came_in_part_comes_whole_from_another_node() -> None:
    parts = [put(6, b"a", more=True), put(6, b"b")]
    script = Script(created(5), parts[0], GONE, created(5), *parts).play()
    assert [[event.key for event in batch.events] for batch in script.batches] == [[b"a", b"b"]]
    assert script.starts == [5, 5]


def test_an_end_of_parts_without_events_is_no_event_of_its_own() -> None:
    end = reply(api.WatchEvents((1,), 6, ()))
    script = Script(created(5), put(6, more=True), end, reply(api.WatchEvents((1,), 7, ()))).play()
    assert revisions(script) == [6]


def test_a_silent_node_is_asked_how_far_it_is() -> None:
    progress = reply(api.WatchProgress(20))
    script = Script(created(5), SILENCE, progress, GONE, created(21)).play()
    assert api.AskProgress() in [one.call.request for one in script.did if isinstance(one, Say)]
    assert script.starts == [5, 21], "what nothing was done in need not be kept for it"
    assert script.batches == []


def test_progress_is_handed_on_if_so_asked() -> None:
    script = Script(created(5), SILENCE, reply(api.WatchProgress(20)), progress=True).play()
    assert script.batches == [WatchBatch(20, ())]


def test_progress_in_the_middle_of_a_revision_says_nothing_of_it() -> None:
    progress = reply(api.WatchProgress(6))
    script = Script(created(5), put(6, more=True), SILENCE, progress, put(6)).play()
    assert [len(batch.events) for batch in script.batches] == [2]


def test_a_node_that_does_not_answer_within_five_seconds_is_left() -> None:
    script = Script(created(5), SILENCE, SILENCE, created(5), put(6)).play()
    assert script.dialled == [ONE, TWO]
    assert revisions(script) == [6]
    listened = [one.until for one in script.did if isinstance(one, Listen)]
    assert listened[2] <= 5.0


def test_what_is_not_kept_any_more_is_an_error_that_says_what_is() -> None:
    for said in (
        [reply(api.Failure(api.FailureCode.COMPACTED, "so", compacted=8))],
        [created(5), cancelled(api.FailureCode.COMPACTED, 8)],
    ):
        with pytest.raises(CompactedError) as caught:
            Script(*said).play()
        assert caught.value.floor == 8


def test_a_node_that_lost_its_leader_is_left() -> None:
    script = Script(created(5), cancelled(api.FailureCode.NO_LEADER), created(5), put(6)).play()
    assert script.dialled == [ONE, TWO]
    assert revisions(script) == [6]
    said = [one.call.request for one in script.did if isinstance(one, Say)]
    assert all(one.needs_leader for one in said if isinstance(one, api.CreateWatch))


def test_what_no_node_would_take_is_refused() -> None:
    with pytest.raises(RefusedError, match="so"):
        Script(reply(api.Failure(api.FailureCode.INVALID, "so"))).play()


def test_another_cluster_tells_nothing() -> None:
    knowledge = Knowledge()
    Script(created(5), put(6), knowledge=knowledge).play()
    foreign = reply(api.WatchCreated(1, 5), "another")
    script = Script(foreign, created(5), put(6), knowledge=knowledge).play()
    assert script.dialled == [ONE, TWO]
    assert {one.call.cluster_id for one in script.did if isinstance(one, Say)} == {"c"}


@pytest.mark.parametrize("patience_s", [None, 1.0])
def test_it_goes_on_for_ever_or_as_long_as_it_is_told(patience_s: float | None) -> None:
    def play() -> Script:
        return Script(*[GONE] * 200, patience_s=patience_s).play()

    if patience_s is None:
        assert len(play().dialled) > 200
        return
    with pytest.raises(UnreachableError, match="go on from 5"):
        play()


def test_pauses_grow_and_are_short_again_once_a_node_served() -> None:
    script = Script(*[GONE] * 30, created(5), put(6), *[GONE] * 4).play()
    pauses = [one.longest_s for one in script.did if isinstance(one, Rest)]
    assert pauses[:3] == [0.02, 0.04, 0.08]
    assert max(pauses) == 0.5
    assert pauses[-1] < 0.1


def test_members_that_became_known_are_asked_too() -> None:
    knowledge = Knowledge()
    script = Script(GONE, GONE, GONE, created(5), knowledge=knowledge, nodes=(ONE,))
    two = api.Member(2, "two:2", api.MemberRole.VOTER, True, 1)
    knowledge.meet(api.MembersResult("c", 2, 7, True, 7, (two,)))
    assert script.play().dialled == [ONE, TWO, ONE, TWO]
