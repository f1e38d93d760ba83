"""The messages between peers: the RPCs of Raft's Figure 2, and their results.

Law: every message names its cluster, sender, recipient and the sender's term,
so that one comparison of terms can stand before everything else. Building or
decoding a message checks its shape; what it means is the core's business. A kind of
message may grow at its end, by fields with defaults: an older node ignores them, and
leaves them out (decision 38).
"""

from __future__ import annotations

from typing import ClassVar, TypeAlias

import msgspec

from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.configurations import configuration_of
from kvstore.raft.types import CHECK, COMMAND, CONFIGURE, INDEX_MAX, VERSION, Entry
from kvstore.raft.versions import version_of

TERM_LEAP_MAX = 1 << 32
"""How far above its own a node believes a term: beyond that it is damaged or forged.

So many elections take 68 years at two a second, so no honest peer is that far ahead. It is
relative, as below any fixed bound the last term could be forged, and there no election would
follow. And it is short: INDEX_MAX is 2^31 such leaps away.
"""


NAME_CHARACTERS_MAX = 32

FETCHED_RANGES_MAX = 256
"""Runs of damaged entries that one message asks for."""
FETCHED_ENTRIES_MAX = 1_024
"""Entries that one message gives back: small ones cost more than their bytes."""

PIECE_BYTES = 256 << 10
"""Of a snapshot, in one message; the last piece is what is left."""
SNAPSHOT_BYTES_MAX = 1 << 46

DIGEST_BYTES = 32
"""Of a state, or of none: then there are no bytes at all."""


class EntryRange(
    msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False
):
    """The entries `first` to `last` of one term."""

    first: int
    last: int
    term: int


class _Message(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What every message begins with; it never grows, as the fields of each kind come behind it.

    * `admitted_at`: of the sender's directory, as its disk holds it.
    """

    cluster_id: str
    sender: int
    recipient: int
    term: int
    admitted_at: int = 0

    TERM_MIN: ClassVar[int] = 1
    SINCE: ClassVar[int] = 0
    """Version of the protocol since which there is this kind: `PeerLink.send` keeps it from older
    nodes, as a network might."""

    def __post_init__(self) -> None:
        if not self.TERM_MIN <= self.term <= INDEX_MAX:
            raise ValueError("term out of range")
        if not NOT_ADMITTED <= self.admitted_at <= INDEX_MAX:
            raise ValueError("admission out of range")

    @staticmethod
    def _require_range(*numbers: int) -> None:
        """Each is an index or a round, or 0 for none."""
        for number in numbers:
            if not 0 <= number <= INDEX_MAX:
                raise ValueError("index or round out of range")


class _VoteRequest(_Message, frozen=True, kw_only=True):
    """It shows how complete the sender's log is (Raft §5.4.1)."""

    last_log_index: int
    last_log_term: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_range(self.last_log_index)
        if not 0 <= self.last_log_term <= self.term:
            raise ValueError("the log is newer than its node's term")
        if (self.last_log_index == 0) != (self.last_log_term == 0):
            raise ValueError("one of last index and term says that the log is empty")


class PreVote(_VoteRequest, frozen=True, kw_only=True, tag="pre_vote"):
    """Thesis §9.6: would the recipient vote for `sender` in the term after `term`?

    It moves no term and costs no vote. `term` is the sender's, 0 in a new cluster.
    """

    TERM_MIN: ClassVar[int] = 0


class _VoteReply(_Message, frozen=True, kw_only=True):
    """`directory`: the name of the sender's; candidates know by theirs whose vote counts."""

    vote_granted: bool
    directory: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.directory) > NAME_CHARACTERS_MAX:
            raise ValueError("the name is too long")


class PreVoteReply(_VoteReply, frozen=True, kw_only=True, tag="pre_vote_reply"):
    """Thesis §9.6. A grant promises nothing: it says how things looked when it was written."""

    TERM_MIN: ClassVar[int] = 0


class RequestVote(_VoteRequest, frozen=True, kw_only=True, tag="request_vote"):
    """Raft §5.2: `sender` asks for a vote."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # A candidate has just raised its term, so its log ends below it.
        if self.last_log_term == self.term:
            raise ValueError("the log is not older than its candidate's term")


class RequestVoteReply(_VoteReply, frozen=True, kw_only=True, tag="request_vote_reply"):
    """Raft §5.2. A granted vote is durable at the sender."""


class AppendEntries(_Message, frozen=True, kw_only=True, tag="append_entries"):
    """Raft §5.3; without entries it is a heartbeat (§5.2).

    * `read_round`: the newest round of reads that the leader has opened in this term, 0
      for none (Raft §8). A round says no more than that reads came before it.
    """

    prev_log_index: int
    prev_log_term: int
    entries: tuple[Entry, ...]
    leader_commit: int
    read_round: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_range(
            self.prev_log_index, self.last_entry_index, self.leader_commit, self.read_round
        )
        if self.prev_log_term < 0 or self.last_entry_term > self.term:
            raise ValueError("an entry is newer than its leader's term")
        if not self.entries:
            return
        if self.entries[0].index != self.prev_log_index + 1:
            raise ValueError("entries do not follow prev_log_index")
        if self.entries[0].term < max(self.prev_log_term, 1):
            raise ValueError("entry terms go back, or start below term 1")
        indexes = [entry.index for entry in self.entries]
        if indexes != [*range(indexes[0], indexes[0] + len(indexes))]:
            raise ValueError("entries are not contiguous")
        terms = [entry.term for entry in self.entries]
        if terms != sorted(terms):
            raise ValueError("the terms of entries go back")
        _require_readable(self.entries)

    @property
    def last_entry_index(self) -> int:
        """Index up to which the recipient's log equals the leader's, once it accepts."""
        return self.prev_log_index + len(self.entries)

    @property
    def last_entry_term(self) -> int:
        """Term at `last_entry_index`."""
        return self.entries[-1].term if self.entries else self.prev_log_term


class AppendEntriesReply(_Message, frozen=True, kw_only=True, tag="append_entries_reply"):
    """Raft §5.3, with the fast back-up of `next_index` that its last paragraphs describe.

    * `prev_log_index`: of the request answered, so that a late rejection can be told.
    * `match_index`: on success, the last index the request vouched for; durable here.
    * `conflict_term`, `conflict_index`: on failure, the term at `prev_log_index` here and
      the first index of that term; (0, last index + 1) where the log is too short.
    * `read_round`: of the request answered, if that was of this term: its sender was still
      followed when it arrived, whether it succeeds or not.
    * `rejoining`: the name of a directory that waits to be admitted; it counts only by a
      configuration that it does not hold yet. Empty for one that votes.
    * `has_room`: whether the sender's disk takes new entries; those of the request it did
      not take otherwise.
    * `has_headroom`: whether it would take writes of clients, if it led.
    * `needs_snapshot`: whatever the log says, the sender needs a snapshot, and one that reaches at
      least this index; 0 for none.
    """

    success: bool
    prev_log_index: int
    match_index: int = 0
    conflict_term: int = 0
    conflict_index: int = 0
    read_round: int = 0
    has_room: bool = True
    has_headroom: bool = True
    rejoining: str = ""
    needs_snapshot: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_range(
            self.prev_log_index, self.match_index, self.conflict_index, self.read_round
        )
        self._require_range(self.needs_snapshot)
        if not 0 <= self.conflict_term <= self.term:
            raise ValueError("the log is newer than its node's term")
        if len(self.rejoining) > NAME_CHARACTERS_MAX:
            raise ValueError("the name is too long")
        if bool(self.rejoining) != (self.admitted_at == NOT_ADMITTED):
            raise ValueError("one of name and admission says that the directory waits")


class TimeoutNow(_Message, frozen=True, kw_only=True, tag="timeout_now"):
    """Thesis §3.10: the leader asks `recipient`, whose log equals its own, to stand at once."""


class ReadIndex(_Message, frozen=True, kw_only=True, tag="read_index"):
    """Thesis §6.4: a follower asks its leader as of which index it may answer reads."""

    read_id: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_range(self.read_id)


class ReadIndexReply(_Message, frozen=True, kw_only=True, tag="read_index_reply"):
    """Thesis §6.4: a majority followed `sender` after it was asked; read as of `index`."""

    read_id: int
    index: int

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_range(self.read_id, self.index)


class FetchEntries(_Message, frozen=True, kw_only=True, tag="fetch_entries"):
    """A node asks a peer, whatever its role, for entries that its own disk has lost.

    * `ranges`: ascending; index and term name one entry wherever it is found (Raft §5.3).
    """

    ranges: tuple[EntryRange, ...]

    TERM_MIN: ClassVar[int] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= len(self.ranges) <= FETCHED_RANGES_MAX:
            raise ValueError("too many ranges of entries asked for, or none")
        last, term = 0, 1
        for one in self.ranges:
            if not (last < one.first <= one.last <= INDEX_MAX and term <= one.term <= INDEX_MAX):
                raise ValueError("ranges of entries overlap, are empty, or go back")
            last, term = one.last, one.term


class FetchEntriesReply(_Message, frozen=True, kw_only=True, tag="fetch_entries_reply"):
    """Those of the entries asked for that the sender holds, as far as one message carries them.

    * `until`: what was asked for up to this index and is not among them, the sender lacks;
      0 if it did not look.
    """

    entries: tuple[Entry, ...]
    until: int

    TERM_MIN: ClassVar[int] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_range(self.until)
        if len(self.entries) > FETCHED_ENTRIES_MAX:
            raise ValueError("more entries than are given at once")
        _require_readable(self.entries)


class _SnapshotMessage(_Message, frozen=True, kw_only=True):
    """It names a file of the leader's; two with one name hold the same bytes."""

    snapshot_id: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.snapshot_id <= INDEX_MAX:
            raise ValueError("the snapshot has no name")


class InstallSnapshot(_SnapshotMessage, frozen=True, kw_only=True, tag="install_snapshot"):
    """Raft §7, but for the data: a leader offers a snapshot, and `recipient` fetches it.

    * `last_included_index`, `last_included_term`: the entry up to which it replaces the log.
    * `size_bytes`: of the whole file.
    """

    last_included_index: int
    last_included_term: int
    size_bytes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.last_included_index <= INDEX_MAX:
            raise ValueError("the snapshot holds no entry, or too many")
        if not 1 <= self.last_included_term <= self.term:
            raise ValueError("the snapshot is newer than its leader's term")
        if not 1 <= self.size_bytes <= SNAPSHOT_BYTES_MAX:
            raise ValueError("the snapshot's size is out of range")


class FetchSnapshot(_SnapshotMessage, frozen=True, kw_only=True, tag="fetch_snapshot"):
    """A follower asks its leader for the piece of a snapshot that begins at `offset`.

    * `is_bad`: what came was not what the leader wrote: this file is of no use to anybody.
    """

    offset: int
    is_bad: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.offset < SNAPSHOT_BYTES_MAX:
            raise ValueError("the offset is out of range")


class SnapshotPiece(_SnapshotMessage, frozen=True, kw_only=True, tag="snapshot_piece"):
    """What the file holds from `offset` on: `PIECE_BYTES`, or what is left; its frame has a crc."""

    offset: int
    data: bytes

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.offset < SNAPSHOT_BYTES_MAX:
            raise ValueError("the offset is out of range")
        if not 1 <= len(self.data) <= PIECE_BYTES:
            raise ValueError("a piece of a snapshot is empty, or too long")


class _OfStates(_Message, frozen=True, kw_only=True):
    """It speaks of states as of the entry at `index`, by a digest, or by none."""

    index: int
    digest: bytes

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.index <= INDEX_MAX:
            raise ValueError("states are compared as of no entry")
        if len(self.digest) not in (0, DIGEST_BYTES):
            raise ValueError("that is no digest of a state")


class CompareStates(_OfStates, frozen=True, kw_only=True, tag="compare_states"):
    """A leader asks for the digest of the recipient's state, or tells what came of it.

    * `digest`: that of the majority of the voters, as soon as it is known: who has another differs.
    * `is_disputed`: there are several, and no majority has the same.
    """

    is_disputed: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.is_disputed and self.digest:
            raise ValueError("what a majority agrees on is not disputed")

    @property
    def is_verdict(self) -> bool:
        """Whether it tells what came of it."""
        return self.is_disputed or bool(self.digest)


class CompareStatesReply(_OfStates, frozen=True, kw_only=True, tag="compare_states_reply"):
    """The digest of the sender's state, or none, as it has taken no part and never will.

    * `knows_verdict`: it was told what came of it, and need not be told again.
    """

    knows_verdict: bool


def _require_readable(entries: tuple[Entry, ...]) -> None:
    """Each that gives a configuration says which, and each that gives a version, too; one as of
    which states are compared says nothing.
    """
    for entry in entries:
        if entry.kind is COMMAND:
            continue
        if entry.kind is CONFIGURE:
            configuration_of(entry)
        elif entry.kind is VERSION:
            version_of(entry)
        elif entry.kind is CHECK and entry.data:
            raise ValueError(f"entry {entry.index} is no more than a place, and has data")


Message: TypeAlias = (
    PreVote
    | PreVoteReply
    | RequestVote
    | RequestVoteReply
    | AppendEntries
    | AppendEntriesReply
    | TimeoutNow
    | ReadIndex
    | ReadIndexReply
    | FetchEntries
    | FetchEntriesReply
    | InstallSnapshot
    | FetchSnapshot
    | SnapshotPiece
    | CompareStates
    | CompareStatesReply
)
