"""The nouns of the Raft paper: roles, entries, hard state, and what must become durable.

Law: plain immutable values. Nothing here decides anything.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from kvstore.raft.configuration import NOT_ADMITTED, Configuration

INDEX_MAX = (1 << 63) - 1


class Role(enum.StrEnum):
    """Raft §5.1, and the pre-candidate of thesis §9.6, who asks whether it may stand."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


class Membership(msgspec.Struct, frozen=True):
    """Who this node is; who else is in the cluster, its log tells.

    * `directory`: the name of its directory; empty for the first one of a founder.
    """

    cluster_id: str
    node_id: int
    directory: str = ""


class EntryKind(enum.IntEnum):
    """What an entry's data is."""

    NOOP = 0
    """Opens a leader's term (Raft §8); data is the leader's id in decimal ASCII."""
    COMMAND = 1
    """A command of the state machine, opaque to Raft."""
    CONFIGURE = 2
    """The cluster has these members from now on; data is all of them (`configurations.py`)."""
    VERSION = 3
    """The cluster has a version of the protocol from now on; data is its number in decimal."""
    CHECK = 4
    """It changes nothing, and has no data: states are compared as of its index (decision 50)."""


COMMAND: Final = EntryKind.COMMAND
CONFIGURE: Final = EntryKind.CONFIGURE
VERSION: Final = EntryKind.VERSION
CHECK: Final = EntryKind.CHECK
"""For what is done for each entry: a look-up in the class takes longer than adding one."""


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """One slot of the replicated log; (index, term) names it uniquely. The first index is 1."""

    index: int
    term: int
    kind: EntryKind
    data: bytes


class HardState(msgspec.Struct, frozen=True, gc=False):
    """What Figure 2 calls persistent state, less the log.

    * `admitted_at`: index of the entry since which this directory votes; 0 for a founder's
      first one, and `NOT_ADMITTED` for one that never did.
    """

    current_term: int = 0
    voted_for: int | None = None
    admitted_at: int = 0

    @property
    def is_voter(self) -> bool:
        """Whether this directory voted ever, and counts unless its log ends it."""
        return self.admitted_at != NOT_ADMITTED


class TermRange(msgspec.Struct, frozen=True, gc=False):
    """From `first_index` on, until the next range, entries carry `term`."""

    first_index: int
    term: int


class LogStart(msgspec.Struct, frozen=True, gc=False):
    """The entry after which a log begins, itself no part of it; zeros before the first of all.

    It is committed, and so is everything before it.
    """

    index: int = 0
    term: int = 0

    @property
    def can_be(self) -> bool:
        """Whether a log can begin there."""
        return min(self.index, self.term) >= 0 and (self.index == 0) == (self.term == 0)


class SnapshotName(msgspec.Struct, frozen=True, gc=False):
    """Which snapshot it is: a file of `size_bytes` that holds all up to one entry.

    * `id`: no other has it; of the files of one life of a node, later ones have greater ones.
    """

    id: int
    index: int
    term: int
    size_bytes: int

    @property
    def start(self) -> LogStart:
        """After what a log begins that goes on where this ends."""
        return LogStart(self.index, self.term)


class SnapshotSource(Protocol):
    """A snapshot that a leader has, as the core reads it."""

    @property
    def name(self) -> SnapshotName: ...

    def read(self, offset: int, bytes_max: int) -> bytes:
        """What the file holds from `offset` on: so much, or what is left; b"" if it is lost."""
        ...


class Recovered(msgspec.Struct, frozen=True):
    """What a node finds on its disk when it starts.

    * `last_index`: that of `start` if there are no entries.
    * `damaged`: indexes, ascending, of entries whose record is damaged or missing. Which
      entries they are is known all the same: `term_ranges` covers them.
    * `configurations`: the entries of that kind that can be read.
    * `configuration`: the one as of `start`.
    """

    hard_state: HardState
    term_ranges: tuple[TermRange, ...]
    last_index: int
    damaged: tuple[int, ...] = ()
    configurations: tuple[Entry, ...] = ()
    start: LogStart = LogStart()
    configuration: Configuration = Configuration()


class DurableUpdate(msgspec.Struct, frozen=True):
    """What must be on disk, in one atomic step, before what rests on it may leave.

    * `truncate_from`: remove entries with index >= this, before anything else.
    * `start`: the log begins after this entry from now on, and what is at and before it is
      dropped. It is an entry of the log; only one that is empty by then may begin anywhere.
    * `configuration`: the one as of `start`, if that is another than before.
    * `repairs`: entries whose records were damaged, to be written in their places.
    * `entries`: contiguous, and they start right after what remains.
    * `number`: the how-many-th of this life of the node it is. They become durable in order.
    """

    hard_state: HardState | None = None
    truncate_from: int | None = None
    entries: Sequence[Entry] = ()
    repairs: Sequence[Entry] = ()
    start: LogStart | None = None
    configuration: Configuration | None = None
    number: int = 0

    def __bool__(self) -> bool:
        return (
            bool(self.entries or self.repairs)
            or self.hard_state is not None
            or self.truncate_from is not None
            or self.start is not None
        )


class StableLog(Protocol):
    """The durable part of the log, as the core reads it."""

    def entries(self, start: int, stop: int, bytes_max: int) -> list[Entry]:
        """Entries of [start, stop), cut after `bytes_max` of data but never empty.

        The caller asks only for indexes that are durable.
        """
        ...

    def entry_bytes(self, data_bytes: int) -> int:
        """What an entry that is appended takes of the disk, at most; always the same."""
        ...

    def repair_bytes(self, data_bytes: int) -> int:
        """What an entry in the place of a damaged one takes of the disk, at most."""
        ...


class RaftSettings(msgspec.Struct, frozen=True):
    """Times and bounds of the core. An election timeout is drawn from [min, max].

    * Who heard a leader less than the shortest one ago helps no other to stand.
    * A leader steps down when no majority has answered it for the longest one: by then
      every follower that lost it has timed out.
    """

    heartbeat_interval_ms: int = 100
    election_timeout_min_ms: int = 500
    election_timeout_max_ms: int = 1000
    append_bytes_max: int = 1 << 20
    """Entry data in one AppendEntries; a single larger entry still travels alone."""
    append_entries_max: int = 1_024
    """Entries in one AppendEntries: small ones cost more than their bytes."""
    catch_up_work_max: int = 4 << 20
    """Work of one turn, in bytes, for followers that lack more than what is new: some 10 ms.

    Small entries count for more than they have: see `raft/leadership.py`."""
    inflight_messages_max: int = 64
    """AppendEntries with entries that may be unanswered, per follower."""
    cached_bytes_max: int = 16 << 20
    """Recent entry data kept in memory, so that the hot path reads no disk."""
