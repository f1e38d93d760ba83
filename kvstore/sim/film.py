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

from kvstore.raft.events import (
    BecameCandidate,
    BecameFollower,
    BecameLeader,
    LogTruncated,
    SteppingDown,
)
from kvstore.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Message,
)
from kvstore.sim import trace
from kvstore.sim.film_words import (
    counted,
    crash_words,
    event_words,
    links_words,
    message_words,
    node_words,
    plain,
    request_words,
    result_words,
    start_words,
    update_words,
)

_HEARTBEATS_MIN: Final = 6
"""Fewer than these are not worth a line yet; they count towards the next one."""
_TERMS_KEPT: Final = 3
"""A shortened film keeps the turning points of this many terms."""


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
                return _line(
                    record.at_ms, node_words(record.node), f"fsync: {update_words(record)}"
                )
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
                what = start_words(record)
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
        return _line(record.at_ms, node_words(record.node), what, is_turning_point=True)

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
        return _line(
            record.at_ms, node_words(node), event_words(event), is_turning_point=is_turning_point
        )

    def _commit(self, record: trace.Committed) -> Line | None:
        """The first to know is news; that others learn it is routine."""
        if record.index <= self._committed:
            return None
        self._committed = record.index
        return _line(record.at_ms, node_words(record.node), f"commits up to {record.index}")

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
        who = f"{node_words(message.sender)} -> {node_words(message.recipient)}"
        return _line(record.at_ms, who, what)

    def _what_lost(self, record: trace.Delivered | trace.Dropped, message: Message) -> str | None:
        """Why a message reached nobody, if so."""
        if isinstance(record, trace.Dropped):
            return plain(record.why)
        is_down = message.recipient in self._routine.down
        return f"{node_words(message.recipient)} is down" if is_down else None

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
            who = "world" if record.node is None else node_words(record.node)
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
            asked = f"{request_words(record.request)} to {node_words(record.node)}"
            return _line(record.at_ms, who, f"{asked} (op {record.number})")
        call = self._calls.pop(record.number, None)
        took = "" if call is None else f", after {record.at_ms - call.at_ms:.0f} ms"
        if record.result is None:
            waited = took.removeprefix(",")
            return _line(record.at_ms, who, f"op {record.number}: outcome unknown{waited}")
        return _line(record.at_ms, who, f"op {record.number}: {result_words(record.result)}{took}")


def _line(at_ms: float, who: str, what: str, *, is_turning_point: bool = False) -> Line:
    return Line(f"{at_ms:10.1f} ms  {who:16}  {what}", is_turning_point=is_turning_point)
