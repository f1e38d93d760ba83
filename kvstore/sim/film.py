"""A trace as text that reads like a film, for whoever asks what went wrong in a run.

Law: every line is one happening of the trace, in its order, and the same trace gives
the same lines. Routine (heartbeats and their answers, commits that others know
already) is counted or left out; what fails, is refused or is lost always shows.

A message is told when it arrives, so that what it causes follows it; a lost one when
it is lost. It must not know how a run is made, or where its text goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from kvstore import api
from kvstore.raft.events import (
    BecameCandidate,
    BecameFollower,
    BecameLeader,
    BecamePreCandidate,
    Event,
    LogTruncated,
    SteppingDown,
)
from kvstore.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    FetchEntries,
    FetchEntriesReply,
    Message,
    PreVote,
    PreVoteReply,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
)
from kvstore.sim import trace

_HEARTBEATS_MIN: Final = 6
"""Fewer than these are not worth a line yet; they count towards the next one."""
_TERMS_KEPT: Final = 3
"""A shortened film keeps the turning points of this many terms."""
_WORD_LENGTH_MAX: Final = 24


class Line(msgspec.Struct, frozen=True):
    """One happening. `is_turning_point`: a role, a process or the network changed in `term`."""

    text: str
    term: int = 0
    is_turning_point: bool = False


def film(records: Iterable[trace.Record], *, lines_max: int | None = None) -> Iterator[str]:
    """The lines of a run: all of them, or the `lines_max` that matter most at its end."""
    lines = Narrator().tell(records)
    if lines_max is None:
        return (line.text for line in lines)
    return shorten(list(lines), lines_max)


def shorten(lines: Sequence[Line], lines_max: int) -> Iterator[str]:
    """At most `lines_max` lines: the last ones, and the turning points that led there.

    Those of the last terms may take half of the room. Where lines are missing, it says so.
    """
    first_term = max((line.term for line in lines), default=0) - _TERMS_KEPT + 1
    turning = [
        position
        for position, line in enumerate(lines)
        if line.is_turning_point and line.term >= first_term
    ]
    kept = set(turning[max(0, len(turning) - lines_max // 2) :])
    for position in reversed(range(len(lines))):
        if len(kept) >= lines_max:
            break
        kept.add(position)
    following = 0
    for position in [*sorted(kept), len(lines)]:
        if missing := position - following:
            yield f"... ({counted(missing, 'line')} left out)"
        if position < len(lines):
            yield lines[position].text
        following = position + 1


class Routine:
    """Tells what always happens in a healthy cluster from what is news.

    * It is shown every record, in order, before it is asked about the messages of the next.
    * A heartbeat is routine until it comes from a term that its recipient has left.
    * An accepting reply is routine when it vouches for nothing new.
    """

    def __init__(self) -> None:
        self.down: set[int] = set()
        """Nodes that have crashed, and do not run again yet: what reaches them is lost."""
        self._terms: dict[int, int] = {}
        self._vouched: dict[tuple[int, int, int], int] = {}

    def see(self, record: trace.Record) -> None:
        """Keep up with the term of each node, and with which ones run."""
        match record:
            case trace.Started(node=node, hard_state=hard_state):
                self.down.discard(node)
                self._terms[node] = hard_state.current_term
            case trace.Crashed(node=node):
                self.down.add(node)
            case trace.Noted(
                node=node,
                event=BecameFollower(term=term)
                | BecameCandidate(term=term)
                | BecameLeader(term=term),
            ):
                self._terms[node] = term
            case _:
                pass

    @property
    def highest_term(self) -> int:
        """The term that the cluster has reached."""
        return max(self._terms.values(), default=0)

    def is_stale(self, message: Message) -> bool:
        """Whether its recipient has left the message's term: it will be fenced."""
        return message.term < self._terms.get(message.recipient, 0)

    def is_ahead(self, message: Message) -> bool:
        """Whether its recipient has yet to hear of the message's term, and will step down."""
        return message.term > self._terms.get(message.recipient, 0)

    def covers(self, message: Message) -> bool:
        """Whether the message is routine; to be asked once, when it arrives or is lost."""
        match message:
            case AppendEntries():
                return not message.entries and not self.is_stale(message)
            case AppendEntriesReply(success=True, match_index=match_index):
                link = (message.sender, message.recipient, message.term)
                known = self._vouched.get(link, 0)
                self._vouched[link] = max(known, match_index)
                return match_index <= known
            case _:
                return False


class Narrator:
    """Tells one run, record by record."""

    def __init__(self) -> None:
        self._routine = Routine()
        self._under_way: dict[int, trace.Sent] = {}
        self._calls: dict[int, trace.Invoked] = {}
        self._paused_ms: dict[int, float] = {}
        self._contenders: set[int] = set()
        self._cut: frozenset[tuple[int, int]] = frozenset()
        self._committed = 0
        self._heartbeats = 0
        self._heartbeats_lost = 0

    def tell(self, records: Iterable[trace.Record]) -> Iterator[Line]:
        """The film of a whole run."""
        for record in records:
            line = self._line(record)
            self._routine.see(record)
            if line is None:
                continue
            if self._heartbeats >= _HEARTBEATS_MIN:
                yield self._collapsed()
            yield msgspec.structs.replace(line, term=self._routine.highest_term)
        if self._heartbeats:
            yield self._collapsed()

    def _line(self, record: trace.Record) -> Line | None:
        match record:
            case trace.Sent() | trace.Delivered() | trace.Dropped():
                return self._message(record)
            case trace.Invoked() | trace.Returned():
                return self._call(record)
            case trace.Noted():
                return self._noted(record)
            case trace.LinksChanged() | trace.Disturbed():
                return self._disturbance(record)
            case trace.Persisted():
                return _line(record.at_ms, _node(record.node), f"fsync: {_update(record)}")
            case trace.Committed():
                return self._commit(record)
            case _:
                return self._process(record)

    # --- Nodes ----------------------------------------------------------------------------

    def _process(
        self, record: trace.Started | trace.Crashed | trace.Paused | trace.Resumed
    ) -> Line:
        match record:
            case trace.Started():
                what = _start(record)
            case trace.Crashed():
                self._contenders.discard(record.node)
                self._paused_ms.pop(record.node, None)
                what = crash_words(record)
            case trace.Paused():
                self._paused_ms[record.node] = record.at_ms
                what = "stands still"
            case trace.Resumed():
                since_ms = self._paused_ms.pop(record.node, record.at_ms)
                what = f"goes on, after {record.at_ms - since_ms:.0f} ms"
        return _line(record.at_ms, _node(record.node), what, is_turning_point=True)

    def _noted(self, record: trace.Noted) -> Line:
        """A follower that hears of a new term steps down too, but nothing turns on that."""
        event, node = record.event, record.node
        match event:
            case BecameCandidate() | BecameLeader() | LogTruncated():
                is_turning_point = True
            case SteppingDown():
                is_turning_point = node in self._contenders
            case _:
                is_turning_point = False
        if isinstance(event, BecameLeader | BecameCandidate):
            self._contenders.add(node)
        elif isinstance(event, BecameFollower):
            self._contenders.discard(node)
        return _line(record.at_ms, _node(node), _event(event), is_turning_point=is_turning_point)

    def _commit(self, record: trace.Committed) -> Line | None:
        """The first to know is news; that others learn it is routine."""
        if record.index <= self._committed:
            return None
        self._committed = record.index
        return _line(record.at_ms, _node(record.node), f"commits up to {record.index}")

    # --- The network ----------------------------------------------------------------------

    def _message(self, record: trace.Sent | trace.Delivered | trace.Dropped) -> Line | None:
        if isinstance(record, trace.Sent):
            self._under_way[record.number] = record
            return None
        sent = self._under_way.get(record.number)
        if sent is None:
            return None
        message = sent.message
        fault = self._what_lost(record, message)
        if self._routine.covers(message):
            self._count_routine(message, is_lost=fault is not None)
            return None
        what = message_words(message)
        if fault is not None:
            what = f"LOST ({fault}) {what}"
        else:
            what += f"  [{record.at_ms - sent.at_ms:.1f} ms under way]"
        who = f"{_node(message.sender)} -> {_node(message.recipient)}"
        return _line(record.at_ms, who, what)

    def _what_lost(self, record: trace.Delivered | trace.Dropped, message: Message) -> str | None:
        """Why a message reached nobody, if so."""
        if isinstance(record, trace.Dropped):
            return plain(record.why)
        is_down = message.recipient in self._routine.down
        return f"{_node(message.recipient)} is down" if is_down else None

    def _count_routine(self, message: Message, *, is_lost: bool) -> None:
        if isinstance(message, AppendEntries):
            self._heartbeats += 1
            self._heartbeats_lost += is_lost

    def _collapsed(self) -> Line:
        text = f"{'':15}... {counted(self._heartbeats, 'heartbeat')}"
        if self._heartbeats_lost:
            text += f", {self._heartbeats_lost} of them lost"
        self._heartbeats = self._heartbeats_lost = 0
        return Line(text, self._routine.highest_term)

    def _disturbance(self, record: trace.LinksChanged | trace.Disturbed) -> Line | None:
        if isinstance(record, trace.Disturbed):
            who = "world" if record.node is None else _node(record.node)
            what = f"fault: {plain(record.what)}"
            return _line(record.at_ms, who, what, is_turning_point=True)
        before, self._cut = self._cut, frozenset(record.cut)
        changes = {"cut": self._cut - before, "healed": before - self._cut}
        told = [f"{name} {links_words(links)}" for name, links in changes.items() if links]
        if not told:
            return None
        what = f"links: {'; '.join(told)}"
        if not self._cut:
            what += "; all work"
        return _line(record.at_ms, "network", what, is_turning_point=True)

    # --- Clients --------------------------------------------------------------------------

    def _call(self, record: trace.Invoked | trace.Returned) -> Line:
        who = f"client {record.client}"
        if isinstance(record, trace.Invoked):
            self._calls[record.number] = record
            asked = f"{request_words(record.request)} to {_node(record.node)}"
            return _line(record.at_ms, who, f"{asked} (op {record.number})")
        call = self._calls.pop(record.number, None)
        took = "" if call is None else f", after {record.at_ms - call.at_ms:.0f} ms"
        if record.result is None:
            waited = took.removeprefix(",")
            return _line(record.at_ms, who, f"op {record.number}: outcome unknown{waited}")
        return _line(record.at_ms, who, f"op {record.number}: {result_words(record.result)}{took}")


def _line(at_ms: float, who: str, what: str, *, is_turning_point: bool = False) -> Line:
    return Line(f"{at_ms:10.1f} ms  {who:16}  {what}", is_turning_point=is_turning_point)


# --- Words, which the diagram uses too ----------------------------------------------------


def counted(count: int, noun: str) -> str:
    """`1 line`, `2 lines`, `2 entries`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("ry") else f"{count} {noun}s"


def word(text: bytes) -> str:
    """A key or a value: one printable word, whatever its bytes, and not too long."""
    readable = text[: 4 * _WORD_LENGTH_MAX].decode("utf-8", "backslashreplace")
    whole = plain(readable) or '""'
    return whole if len(whole) <= _WORD_LENGTH_MAX else whole[: _WORD_LENGTH_MAX - 1] + "…"


def request_words(request: api.Request) -> str:
    """What a client asks for."""
    match request:
        case api.Once(session=session, sequence=sequence, write=write):
            return f"{request_words(write)} ({sequence} of session {session})"
        case api.OpenSession():
            return "open session"
        case api.Put():
            conditions = {
                api.When.ALWAYS: "",
                api.When.ABSENT: " if absent",
                api.When.PRESENT: " if present",
                api.When.EQUAL: f" if {word(request.expected or b'')}",
            }
            return f"put {word(request.key)} = {word(request.value)}{conditions[request.when]}"
        case api.PutMany():
            return "put " + ", ".join(
                f"{word(key)} = {word(value)}" for key, value in request.pairs
            )
        case api.Delete() | api.Get():
            verb = "delete" if isinstance(request, api.Delete) else "get"
            return f"{verb} {' '.join(map(word, request.keys))}"
        case api.Increment():
            return f"increment {word(request.key)} by {request.by}"
        case api.Scan():
            start = f" from {word(request.start)}" if request.start else ""
            verb = "scan back" if request.reverse else "scan"
            return f"{verb} {word(request.prefix) if request.prefix else ''}*{start}"
        case _:
            return type(request).__name__.lower()


def result_words(result: api.Result) -> str:
    """What a client is told."""
    match result:
        case api.Failure():
            return f"{result.code} {plain(result.message)}"
        case api.PutResult() | api.PutRepeated():
            return f"{'OK' if result.written else 'not written'}, revision {result.revision}"
        case api.DeleteResult():
            return f"deleted {result.deleted}, revision {result.revision}"
        case api.IncrementResult():
            return f"is now {result.value}, revision {result.revision}"
        case api.GuardFailed():
            return f"guard at revision {result.mod_revision}, revision {result.revision}"
        case api.GetResult():
            items = ("absent" if item is None else word(item.value) for item in result.items)
            return f"{', '.join(items)}, revision {result.revision}"
        case api.ScanResult():
            return f"{counted(len(result.items), 'key')}, revision {result.revision}"
        case api.CountResult():
            return f"{counted(result.count, 'key')}, revision {result.revision}"
        case _:
            return type(result).__name__.lower()


def message_words(message: Message) -> str:
    """What a message says."""
    return f"{type(message).__name__} term {message.term}{_said(message)}"


def _said(message: Message) -> str:
    match message:
        case PreVote() | RequestVote():
            return f" (log ends at {message.last_log_index}, term {message.last_log_term})"
        case PreVoteReply() | RequestVoteReply():
            return f": vote {'granted' if message.vote_granted else 'REFUSED'}"
        case AppendEntries(entries=()):
            return f": heartbeat after {message.prev_log_index}"
        case AppendEntries(entries=entries):
            carried = entries_words(entries[0].index, [entry.term for entry in entries])
            return f": {carried} after {message.prev_log_index}"
        case AppendEntriesReply(success=True):
            return f": holds all up to {message.match_index}"
        case AppendEntriesReply():
            return f": REJECTED after {message.prev_log_index}{_conflict(message)}"
        case FetchEntries(ranges=ranges):
            count = sum(one.last - one.first + 1 for one in ranges)
            return f": gives back {counted(count, 'entry')} from {ranges[0].first} on?"
        case FetchEntriesReply():
            return f": {counted(len(message.entries), 'entry')}"
        case ReadIndexReply():
            return f": read as of index {message.index}"
        case _:
            return ""


def _conflict(reply: AppendEntriesReply) -> str:
    if reply.conflict_term:
        return f" (has term {reply.conflict_term} there, from {reply.conflict_index} on)"
    return f" (log ends before {reply.conflict_index})" if reply.conflict_index else ""


def entries_words(first_index: int, terms: Sequence[int]) -> str:
    """`entries 8-12 of term 3`, given the terms of consecutive entries."""
    of = f"term {terms[0]}" if terms[0] == terms[-1] else f"terms {terms[0]}-{terms[-1]}"
    if len(terms) == 1:
        return f"entry {first_index} of {of}"
    return f"entries {first_index}-{first_index + len(terms) - 1} of {of}"


def crash_words(record: trace.Crashed) -> str:
    """Why a node crashed, and what it had taken in vain."""
    lost = record.lost_entries
    loses = f"; loses {counted(lost, 'entry')}" if lost else ""
    return f"crashes: {plain(record.why)}{loses}"


def links_words(links: Iterable[tuple[int, int]]) -> str:
    """`1 -> 2, 2 <-> 3`."""
    all_links = set(links)
    words = []
    for sender, recipient in sorted(all_links):
        if (recipient, sender) not in all_links:
            words.append(f"{sender} -> {recipient}")
        elif sender < recipient:
            words.append(f"{sender} <-> {recipient}")
    return ", ".join(words)


def _node(node: int) -> str:
    return f"node {node}"


def plain(text: str) -> str:
    """Text of others on one line: what does not print is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _event(event: Event) -> str:
    """The log line, with the term that it leaves to the line's fields."""
    match event:
        case SteppingDown():
            return str(event)
        case BecameFollower() | BecamePreCandidate() | BecameCandidate() | BecameLeader():
            return f"{event} of term {event.term}"
        case _:
            return f"{plain(str(event))} (term {event.term})"


def _start(record: trace.Started) -> str:
    state = record.hard_state
    if not state.current_term and not record.last_index:
        return "starts with an empty disk"
    vote = f"vote for {_node(state.voted_for)}" if state.voted_for else "no vote"
    log = f"log ends at {record.last_index}, {record.commit_index} known committed"
    return f"starts: term {state.current_term}, {vote}, {log}"


def _update(record: trace.Persisted) -> str:
    """What reached the disk, in the order of `Persisted`."""
    parts = []
    if state := record.hard_state:
        vote = f"vote for {_node(state.voted_for)}" if state.voted_for else "no vote"
        parts.append(f"term {state.current_term}, {vote}")
    if record.truncate_from is not None:
        parts.append(f"log cut from {record.truncate_from} on")
    if record.terms:
        parts.append(entries_words(record.first_index, record.terms))
    return "; ".join(parts) or "nothing"
