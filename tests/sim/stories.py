"""Traces made by hand: each tells one story, as the simulator would have written it down."""

from __future__ import annotations

from kvstore import api
from kvstore.raft import events
from kvstore.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Message,
    RequestVote,
    RequestVoteReply,
)
from kvstore.raft.types import Entry, EntryKind, HardState
from kvstore.sim import trace

CLUSTER = "story"


class Story:
    """Writes records down, in whatever order they are told, and sorts them by time."""

    def __init__(self) -> None:
        self._records: list[trace.Record] = []
        self._numbers = 0

    @property
    def records(self) -> list[trace.Record]:
        """The trace."""
        return sorted(self._records, key=lambda record: record.at_ms)

    def add(self, *records: trace.Record) -> None:
        """What happens, as it stands."""
        self._records += records

    def start(self, at_ms: float, *nodes: int, term: int = 0, last_index: int = 0) -> None:
        for node in nodes:
            self.add(
                trace.Started(
                    at_ms=at_ms,
                    node=node,
                    hard_state=HardState(term),
                    last_index=last_index,
                    commit_index=0,
                )
            )

    def note(self, at_ms: float, node: int, *noted: events.Event) -> None:
        self.add(*(trace.Noted(at_ms=at_ms, node=node, event=event) for event in noted))

    def send(self, at_ms: float, message: Message, after_ms: float = 24.0) -> float:
        """A message that arrives; when it does."""
        number = self._sent(at_ms, message)
        self.add(trace.Delivered(at_ms=at_ms + after_ms, number=number))
        return at_ms + after_ms

    def lose(self, at_ms: float, message: Message, why: str = "lost", after_ms: float = 0) -> None:
        """A message that does not arrive."""
        number = self._sent(at_ms, message)
        self.add(trace.Dropped(at_ms=at_ms + after_ms, number=number, why=why))

    def _sent(self, at_ms: float, message: Message) -> int:
        self._numbers += 1
        self.add(trace.Sent(at_ms=at_ms, number=self._numbers, message=message))
        return self._numbers

    def call(
        self,
        at_ms: float,
        client: int,
        number: int,
        node: int,
        request: api.Request,
        result: api.Result | None,
        after_ms: float,
    ) -> None:
        """What a client asks, and is told."""
        self.add(
            trace.Invoked(at_ms=at_ms, client=client, number=number, node=node, request=request),
            trace.Returned(at_ms=at_ms + after_ms, client=client, number=number, result=result),
        )

    def heartbeat(
        self, at_ms: float, leader: int, term: int, prev: int, *followers: int, prev_term: int = 1
    ) -> None:
        """A heartbeat to each follower, and its answer."""
        for follower in followers:
            beat = append(leader, follower, term, (prev, prev_term))
            arrives_ms = self.send(at_ms, beat, 20 + 3 * follower)
            self.send(arrives_ms, accept(follower, leader, term, prev), 18 + 3 * follower)


def ask_vote(sender: int, recipient: int, term: int, last: tuple[int, int]) -> RequestVote:
    """`last` is (index, term) of the candidate's last entry."""
    return RequestVote(
        cluster_id=CLUSTER,
        sender=sender,
        recipient=recipient,
        term=term,
        last_log_index=last[0],
        last_log_term=last[1],
    )


def vote(sender: int, recipient: int, term: int, granted: bool = True) -> RequestVoteReply:
    return RequestVoteReply(
        cluster_id=CLUSTER, sender=sender, recipient=recipient, term=term, vote_granted=granted
    )


def append(
    sender: int, recipient: int, term: int, prev: tuple[int, int], *terms: int
) -> AppendEntries:
    """`prev` is (index, term); `terms` are those of the entries that follow it."""
    return AppendEntries(
        cluster_id=CLUSTER,
        sender=sender,
        recipient=recipient,
        term=term,
        prev_log_index=prev[0],
        prev_log_term=prev[1],
        entries=tuple(
            Entry(prev[0] + 1 + position, term, EntryKind.COMMAND, b"x")
            for position, term in enumerate(terms)
        ),
        leader_commit=0,
    )


def accept(sender: int, recipient: int, term: int, match: int) -> AppendEntriesReply:
    return AppendEntriesReply(
        cluster_id=CLUSTER,
        sender=sender,
        recipient=recipient,
        term=term,
        success=True,
        prev_log_index=match,
        match_index=match,
    )


def reject(sender: int, recipient: int, term: int, prev: int, conflict: int) -> AppendEntriesReply:
    """`conflict` is the first index that the log lacks."""
    return AppendEntriesReply(
        cluster_id=CLUSTER,
        sender=sender,
        recipient=recipient,
        term=term,
        success=False,
        prev_log_index=prev,
        conflict_index=conflict,
    )


def persist(
    at_ms: float, node: int, first_index: int, *terms: int, cut: int | None = None
) -> trace.Persisted:
    return trace.Persisted(
        at_ms=at_ms,
        node=node,
        hard_state=None,
        truncate_from=cut,
        first_index=first_index,
        terms=terms,
    )


def vote_on_disk(at_ms: float, node: int, term: int, candidate: int) -> trace.Persisted:
    return trace.Persisted(
        at_ms=at_ms,
        node=node,
        hard_state=HardState(term, candidate),
        truncate_from=None,
        first_index=0,
        terms=(),
    )


def _committed(story: Story, at_ms: float, node: int, term: int, index: int) -> None:
    story.add(trace.Committed(at_ms=at_ms, node=node, term=term, index=index))


def _elect(story: Story, at_ms: float, leader: int, voter: int, term: int, last: int) -> float:
    """A candidate wins by one vote, and opens its term with entry `last` + 1; when it leads."""
    story.note(at_ms, leader, events.BecameCandidate(term))
    story.add(vote_on_disk(at_ms + 2, leader, term, leader))
    asked_ms = story.send(at_ms + 2, ask_vote(leader, voter, term, (last, term - 1)))
    seen = events.SteppingDown(term, term - 1)
    story.note(asked_ms, voter, seen, events.BecameFollower(term), events.VoteGranted(term, leader))
    story.add(vote_on_disk(asked_ms + 3, voter, term, leader))
    won_ms = story.send(asked_ms + 3, vote(voter, leader, term))
    story.note(won_ms, leader, events.BecameLeader(term, tuple(sorted((leader, voter)))))
    story.add(persist(won_ms + 3, leader, last + 1, term))
    return won_ms


def _replicate(
    story: Story, at_ms: float, leader: int, term: int, index: int, *followers: int, prev_term: int
) -> float:
    """An entry reaches followers; when the leader commits it, at the first answer."""
    answers_ms = []
    for follower in followers:
        entry = append(leader, follower, term, (index - 1, prev_term), term)
        arrives_ms = story.send(at_ms, entry, 20 + 3 * follower)
        story.add(persist(arrives_ms + 3, follower, index, term))
        answer = accept(follower, leader, term, index)
        answers_ms.append(story.send(arrives_ms + 3, answer, 18 + 3 * follower))
        _committed(story, arrives_ms + 110, follower, term, index)
    _committed(story, min(answers_ms), leader, term, index)
    return min(answers_ms)


def stale_leader_is_fenced() -> list[trace.Record]:
    """Node 1 leads, is frozen while a put waits in its socket, is replaced, wakes, is fenced."""
    story = Story()
    story.start(0, 1, 2, 3)
    # Term 1: node 1 leads, and a client writes.
    won_ms = _elect(story, 512, 1, 2, 1, 0)
    asked_ms = story.send(514, ask_vote(1, 3, 1, (0, 0)), 31)
    seen = events.SteppingDown(1, 0)
    story.note(asked_ms, 3, seen, events.BecameFollower(1), events.VoteGranted(1, 1))
    story.send(asked_ms + 3, vote(3, 1, 1), 27)
    _replicate(story, won_ms, 1, 1, 1, 2, 3, prev_term=0)
    for follower in (2, 3):
        story.note(won_ms + 26, follower, events.FollowingLeader(1, 1))
    committed_ms = _replicate(story, 676, 1, 1, 2, 2, 3, prev_term=1)
    story.call(668, 1, 1, 1, api.Put(b"colour", b"red"), api.PutResult(1, True), 64)
    assert committed_ms < 668 + 64
    story.heartbeat(762, 1, 1, 2, 2, 3)
    # Node 1 is frozen, and a put waits in its socket.
    story.add(trace.Paused(at_ms=830, node=1))
    rolled_back = api.Failure(
        api.FailureCode.NOT_LEADER, "not leader, try node 2; the write was rolled back", "sim:9002"
    )
    story.call(880, 2, 2, 1, api.Put(b"colour", b"stale"), rolled_back, 935)
    # Term 2: nodes 2 and 3 elect node 2, and a client writes there.
    won_ms = _elect(story, 1250, 2, 3, 2, 2)
    story.lose(1252, ask_vote(2, 1, 2, (2, 1)), "node 1 does not read", 24)
    _replicate(story, won_ms, 2, 2, 3, 3, prev_term=1)
    story.lose(won_ms, append(2, 1, 2, (2, 1), 2), "node 1 does not read", 24)
    story.note(won_ms + 29, 3, events.FollowingLeader(2, 2))
    _replicate(story, 1418, 2, 2, 4, 3, prev_term=2)
    story.call(1410, 3, 3, 2, api.Put(b"colour", b"blue"), api.PutResult(2, True), 66)
    for beat_ms in (1510, 1610):
        story.heartbeat(beat_ms, 2, 2, 4, 3, prev_term=2)
        story.lose(beat_ms, append(2, 1, 2, (4, 2)), "node 1 does not read", 24)
    # Node 1 wakes, still believes that it leads, takes the put, and is told better.
    story.add(trace.Resumed(at_ms=1640, node=1), persist(1645, 1, 3, 1))
    for follower, after_ms in ((2, 24.0), (3, 30.0)):
        arrives_ms = story.send(1642, append(1, follower, 1, (2, 1), 1), after_ms)
        told_ms = story.send(arrives_ms + 2, reject(follower, 1, 2, 2, 5), after_ms)
        if follower == 2:
            story.note(told_ms, 1, events.SteppingDown(2, 1), events.BecameFollower(2))
    # The new leader brings it up to date: its lone entry gives way.
    arrives_ms = story.send(1710, append(2, 1, 2, (4, 2)))
    story.note(arrives_ms, 1, events.FollowingLeader(2, 2))
    story.send(1710, append(2, 3, 2, (4, 2)), 29)
    told_ms = story.send(arrives_ms + 2, reject(1, 2, 2, 4, 4))
    arrives_ms = story.send(told_ms, append(2, 1, 2, (2, 1), 2, 2))
    story.note(arrives_ms, 1, events.LogTruncated(2, 3, 3))
    story.add(persist(arrives_ms + 4, 1, 3, 2, 2, cut=3))
    story.send(arrives_ms + 4, accept(1, 2, 2, 4))
    _committed(story, arrives_ms + 4, 1, 2, 4)
    story.heartbeat(1850, 2, 2, 4, 1, 3, prev_term=2)
    return story.records


def crash_between_write_and_fsync() -> list[trace.Record]:
    """A leader of five crashes, is cut off when it returns, and its client never knows."""
    story = Story()
    nodes = (1, 2, 3, 4, 5)
    story.start(0, *nodes, term=2, last_index=7)
    won_ms = _elect(story, 210, 4, 2, 3, 7)
    story.send(212, ask_vote(4, 1, 3, (7, 2)))
    story.note(236, 1, events.SteppingDown(3, 2), events.BecameFollower(3))
    story.send(238, vote(1, 4, 3))
    story.send(212, ask_vote(4, 3, 3, (7, 2)), 30)
    story.note(242, 3, events.SteppingDown(3, 2), events.BecameFollower(3))
    story.note(242, 3, events.VoteRefused(3, 4, "its log is behind this one"))
    story.send(244, vote(3, 4, 3, granted=False))
    story.lose(212, ask_vote(4, 5, 3, (7, 2)))
    _replicate(story, won_ms, 4, 3, 8, 1, 2, 3, 5, prev_term=2)
    story.call(330, 4, 31, 4, api.Put(b"k1", b"a17"), None, 800)
    story.send(336, append(4, 5, 3, (8, 3), 3, 3), 40)
    crash = trace.Crashed(at_ms=352, node=4, why="killed between write and fsync", lost_entries=2)
    story.add(crash, trace.Disturbed(at_ms=520, node=None, what="loss of 20 % begins"))
    story.start(700, 4, term=3, last_index=8)
    cut = ((4, 1), (4, 2), (4, 3), (4, 5), (1, 4), (2, 4), (3, 4), (5, 4))
    story.add(trace.LinksChanged(at_ms=740, cut=cut))
    won_ms = _elect(story, 860, 1, 2, 4, 8)
    story.send(862, ask_vote(1, 3, 4, (8, 3)))
    story.note(886, 3, events.SteppingDown(4, 3), events.BecameFollower(4))
    story.note(886, 3, events.VoteGranted(4, 1))
    story.send(889, vote(3, 1, 4))
    story.lose(862, ask_vote(1, 4, 4, (8, 3)), "the link is cut", 20)
    _replicate(story, won_ms, 1, 4, 9, 2, 3, 5, prev_term=3)
    story.call(990, 5, 32, 2, api.Get((b"k1",)), api.Failure(api.FailureCode.NOT_LEADER, "no"), 40)
    story.add(trace.LinksChanged(at_ms=1120, cut=()))
    for beat_ms in range(1010, 1400, 100):
        story.heartbeat(beat_ms, 1, 4, 9, 2, 3, 5, prev_term=4)
    return story.records


def hostile() -> list[trace.Record]:
    """Clients and faults whose words are not fit to print."""
    story = Story()
    story.start(0, 1)
    story.note(10, 1, events.BecameCandidate(1), events.BecameLeader(1, (1,)))
    key, value = b'<script>&"\xff\x00', b"]]>\x1b[31m\xc3("
    story.call(100, 1, 1, 1, api.Put(key, value), api.PutResult(1, True), 400)
    story.add(trace.Crashed(at_ms=600, node=1, why='<b>&amp;\x07"', lost_entries=0))
    story.add(trace.Disturbed(at_ms=700, node=1, what="<\x00\ud800>"))
    return story.records
