"""Requests, answers, messages and events of a trace in words, for film and diagram.

Law: the same thing has the same words in both, on one line that somebody can read, whatever
bytes it has. It must not know which of them are told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from kvstore import api
from kvstore.raft.events import (
    BecameCandidate,
    BecameFollower,
    BecameLeader,
    BecamePreCandidate,
    Event,
    SteppingDown,
)
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
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    SnapshotPiece,
)
from kvstore.sim import trace

_WORD_LENGTH_MAX: Final = 24


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
        case api.DeleteRange() | api.Txn():
            return _txn_words(request)
        case api.Scan():
            start = f" from {word(request.start)}" if request.start else ""
            verb = "scan back" if request.reverse else "scan"
            return f"{verb} {word(request.prefix) if request.prefix else ''}*{start}"
        case _:
            return type(request).__name__.lower()


def _txn_words(write: api.DeleteRange | api.Txn) -> str:
    if isinstance(write, api.DeleteRange):
        behind = "" if write.range_end is None else f" up to {word(write.range_end)}"
        return f"delete {word(write.key)}{behind}"
    words = f"transact {counted(len(write.then), 'operation')}"
    if write.compares:
        words += f" if {counted(len(write.compares), 'comparison')} hold"
    return words + (f", else {len(write.otherwise)}" if write.otherwise else "")


def result_words(result: api.Result) -> str:
    """What a client is told."""
    match result:
        case api.Failure():
            return f"{result.code} {plain(result.message)}"
        case api.PutResult(written=is_done) | api.Repeated(succeeded=is_done):
            return f"{'OK' if is_done else 'not written'}, revision {result.revision}"
        case api.DeleteResult():
            return f"deleted {result.deleted}, revision {result.revision}"
        case api.IncrementResult():
            return f"is now {result.value}, revision {result.revision}"
        case api.TxnResult():
            return f"{'then' if result.succeeded else 'else'}, revision {result.revision}"
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
            return _said_of_snapshots(message)


def _said_of_snapshots(message: Message) -> str:
    match message:
        case InstallSnapshot():
            return f": up to {message.last_included_index}, {message.size_bytes} bytes"
        case FetchSnapshot():
            return f": from byte {message.offset} on?"
        case SnapshotPiece():
            return f": {len(message.data)} bytes from {message.offset} on"
        case CompareStates() | CompareStatesReply():
            return f": state as of index {message.index}"
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


def node_words(node: int) -> str:
    """Which node."""
    return f"node {node}"


def plain(text: str) -> str:
    """Text of others on one line: what does not print is escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def event_words(event: Event) -> str:
    """The log line, with the term that it leaves to the line's fields."""
    match event:
        case SteppingDown():
            return str(event)
        case BecameFollower() | BecamePreCandidate() | BecameCandidate() | BecameLeader():
            return f"{event} of term {event.term}"
        case _:
            return f"{plain(str(event))} (term {event.term})"


def start_words(record: trace.Started) -> str:
    """What a node begins with."""
    state = record.hard_state
    if not state.current_term and not record.last_index:
        return "starts with an empty disk"
    vote = f"vote for {node_words(state.voted_for)}" if state.voted_for else "no vote"
    log = f"log ends at {record.last_index}, {record.commit_index} known committed"
    return f"starts: term {state.current_term}, {vote}, {log}"


def update_words(record: trace.Persisted) -> str:
    """What reached the disk, in the order of `Persisted`."""
    parts = []
    if state := record.hard_state:
        vote = f"vote for {node_words(state.voted_for)}" if state.voted_for else "no vote"
        parts.append(f"term {state.current_term}, {vote}")
    if record.truncate_from is not None:
        parts.append(f"log cut from {record.truncate_from} on")
    if record.terms:
        parts.append(entries_words(record.first_index, record.terms))
    return "; ".join(parts) or "nothing"
