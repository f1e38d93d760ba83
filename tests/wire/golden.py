"""A message of every kind, and its frame as version 2 writes it.

Law: a frame here changes only while nothing is released. One of the entries holds what looks like
the beginning of another request.
"""

from __future__ import annotations

from typing import Any

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

ENVELOPE: dict[str, Any] = {
    "cluster_id": "c1",
    "sender": 1,
    "recipient": 2,
    "term": 4,
    "admitted_at": 3,
}
ENTRIES = (Entry(8, 3, EntryKind.NOOP, b"1"), Entry(9, 4, EntryKind.COMMAND, b"\r\n*1\r\n"))
GOLDEN: list[tuple[Message, str]] = [
    (
        PreVote(**ENVELOPE, last_log_index=9, last_log_term=3),
        "98a87072655f766f7465a26331010204030903",
    ),
    (
        PreVoteReply(**ENVELOPE, vote_granted=True),
        "97ae7072655f766f74655f7265706c79a2633101020403c3",
    ),
    (
        RequestVote(**ENVELOPE, last_log_index=9, last_log_term=3),
        "98ac726571756573745f766f7465a26331010204030903",
    ),
    (
        RequestVoteReply(**ENVELOPE, vote_granted=True),
        "97b2726571756573745f766f74655f7265706c79a2633101020403c3",
    ),
    (
        AppendEntries(
            **ENVELOPE,
            prev_log_index=7,
            prev_log_term=3,
            entries=ENTRIES,
            leader_commit=7,
            read_round=5,
        ),
        "9bae617070656e645f656e7472696573a263310102040307039294080300c4013194090401c4060d0a2a310d0a0705",
    ),
    (
        AppendEntriesReply(
            **ENVELOPE, success=False, prev_log_index=7, conflict_term=3, conflict_index=5
        ),
        "9fb4617070656e645f656e74726965735f7265706c79a2633101020403c20700030500c3c3a0",
    ),
    (TimeoutNow(**ENVELOPE), "96ab74696d656f75745f6e6f77a2633101020403"),
    (ReadIndex(**ENVELOPE, read_id=6), "97aa726561645f696e646578a263310102040306"),
    (
        ReadIndexReply(**ENVELOPE, read_id=6, index=9),
        "98b0726561645f696e6465785f7265706c79a26331010204030609",
    ),
    (
        FetchEntries(**ENVELOPE, ranges=(EntryRange(1, 6, 2), EntryRange(8, 8, 3))),
        "97ad66657463685f656e7472696573a2633101020403929301060293080803",
    ),
    (
        FetchEntriesReply(**ENVELOPE, entries=ENTRIES, until=9),
        "98b366657463685f656e74726965735f7265706c79a26331010204039294080300c4013194090401c4060d0a2a310d0a09",
    ),
    (
        InstallSnapshot(
            **ENVELOPE, snapshot_id=77, last_included_index=9, last_included_term=3, size_bytes=4096
        ),
        "9ab0696e7374616c6c5f736e617073686f74a26331010204034d0903cd1000",
    ),
    (
        FetchSnapshot(**ENVELOPE, snapshot_id=77, offset=262144),
        "99ae66657463685f736e617073686f74a26331010204034dce00040000c2",
    ),
    (
        SnapshotPiece(**ENVELOPE, snapshot_id=77, offset=262144, data=b"\r\n*1\r\n"),
        "99ae736e617073686f745f7069656365a26331010204034dce00040000c4060d0a2a310d0a",
    ),
    (
        CompareStates(**ENVELOPE, index=9, digest=b""),
        "99ae636f6d706172655f737461746573a263310102040309c400c2",
    ),
    (
        CompareStatesReply(**ENVELOPE, index=9, digest=bytes(range(32)), knows_verdict=True),
        "99b4636f6d706172655f7374617465735f7265706c79a263310102040309c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fc3",
    ),
]
MESSAGES = [message for message, _ in GOLDEN]
