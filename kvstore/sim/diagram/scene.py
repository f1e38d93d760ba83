"""What there is to see in a run: stretches of roles, flights of messages, marks and calls.

Law: a scene says what was when, and nothing of shapes, colours or places.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from kvstore import api
from kvstore.raft import events
from kvstore.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    CompareStates,
    CompareStatesReply,
    FetchEntries,
    FetchEntriesReply,
    FetchSnapshot,
    InstallSnapshot,
    Message,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    SnapshotPiece,
    TimeoutNow,
)
from kvstore.raft.types import Role
from kvstore.sim import trace
from kvstore.sim.film import Routine
from kvstore.sim.film_words import counted, crash_words, plain, request_words, word


class Stretch(msgspec.Struct, frozen=True):
    """A node is in one role in one term."""

    node: int
    from_ms: float
    to_ms: float
    role: Role
    term: int


class Pause(msgspec.Struct, frozen=True):
    """A node stands still."""

    node: int
    from_ms: float
    to_ms: float


class Kind(enum.Enum):
    """What a message is for, as far as one sees it; the lightest first."""

    ROUTINE = "routine"
    ACCEPTED = "accepted"
    ENTRIES = "entries"
    VOTE_REQUEST = "vote-request"
    VOTE = "vote"
    REJECTED = "rejected"


class Flight(msgspec.Struct, frozen=True):
    """A message on its way.

    * `is_stale`: its recipient had left its term when it arrived.
    * `words`: what it says, if that matters.
    """

    sender: int
    recipient: int
    term: int
    kind: Kind
    sent_ms: float
    end_ms: float
    is_lost: bool
    is_stale: bool
    words: str


class Turn(enum.Enum):
    """What a mark marks, the weightiest first."""

    FENCED = "fenced"
    CRASHED = "crashed"
    LED = "led"
    ROLLED_BACK = "rolled-back"
    RESTARTED = "restarted"
    STOOD = "stood"
    GAVE_UP = "gave-up"
    DISTURBED = "disturbed"
    VOTED = "voted"


class Mark(msgspec.Struct, frozen=True):
    """One moment of one node; `node` is None where it is a moment of all."""

    node: int | None
    at_ms: float
    turn: Turn
    text: str
    term: int = 0


class Commit(msgspec.Struct, frozen=True):
    """A node knows of more committed entries."""

    node: int
    at_ms: float


class Verdict(enum.Enum):
    """What a client knows in the end."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    OPEN = "open"


class Call(msgspec.Struct, frozen=True):
    """What a client asked of a node, and was told."""

    node: int
    from_ms: float
    to_ms: float
    asked: str
    told: str
    verdict: Verdict


class Cut(msgspec.Struct, frozen=True):
    """Links, as (sender, recipient), that lose everything."""

    from_ms: float
    to_ms: float
    links: tuple[tuple[int, int], ...]


class Scene(msgspec.Struct, frozen=True):
    """A whole run, from its first record to its last."""

    from_ms: float
    to_ms: float
    stretches: list[Stretch]
    pauses: list[Pause]
    flights: list[Flight]
    marks: list[Mark]
    commits: list[Commit]
    calls: list[Call]
    cuts: list[Cut]


class _Life(msgspec.Struct):
    """A node while it runs; a crash ends it."""

    role: Role
    term: int
    since_ms: float
    paused_ms: float | None = None


def scene_of(records: Iterable[trace.Record]) -> Scene:
    """Read a trace."""
    return _Reader().read(records)


class _Reader:
    """Keeps what has begun until it ends."""

    def __init__(self) -> None:
        self._scene = Scene(0.0, 0.0, [], [], [], [], [], [], [])
        self._routine = Routine()
        self._lives: dict[int, _Life] = {}
        self._under_way: dict[int, tuple[trace.Sent, bool]] = {}
        """Messages by number, and whether each brings its recipient a new term."""
        self._open_calls: dict[int, trace.Invoked] = {}
        self._cut: trace.LinksChanged | None = None

    def read(self, records: Iterable[trace.Record]) -> Scene:
        first_ms: float | None = None
        last_ms = 0.0
        for record in records:
            first_ms = record.at_ms if first_ms is None else first_ms
            last_ms = record.at_ms
            self._take(record)
            self._routine.see(record)
        self._end(last_ms)
        return msgspec.structs.replace(self._scene, from_ms=first_ms or 0.0, to_ms=last_ms)

    def _take(self, record: trace.Record) -> None:
        match record:
            case trace.Sent():
                self._under_way[record.number] = record, self._routine.is_ahead(record.message)
            case trace.Delivered() | trace.Dropped():
                self._land(record)
            case trace.Invoked() | trace.Returned():
                self._call(record)
            case trace.Noted():
                self._note(record)
            case trace.LinksChanged():
                self._change_links(record)
            case trace.Disturbed():
                self._mark(record.node, record.at_ms, Turn.DISTURBED, plain(record.what))
            case trace.Committed():
                self._scene.commits.append(Commit(record.node, record.at_ms))
            case trace.Persisted():
                pass
            case _:
                self._live(record)

    def _mark(self, node: int | None, at_ms: float, turn: Turn, text: str, term: int = 0) -> None:
        self._scene.marks.append(Mark(node, at_ms, turn, text, term))

    # --- Nodes ----------------------------------------------------------------------------

    def _live(self, record: trace.Started | trace.Crashed | trace.Paused | trace.Resumed) -> None:
        node, at_ms = record.node, record.at_ms
        match record:
            case trace.Started():
                if node in self._routine.down:
                    self._mark(node, at_ms, Turn.RESTARTED, "restarts")
                self._lives[node] = _Life(Role.FOLLOWER, record.hard_state.current_term, at_ms)
            case trace.Crashed():
                self._die(node, at_ms)
                self._mark(node, at_ms, Turn.CRASHED, crash_words(record))
            case trace.Paused():
                if life := self._lives.get(node):
                    life.paused_ms = at_ms
            case trace.Resumed():
                self._end_pause(node, at_ms)

    def _die(self, node: int, at_ms: float) -> None:
        self._end_pause(node, at_ms)
        self._end_stretch(node, at_ms)
        self._lives.pop(node, None)

    def _end_pause(self, node: int, at_ms: float) -> None:
        life = self._lives.get(node)
        if life is not None and life.paused_ms is not None:
            self._scene.pauses.append(Pause(node, life.paused_ms, at_ms))
            life.paused_ms = None

    def _end_stretch(self, node: int, at_ms: float) -> None:
        life = self._lives.get(node)
        if life is not None and life.since_ms < at_ms:
            stretch = Stretch(node, life.since_ms, at_ms, life.role, life.term)
            self._scene.stretches.append(stretch)

    def _turn_into(self, node: int, at_ms: float, role: Role, term: int) -> None:
        life = self._lives.get(node)
        if life is not None and (life.role, life.term) == (role, term):
            return
        self._end_stretch(node, at_ms)
        paused_ms = None if life is None else life.paused_ms
        self._lives[node] = _Life(role, term, at_ms, paused_ms)

    def _note(self, record: trace.Noted) -> None:
        node, at_ms = record.node, record.at_ms
        match record.event:
            case events.BecameFollower(term=term):
                self._turn_into(node, at_ms, Role.FOLLOWER, term)
            case events.BecameCandidate(term=term):
                self._turn_into(node, at_ms, Role.CANDIDATE, term)
                self._mark(node, at_ms, Turn.STOOD, f"candidate of term {term}", term)
            case events.BecameLeader(term=term):
                self._turn_into(node, at_ms, Role.LEADER, term)
                self._mark(node, at_ms, Turn.LED, f"leads term {term}", term)
            case events.SteppingDown() as event:
                self._step_down(node, at_ms, event)
            case events.LostMajority() | events.StoodStill() as event:
                self._mark(node, at_ms, Turn.GAVE_UP, str(event), event.term)
            case events.VoteGranted(candidate=candidate, term=term):
                self._mark(node, at_ms, Turn.VOTED, f"votes for {candidate}", term)
            case events.LogTruncated(from_index=first, to_index=last, term=term):
                words = f"rolls back {counted(last - first + 1, 'entry')}"
                self._mark(node, at_ms, Turn.ROLLED_BACK, words, term)
            case _:
                pass

    def _step_down(self, node: int, at_ms: float, event: events.SteppingDown) -> None:
        """A follower that hears of a new term gives nothing up."""
        life = self._lives.get(node)
        if life is None or life.role is Role.FOLLOWER:
            return
        turn = Turn.FENCED if life.role is Role.LEADER else Turn.GAVE_UP
        self._mark(node, at_ms, turn, str(event), event.seen_term)

    # --- The network ----------------------------------------------------------------------

    def _land(self, record: trace.Delivered | trace.Dropped) -> None:
        if record.number not in self._under_way:
            return
        sent, is_ahead = self._under_way[record.number]
        message = sent.message
        is_lost = isinstance(record, trace.Dropped) or message.recipient in self._routine.down
        self._scene.flights.append(
            Flight(
                sender=message.sender,
                recipient=message.recipient,
                term=message.term,
                kind=self._kind(message),
                sent_ms=sent.at_ms,
                end_ms=record.at_ms,
                is_lost=is_lost,
                is_stale=self._routine.is_stale(message),
                words=self._words(message, is_ahead),
            )
        )

    def _kind(self, message: Message) -> Kind:
        is_routine = self._routine.covers(message)
        match message:
            case PreVote() | RequestVote() | TimeoutNow():
                return Kind.VOTE_REQUEST
            case ReadIndex() | ReadIndexReply() | FetchEntries() | FetchEntriesReply():
                return Kind.ROUTINE
            case InstallSnapshot() | FetchSnapshot() | SnapshotPiece():
                return Kind.ROUTINE
            case CompareStates() | CompareStatesReply():
                return Kind.ROUTINE
            case AppendEntries():
                return Kind.ROUTINE if is_routine else Kind.ENTRIES
            case AppendEntriesReply(success=True):
                return Kind.ROUTINE if is_routine else Kind.ACCEPTED
            case AppendEntriesReply():
                return Kind.REJECTED
            case _:
                return Kind.VOTE if message.vote_granted else Kind.REJECTED

    def _words(self, message: Message, is_ahead: bool) -> str:
        match message:
            case PreVote() | RequestVote() | TimeoutNow():
                return type(message).__name__
            case AppendEntries() if self._routine.is_stale(message):
                return f"{'entries' if message.entries else 'heartbeat'} of term {message.term}"
            case AppendEntriesReply(success=False):
                return f"no: term {message.term}" if is_ahead else "no: log differs"
            case PreVoteReply(vote_granted=False) | RequestVoteReply(vote_granted=False):
                return f"no: term {message.term}" if is_ahead else "no vote"
            case _:
                return ""

    def _change_links(self, record: trace.LinksChanged) -> None:
        if self._cut is not None and self._cut.cut:
            self._scene.cuts.append(Cut(self._cut.at_ms, record.at_ms, self._cut.cut))
        self._cut = record

    # --- Clients --------------------------------------------------------------------------

    def _call(self, record: trace.Invoked | trace.Returned) -> None:
        if isinstance(record, trace.Invoked):
            self._open_calls[record.number] = record
            return
        invoked = self._open_calls.pop(record.number, None)
        if invoked is not None:
            told, verdict = _answer(record.result)
            self._add_call(invoked, record.at_ms, told, verdict)

    def _add_call(self, invoked: trace.Invoked, to_ms: float, told: str, verdict: Verdict) -> None:
        asked = request_words(invoked.request)
        call = Call(invoked.node, invoked.at_ms, to_ms, asked, told, verdict)
        self._scene.calls.append(call)

    # --- The end of the trace -------------------------------------------------------------

    def _end(self, at_ms: float) -> None:
        """What has not ended lasts to the end. Messages under way are not shown: who knows?"""
        for node in list(self._lives):
            self._die(node, at_ms)
        for invoked in self._open_calls.values():
            self._add_call(invoked, at_ms, "?", Verdict.OPEN)
        if self._cut is not None and self._cut.cut:
            self._scene.cuts.append(Cut(self._cut.at_ms, at_ms, self._cut.cut))


def _answer(result: api.Result | None) -> tuple[str, Verdict]:
    """What a client was told, in a word."""
    match result:
        case None:
            return "no answer: outcome unknown", Verdict.UNKNOWN
        case api.Failure(code=api.FailureCode.UNKNOWN):
            return "UNKNOWN", Verdict.UNKNOWN
        case api.Failure(code=code):
            return str(code), Verdict.REFUSED
        case api.PutResult(written=False) | api.Repeated(succeeded=False):
            return "not written", Verdict.DONE
        case api.GetResult() | api.IncrementResult():
            return _value(result), Verdict.DONE
        case _:
            return "OK", Verdict.DONE


def _value(result: api.GetResult | api.IncrementResult) -> str:
    if isinstance(result, api.IncrementResult):
        return str(result.value)
    return ", ".join("absent" if item is None else word(item.value) for item in result.items)
