"""The reader of traces finds a promise that leaves too early."""

from __future__ import annotations

import msgspec
import pytest

from kvstore.raft.messages import AppendEntries, AppendEntriesReply, RequestVote, RequestVoteReply
from kvstore.raft.types import Entry, EntryKind
from kvstore.wire.peer import encode_message

from .trace import Call, PersistThenSpeak, read_calls

FILE = "/data/n1/raft/data.mdb"
PEER = "127.0.0.1:1->127.0.0.1:2"
CLIENT = "127.0.0.1:1->127.0.0.1:3"
HEAD = {"cluster_id": "c", "sender": 1, "recipient": 2, "term": 3}

APPEND = AppendEntries(
    **{**HEAD, "sender": 2, "recipient": 1},
    prev_log_index=0,
    prev_log_term=0,
    entries=(Entry(1, 3, EntryKind.COMMAND, b"the entry"),),
    leader_commit=0,
)
ACCEPTED = AppendEntriesReply(**HEAD, success=True, prev_log_index=0, match_index=1)
ASKED = RequestVote(**{**HEAD, "sender": 2, "recipient": 1}, last_log_index=0, last_log_term=0)
GRANTED = RequestVoteReply(**HEAD, vote_granted=True)


def network(name: str, data: bytes, target: str = PEER) -> Call:
    return Call(name, target, False, data, len(data))


def received(data: bytes, target: str = PEER) -> Call:
    return network("recvfrom", data, target)


def sent(data: bytes, target: str = PEER) -> Call:
    return network("sendto", data, target)


WRITE = Call("pwrite64", FILE, False, b"....the entry....", 17)
SYNC = Call("fdatasync", FILE, False, b"", 0)
META = Call("pwrite64", FILE, True, b"meta", 4)
COMMIT = [WRITE, SYNC, META]

STORIES = {
    "an entry": (received(encode_message(APPEND)), sent(encode_message(ACCEPTED))),
    "a vote": (received(encode_message(ASKED)), sent(encode_message(GRANTED))),
    "a client's write": (
        received(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9\r\nthe entry\r\n", CLIENT),
        sent(b"+OK\r\n", CLIENT),
    ),
}


def findings(calls: list[Call]) -> list[str]:
    rule = PersistThenSpeak()
    rule.check(calls)
    assert rule.checked, "the rule looked at nothing"
    return rule.findings


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_speaking_after_the_commit_is_right(story: tuple[Call, Call]) -> None:
    asked, spoken = story
    assert findings([asked, *COMMIT, spoken]) == []


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
@pytest.mark.parametrize(
    "done",
    [[], [WRITE], [WRITE, SYNC], [SYNC, META], [WRITE, META], [META, WRITE, SYNC]],
    ids=["nothing", "no sync", "no meta page", "no write", "meta, no sync", "wrong order"],
)
def test_speaking_before_the_commit_is_found(story: tuple[Call, Call], done: list[Call]) -> None:
    asked, spoken = story
    assert findings([asked, *done, spoken])


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_a_commit_before_the_request_does_not_count(story: tuple[Call, Call]) -> None:
    asked, spoken = story
    assert findings([*COMMIT, asked, spoken])


def test_a_sync_of_another_file_or_one_that_failed_does_not_count() -> None:
    asked, spoken = STORIES["an entry"]
    other = Call("fdatasync", "/data/n1/state/data.mdb", False, b"", 0)
    failed = Call("fdatasync", FILE, False, b"", -1)
    assert findings([asked, WRITE, other, META, spoken])
    assert findings([asked, WRITE, failed, META, spoken])


def test_an_entry_that_comes_again_is_not_written_again() -> None:
    """A leader that has no answer yet says it twice."""
    asked, spoken = STORIES["an entry"]
    assert findings([asked, *COMMIT, spoken, asked, spoken]) == []


def test_an_entry_that_comes_back_after_another_one_must_be_written_again() -> None:
    asked, spoken = STORIES["an entry"]
    other = msgspec.structs.replace(
        APPEND, term=4, entries=(Entry(1, 4, EntryKind.COMMAND, b"the entry"),)
    )
    instead = received(encode_message(other))
    assert findings([asked, *COMMIT, spoken, instead, *COMMIT, asked, spoken])


def test_lines_of_strace_become_calls() -> None:
    path = "".join(f"\\x{byte:02x}" for byte in FILE.encode())
    lines = [
        f'7 openat(AT_FDCWD<\\x2f>, "{path}", O_WRONLY|O_DSYNC) = 5<{path}>',
        f'7 writev(4<{path}>, [{{iov_base="\\x61", iov_len=1}}, {{iov_base="\\x62"}}], 2) = 2',
        f"7 fdatasync(4<{path}> <unfinished ...>",
        '8 sendto(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "\\x61\\x62", 2, 0, NULL, 0) = 1',
        "7 <... fdatasync resumed>) = 0",
        f'7 pwrite64(5<{path}>, "\\x63", 1, 0) = 1',
        "7 +++ exited with 0 +++",
    ]
    assert list(read_calls(lines)) == [
        Call("writev", FILE, False, b"ab", 2),
        Call("sendto", PEER, False, b"a", 1),
        Call("fdatasync", FILE, False, b"", 0),
        Call("pwrite64", FILE, True, b"c", 1),
    ]
