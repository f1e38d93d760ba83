"""Messages made by hand, short enough to read in a test, and their printed form."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kvstore.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    CompareStates,
    CompareStatesReply,
    EntryRange,
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
from kvstore.raft.types import Entry, EntryKind

from .disk import entries_of_terms

CLUSTER = "test"
NOWHERE = (0, 0)
"""(index, term) of the position before the first entry."""


def _route(sender: int, to: int, term: int) -> dict[str, object]:
    return {"cluster_id": CLUSTER, "sender": sender, "recipient": to, "term": term}


def of_directory(message: Message, admitted_at: int, name: str = "a" * 32) -> Message:
    """The message as another directory of its sender says it; first ones are admitted at 0."""
    said = {"directory": name} if isinstance(message, PreVoteReply | RequestVoteReply) else {}
    return msgspec.structs.replace(message, admitted_at=admitted_at, **said)


def request_vote(
    sender: int, term: int, last: tuple[int, int] = NOWHERE, to: int = 1
) -> RequestVote:
    """`last` is (index, term) of the candidate's last entry."""
    return RequestVote(**_route(sender, to, term), last_log_index=last[0], last_log_term=last[1])


def pre_vote(sender: int, term: int, last: tuple[int, int] = NOWHERE, to: int = 1) -> PreVote:
    """`last` is (index, term) of the sender's last entry."""
    return PreVote(**_route(sender, to, term), last_log_index=last[0], last_log_term=last[1])


def pre_vote_reply(sender: int, term: int, granted: bool = True, to: int = 1) -> PreVoteReply:
    return PreVoteReply(**_route(sender, to, term), vote_granted=granted)


def timeout_now(sender: int, term: int, to: int = 1) -> TimeoutNow:
    return TimeoutNow(**_route(sender, to, term))


def read_index(sender: int, term: int, read_id: int, to: int = 1) -> ReadIndex:
    return ReadIndex(**_route(sender, to, term), read_id=read_id)


def read_index_reply(
    sender: int, term: int, read_id: int, index: int, to: int = 1
) -> ReadIndexReply:
    return ReadIndexReply(**_route(sender, to, term), read_id=read_id, index=index)


def fetch(sender: int, term: int, *ranges: tuple[int, int, int], to: int = 1) -> FetchEntries:
    """`ranges` are (first, last, term)."""
    asked = tuple(EntryRange(*one) for one in ranges)
    return FetchEntries(**_route(sender, to, term), ranges=asked)


def fetched(
    sender: int, term: int, *entries: Entry, until: int | None = None, to: int = 1
) -> FetchEntriesReply:
    """Without `until`, up to the last of the entries."""
    if until is None:
        until = entries[-1].index if entries else 0
    return FetchEntriesReply(**_route(sender, to, term), entries=entries, until=until)


def install(
    sender: int,
    term: int,
    last: tuple[int, int],
    size_bytes: int = 10,
    snapshot_id: int = 1,
    to: int = 1,
) -> InstallSnapshot:
    """`last` is (index, term) of the last entry in it."""
    return InstallSnapshot(
        **_route(sender, to, term),
        snapshot_id=snapshot_id,
        last_included_index=last[0],
        last_included_term=last[1],
        size_bytes=size_bytes,
    )


def fetch_piece(
    sender: int, term: int, offset: int = 0, snapshot_id: int = 1, to: int = 1, **said: bool
) -> FetchSnapshot:
    return FetchSnapshot(**_route(sender, to, term), snapshot_id=snapshot_id, offset=offset, **said)


def piece(
    sender: int, term: int, data: bytes, offset: int = 0, snapshot_id: int = 1, to: int = 1
) -> SnapshotPiece:
    return SnapshotPiece(
        **_route(sender, to, term), snapshot_id=snapshot_id, offset=offset, data=data
    )


def vote_reply(sender: int, term: int, granted: bool = True, to: int = 1) -> RequestVoteReply:
    return RequestVoteReply(**_route(sender, to, term), vote_granted=granted)


def append(
    sender: int,
    term: int,
    prev: tuple[int, int] = NOWHERE,
    terms: Iterable[int] = (),
    commit: int = 0,
    read_round: int = 0,
    to: int = 1,
) -> AppendEntries:
    """`prev` is (index, term); `terms` are the terms of the entries that follow it."""
    return AppendEntries(
        **_route(sender, to, term),
        prev_log_index=prev[0],
        prev_log_term=prev[1],
        entries=entries_of_terms(terms, prev[0] + 1),
        leader_commit=commit,
        read_round=read_round,
    )


def accepted(
    sender: int, term: int, match: int, read_round: int = 0, to: int = 1
) -> AppendEntriesReply:
    return AppendEntriesReply(
        **_route(sender, to, term),
        success=True,
        prev_log_index=match,
        match_index=match,
        read_round=read_round,
    )


def rejected(
    sender: int, term: int, prev: int, conflict: tuple[int, int], read_round: int = 0, to: int = 1
) -> AppendEntriesReply:
    """`conflict` is (first index, term), as in the rest of this file."""
    return AppendEntriesReply(
        **_route(sender, to, term),
        success=False,
        prev_log_index=prev,
        conflict_index=conflict[0],
        conflict_term=conflict[1],
        read_round=read_round,
    )


def compare(
    sender: int, term: int, index: int, digest: bytes = b"", disputed: bool = False, to: int = 1
) -> CompareStates:
    return CompareStates(
        **_route(sender, to, term), index=index, digest=digest, is_disputed=disputed
    )


def compared(
    sender: int, term: int, index: int, digest: bytes = b"", knows: bool = False, to: int = 1
) -> CompareStatesReply:
    return CompareStatesReply(
        **_route(sender, to, term), index=index, digest=digest, knows_verdict=knows
    )


def shown_entry(one: Entry) -> str:
    """`index.term:data`; a no-op shows its leader, and the entry of a bench only its name."""
    data = one.data.decode()
    if data == f"{one.index}.{one.term}":
        return data
    if one.kind is EntryKind.NOOP:
        data = f"no-op of {data}"
    return f"{one.index}.{one.term}:{data}"


def shown(message: Message) -> str:
    """One line of film; a round of reads is shown where there is one."""
    read_round = getattr(message, "read_round", 0)
    return _shown(message) + (f", round {read_round}" if read_round else "")


def _shown(message: Message) -> str:
    route = f"{message.sender}>{message.recipient} {type(message).__name__} term {message.term}"
    said = _said(message)
    return f"{route}, {said}" if said else route


def _said(message: Message) -> str:
    match message:
        case PreVote() | RequestVote():
            return f"last {message.last_log_index}.{message.last_log_term}"
        case PreVoteReply() | RequestVoteReply():
            return "granted" if message.vote_granted else "refused"
        case AppendEntries():
            carried = " ".join(map(shown_entry, message.entries)) or "nothing"
            after = f"after {message.prev_log_index}.{message.prev_log_term}"
            return f"{after}: {carried}, commit {message.leader_commit}"
        case AppendEntriesReply(success=True):
            needs = f", needs a snapshot up to {message.needs_snapshot}"
            return f"match {message.match_index}" + (needs if message.needs_snapshot else "")
        case AppendEntriesReply():
            conflict = f"{message.conflict_index}.{message.conflict_term}"
            return f"rejected after {message.prev_log_index}, conflict {conflict}"
        case _:
            return _said_beside_the_log(message)


def _said_beside_the_log(message: Message) -> str:
    match message:
        case ReadIndex():
            return f"read {message.read_id}"
        case ReadIndexReply():
            return f"read {message.read_id} as of {message.index}"
        case FetchEntries():
            return " ".join(f"{one.first}-{one.last}.{one.term}" for one in message.ranges)
        case FetchEntriesReply():
            return " ".join(map(shown_entry, message.entries)) or "nothing"
        case InstallSnapshot():
            last = f"{message.last_included_index}.{message.last_included_term}"
            return f"up to {last}, {message.size_bytes} bytes"
        case FetchSnapshot():
            return "it is bad" if message.is_bad else f"from {message.offset}"
        case SnapshotPiece():
            return f"from {message.offset}, {len(message.data)} bytes"
        case CompareStates() | CompareStatesReply():
            return f"as of {message.index}, digest {message.digest.hex() or 'none'}"
        case _:
            return ""
