"""A message that makes no sense is refused before it reaches the core, however it was made."""

from __future__ import annotations

import msgspec
import pytest

from kvstore.raft.messages import (
    FETCHED_ENTRIES_MAX,
    FETCHED_RANGES_MAX,
    INDEX_MAX,
    PIECE_BYTES,
    SNAPSHOT_BYTES_MAX,
    EntryRange,
    Message,
)
from kvstore.raft.types import Entry, EntryKind

from .disk import entry
from .messages import (
    append,
    compare,
    compared,
    fetch,
    fetch_piece,
    fetched,
    install,
    piece,
    rejected,
    request_vote,
    vote_reply,
)


@pytest.mark.parametrize("term", [0, -1, 1 << 63])
@pytest.mark.parametrize("make", [request_vote, vote_reply, append])
def test_no_message_has_a_term_that_no_election_can_reach(make, term: int) -> None:
    """Elections start at term 1, and the disk keeps 63 bits."""
    with pytest.raises(ValueError, match="term out of range"):
        make(2, term)


MALFORMED_APPEND = [
    pytest.param({"term": 0}, id="term 0"),
    pytest.param({"term": 1 << 63}, id="term out of range"),
    pytest.param({"prev_log_index": -1}, id="negative index"),
    pytest.param({"prev_log_index": 1 << 63}, id="index out of range"),
    pytest.param({"leader_commit": -1}, id="negative commit"),
    pytest.param({"leader_commit": 1 << 63}, id="commit out of range"),
    pytest.param({"read_round": -1}, id="negative round"),
    pytest.param({"read_round": 1 << 63}, id="round out of range"),
    pytest.param({"prev_log_term": -1}, id="negative term"),
    pytest.param({"entries": (entry(3, 2),)}, id="gap after prev"),
    pytest.param({"entries": (entry(2, 2), entry(4, 2))}, id="gap between entries"),
    pytest.param({"entries": (entry(2, 2), entry(3, 1))}, id="entry terms go back"),
    pytest.param({"entries": tuple(entry(i, 2) for i in (2, 4, 3, 5))}, id="entries in no order"),
    pytest.param(
        {"entries": (entry(2, 2), entry(3, 1), entry(4, 2))}, id="entry terms go back and forth"
    ),
    pytest.param({"entries": (entry(2, 0),)}, id="entry older than prev"),
    pytest.param({"entries": (entry(2, 3),)}, id="entry newer than its leader"),
    pytest.param({"prev_log_term": 3}, id="prev newer than its leader"),
    pytest.param(
        {"prev_log_index": 0, "prev_log_term": 0, "entries": (entry(1, 0),)}, id="entry of term 0"
    ),
]


MALFORMED_REQUEST_VOTE = [
    pytest.param({"last_log_index": -1}, id="negative index"),
    pytest.param({"last_log_index": 1 << 63}, id="index out of range"),
    pytest.param({"last_log_term": -1}, id="negative term"),
    pytest.param({"last_log_term": 3}, id="log newer than its candidate"),
    pytest.param({"last_log_term": 2}, id="log as new as a term that only begins"),
    pytest.param({"last_log_index": 0}, id="empty log with a term"),
    pytest.param({"last_log_term": 0}, id="entries without a term"),
]

MALFORMED_REPLY = [
    pytest.param({"prev_log_index": -1}, id="negative index"),
    pytest.param({"prev_log_index": 1 << 63}, id="index out of range"),
    pytest.param({"match_index": -1}, id="negative match"),
    pytest.param({"match_index": 1 << 63}, id="match out of range"),
    pytest.param({"conflict_index": -1}, id="negative conflict"),
    pytest.param({"conflict_index": 1 << 63}, id="conflict out of range"),
    pytest.param({"conflict_term": -1}, id="negative conflict term"),
    pytest.param({"conflict_term": 3}, id="conflict newer than its node"),
    pytest.param({"read_round": -1}, id="negative round"),
    pytest.param({"read_round": 1 << 63}, id="round out of range"),
]

A_RANGE = EntryRange(3, 5, 2)
MALFORMED_FETCH = [
    pytest.param({"ranges": ()}, id="nothing"),
    pytest.param({"ranges": (EntryRange(0, 5, 2),)}, id="index 0"),
    pytest.param({"ranges": (EntryRange(5, 4, 2),)}, id="empty"),
    pytest.param({"ranges": (EntryRange(5, 1 << 63, 2),)}, id="index out of range"),
    pytest.param({"ranges": (EntryRange(5, 6, 0),)}, id="term 0"),
    pytest.param({"ranges": (EntryRange(5, 6, 1 << 63),)}, id="term out of range"),
    pytest.param({"ranges": (A_RANGE, A_RANGE)}, id="overlap"),
    pytest.param({"ranges": (A_RANGE, EntryRange(6, 6, 1))}, id="terms go back"),
    pytest.param(
        {"ranges": tuple(EntryRange(i, i, 1) for i in range(1, FETCHED_RANGES_MAX + 2))}, id="many"
    ),
]


def require_refused(message: Message, change: dict) -> None:
    """Whether built by the class or decoded from a frame."""
    with pytest.raises(ValueError, match=r"term|index|range|round|contiguous|follow"):
        msgspec.structs.replace(message, **change)
    fields = msgspec.structs.asdict(message)
    assert decoded(message, fields) == message
    with pytest.raises(msgspec.ValidationError):
        decoded(message, fields | change)


def decoded(like: Message, fields: dict) -> Message:
    """A message as it travels, not checked by the class before it left."""
    raw = msgspec.msgpack.encode([like.__struct_config__.tag, *fields.values()])
    return msgspec.msgpack.decode(raw, type=type(like))


@pytest.mark.parametrize("change", MALFORMED_APPEND)
def test_a_malformed_append_is_refused_before_it_reaches_the_core(change: dict) -> None:
    """Bytes from outside are validated, never asserted."""
    require_refused(append(2, 2, prev=(1, 1), terms=[1, 2]), change)


@pytest.mark.parametrize("change", MALFORMED_REQUEST_VOTE)
def test_a_malformed_request_for_a_vote_is_refused_before_it_reaches_the_core(
    change: dict,
) -> None:
    """A log that claims the impossible would beat every sound one (Raft §5.4.1)."""
    require_refused(request_vote(2, 2, last=(1, 1)), change)


@pytest.mark.parametrize("change", MALFORMED_REPLY)
def test_a_malformed_reply_to_an_append_is_refused_before_it_reaches_the_core(
    change: dict,
) -> None:
    """Bytes from outside are validated, never asserted."""
    require_refused(rejected(2, 2, prev=3, conflict=(1, 2), read_round=1), change)


@pytest.mark.parametrize("change", MALFORMED_FETCH)
def test_a_malformed_question_for_entries_is_refused_before_it_reaches_the_core(
    change: dict,
) -> None:
    """Bytes from outside are validated, never asserted."""
    require_refused(fetch(2, 2, (3, 5, 2), (6, 6, 2)), change)


@pytest.mark.parametrize("until", [-1, 1 << 63])
def test_a_malformed_answer_with_entries_is_refused_before_it_reaches_the_core(until: int) -> None:
    """Bytes from outside are validated, never asserted."""
    require_refused(fetched(2, 2, entry(3, 2)), {"until": until})


def test_no_more_entries_are_given_at_once_than_may_be() -> None:
    entries = [entry(index, 1) for index in range(1, FETCHED_ENTRIES_MAX + 2)]
    fetched(2, 2, *entries[1:])
    with pytest.raises(ValueError, match="more entries than are given at once"):
        fetched(2, 2, *entries)


def test_entries_beyond_the_last_index_are_refused() -> None:
    """The disk keeps 63 bits of an index."""
    append(2, 2, prev=(INDEX_MAX - 1, 1), terms=[2])
    with pytest.raises(ValueError, match="index or round out of range"):
        append(2, 2, prev=(INDEX_MAX - 1, 1), terms=[2, 2])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda **said: install(2, 3, (4, 2), **said), {"size_bytes": 0}),
        (lambda **said: install(2, 3, (4, 2), **said), {"size_bytes": SNAPSHOT_BYTES_MAX + 1}),
        (lambda **said: install(2, 3, (4, 2), **said), {"snapshot_id": 0}),
        (lambda **said: install(2, 3, **said), {"last": (0, 0)}),
        (lambda **said: install(2, 3, **said), {"last": (INDEX_MAX + 1, 1)}),
        (lambda **said: install(2, 3, **said), {"last": (4, 0)}),
        (lambda **said: install(2, 3, **said), {"last": (4, 4)}),
        (lambda **said: fetch_piece(2, 3, **said), {"offset": -1}),
        (lambda **said: fetch_piece(2, 3, **said), {"offset": SNAPSHOT_BYTES_MAX}),
        (lambda **said: fetch_piece(2, 3, **said), {"snapshot_id": INDEX_MAX + 1}),
        (lambda **said: piece(2, 3, **said), {"data": b""}),
        (lambda **said: piece(2, 3, **said), {"data": bytes(PIECE_BYTES + 1)}),
        (lambda **said: piece(2, 3, b"x", **said), {"offset": -1}),
    ],
)
def test_what_is_said_of_a_snapshot_is_within_its_bounds(make, said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"snapshot|offset"):
        make(**said)


@pytest.mark.parametrize("make", [compare, compared])
@pytest.mark.parametrize(
    ("index", "digest"), [(0, b""), (-1, b""), (1 << 63, b""), (1, b"x"), (1, bytes(33))]
)
def test_states_are_compared_as_of_an_entry_by_whole_digests(make, index, digest) -> None:
    with pytest.raises(ValueError, match=r"as of no entry|no digest"):
        make(2, 3, index, digest)


def test_what_a_majority_agrees_on_is_not_disputed() -> None:
    with pytest.raises(ValueError, match="not disputed"):
        compare(2, 3, 1, bytes(32), disputed=True)


def test_an_entry_as_of_which_states_are_compared_is_empty() -> None:
    """What somebody would put there, replicas could take in different ways."""
    message = append(2, 3)
    good = Entry(1, 3, EntryKind.CHECK, b"")
    assert msgspec.structs.replace(message, entries=(good,)).entries == (good,)
    with pytest.raises(ValueError, match="has data"):
        msgspec.structs.replace(message, entries=(Entry(1, 3, EntryKind.CHECK, b"x"),))
