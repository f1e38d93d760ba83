"""What happened in the core that an operator would want to read, as values.

Law: an event reports, it never drives anything; dropping all of them changes
no behaviour. `str(event)` is its log line.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from kvstore.raft.divergence_events import DataDiffer, DifferingDataReplaced, LoneDataDiffer
from kvstore.raft.snapshot_events import (
    CannotTakeSnapshot,
    CannotWriteSnapshot,
    ReceivingSnapshot,
    SendingSnapshot,
    SnapshotAbandoned,
    SnapshotInstalled,
    SnapshotSent,
    SnapshotWasBad,
    SnapshotWritten,
    WritingSnapshot,
)
from kvstore.raft.state_events import StatesCompared, StatesDisputed


class SteppingDown(msgspec.Struct, frozen=True):
    """A message of a higher term arrived."""

    seen_term: int
    own_term: int

    def __str__(self) -> str:
        return f"stepping down: saw term {self.seen_term} > my term {self.own_term}"


class Deposed(SteppingDown, frozen=True):
    """The same of a leader that was not handing over: others could not hear it, or did not."""


class BecameFollower(msgspec.Struct, frozen=True):
    """Entered the follower role, or entered a new term as a follower."""

    term: int

    def __str__(self) -> str:
        return "became follower"


class LostMajority(msgspec.Struct, frozen=True):
    """A leader that no majority answers stops leading (thesis §6.2); the term stays."""

    term: int
    silent_ms: int

    def __str__(self) -> str:
        return f"stepping down: no majority answered for {self.silent_ms} ms"


class StoodStill(msgspec.Struct, frozen=True):
    """A leader finds that its process, or its disk, kept it longer than any election takes."""

    term: int
    silent_ms: int

    def __str__(self) -> str:
        return f"stepping down: stood still for {self.silent_ms} ms"


class Stalled(msgspec.Struct, frozen=True):
    """A node that leads nobody finds the same."""

    term: int
    silent_ms: int

    def __str__(self) -> str:
        return f"stood still for {self.silent_ms} ms"


class BecamePreCandidate(msgspec.Struct, frozen=True):
    """The election timeout ran out: this node asks whether it could win an election."""

    term: int

    def __str__(self) -> str:
        return "became pre-candidate"


class BecameCandidate(msgspec.Struct, frozen=True):
    """A majority would vote for this node, or its leader told it to stand: it starts a term."""

    term: int

    def __str__(self) -> str:
        return "became candidate"


class BecameLeader(msgspec.Struct, frozen=True):
    """A majority voted for this node."""

    term: int
    votes: tuple[int, ...]

    def __str__(self) -> str:
        return "became leader"


class FollowingLeader(msgspec.Struct, frozen=True):
    """The first AppendEntries of a leader arrived: clients are pointed there from now on."""

    term: int
    leader: int

    def __str__(self) -> str:
        return f"following leader node {self.leader}"


class VoteGranted(msgspec.Struct, frozen=True):
    """Voted for a candidate; counts for it only once it is durable."""

    term: int
    candidate: int

    def __str__(self) -> str:
        return f"granted vote to node {self.candidate}"


class VoteRefused(msgspec.Struct, frozen=True):
    """Refused a candidate of the current term."""

    term: int
    candidate: int
    reason: str

    def __str__(self) -> str:
        return f"refused vote to node {self.candidate}: {self.reason}"


class HandingOver(msgspec.Struct, frozen=True):
    """A leader stops taking writes until `heir` leads, or for one election timeout."""

    term: int
    heir: int

    def __str__(self) -> str:
        return f"handing leadership to node {self.heir}"


class HandoverFailed(msgspec.Struct, frozen=True):
    """`heir` did not take over in time; this leader goes on."""

    term: int
    heir: int

    def __str__(self) -> str:
        return f"node {self.heir} did not take over; leading on"


class NeedsOlder(msgspec.Struct, frozen=True):
    """`follower` lacks entries from before the leader's log: it gets heartbeats, and a snapshot."""

    term: int
    follower: int
    first_index: int

    def __str__(self) -> str:
        return (
            f"node {self.follower} needs log entries from before {self.first_index}, "
            "where the log of this node begins: it gets a snapshot"
        )


class ToldToStand(msgspec.Struct, frozen=True):
    """The leader hands its leadership to this node (thesis §3.10)."""

    term: int
    leader: int

    def __str__(self) -> str:
        return f"standing because node {self.leader} hands over"


class LogTruncated(msgspec.Struct, frozen=True):
    """Entries that were never committed gave way to the leader's (Raft §5.3)."""

    term: int
    from_index: int
    to_index: int

    def __str__(self) -> str:
        count = self.to_index - self.from_index + 1
        entries = "entry" if count == 1 else "entries"
        return f"rolled back {count} uncommitted {entries} from index {self.from_index}"


class CannotVouch(msgspec.Struct, frozen=True):
    """Entries of this node's log are damaged on its disk; it asks its peers for them."""

    term: int
    entry_index: int
    entry_term: int
    count: int

    def __str__(self) -> str:
        others = f" and {self.count - 1} more" if self.count > 1 else ""
        return (
            f"cannot vouch for log entry {self.entry_index} of term {self.entry_term}{others}: "
            "asking the other nodes for it"
        )


class Repaired(msgspec.Struct, frozen=True):
    """Entries that were damaged are whole again, on this node's disk."""

    term: int
    count: int
    left: int

    def __str__(self) -> str:
        entries = "entry" if self.count == 1 else "entries"
        rest = f", {self.left} to go" if self.left else "; the log is whole again"
        return f"repaired {self.count} log {entries} with those of other nodes{rest}"


class Admitted(msgspec.Struct, frozen=True):
    """This directory votes for its node from now on."""

    term: int
    entry_index: int

    def __str__(self) -> str:
        return f"admitted by log entry {self.entry_index}: this node votes from now on"


class Configured(msgspec.Struct, frozen=True):
    """By this node's log the cluster has other members, or those of before a truncation."""

    term: int
    entry_index: int
    configuration: str

    def __str__(self) -> str:
        return f"configuration of log entry {self.entry_index} is in force: {self.configuration}"


class DirectoryLost(msgspec.Struct, frozen=True):
    """A node came with another directory than the one that votes, which is made a learner."""

    term: int
    node: int

    def __str__(self) -> str:
        return (
            f"node {self.node} came with another directory: the one that voted votes no more, and "
            "cannot come back. If it was not lost, look why it was not there (a disk that is not "
            "mounted?)"
        )


class VersionRaised(msgspec.Struct, frozen=True):
    """The cluster has a newer version of the protocol: no node goes back to an older release."""

    term: int
    version: int

    def __str__(self) -> str:
        return f"the cluster has version {self.version} of the protocol"


class ShortOfRoom(msgspec.Struct, frozen=True):
    """The disk, or the map of a store, is nearly full: clients' writes are refused."""

    term: int
    left_bytes: int
    headroom_bytes: int

    def __str__(self) -> str:
        return (
            f"short of room: {self.left_bytes >> 20} MiB left; refusing writes until there are "
            f"{self.headroom_bytes >> 20} MiB"
        )


class WaitsForRoom(msgspec.Struct, frozen=True):
    """A committed entry is not applied, as what it changes might not fit into the state."""

    term: int
    index: int

    def __str__(self) -> str:
        return (
            f"waiting for room to apply log entry {self.index}: make room on the disk, or start "
            "again with a larger --state-map-bytes"
        )


class ApplyingAgain(msgspec.Struct, frozen=True):
    """There is room again for what is committed."""

    term: int
    index: int

    def __str__(self) -> str:
        return f"applying again from log entry {self.index}"


class RoomIsBack(msgspec.Struct, frozen=True):
    """There is room again: clients' writes are taken."""

    term: int
    left_bytes: int

    def __str__(self) -> str:
        return f"has room again: {self.left_bytes >> 20} MiB left"


class Compacting(msgspec.Struct, frozen=True):
    """The log has more than is to be kept of it: its front is dropped from now on."""

    term: int
    first_index: int
    kept_bytes: int

    def __str__(self) -> str:
        return (
            f"the log begins with entry {self.first_index}: what was applied is dropped beyond"
            f" {self.kept_bytes >> 10} KiB from now on"
        )


class MessageIgnored(msgspec.Struct, frozen=True):
    """A message that is not for this node, or not from a member of its cluster."""

    term: int
    reason: str

    def __str__(self) -> str:
        return f"ignored message: {self.reason}"


Event: TypeAlias = (
    SteppingDown
    | Deposed
    | LostMajority
    | StoodStill
    | Stalled
    | BecameFollower
    | BecamePreCandidate
    | BecameCandidate
    | BecameLeader
    | FollowingLeader
    | VoteGranted
    | VoteRefused
    | HandingOver
    | HandoverFailed
    | NeedsOlder
    | ToldToStand
    | LogTruncated
    | CannotVouch
    | Repaired
    | Admitted
    | Configured
    | DirectoryLost
    | VersionRaised
    | ShortOfRoom
    | RoomIsBack
    | WaitsForRoom
    | ApplyingAgain
    | Compacting
    | MessageIgnored
    | WritingSnapshot
    | SnapshotWritten
    | CannotWriteSnapshot
    | CannotTakeSnapshot
    | SendingSnapshot
    | SnapshotSent
    | SnapshotWasBad
    | ReceivingSnapshot
    | SnapshotInstalled
    | SnapshotAbandoned
    | StatesCompared
    | StatesDisputed
    | DataDiffer
    | LoneDataDiffer
    | DifferingDataReplaced
)
