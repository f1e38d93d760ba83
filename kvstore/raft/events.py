"""What happened in the core that an operator would want to read, as values.

Law: an event reports, it never drives anything; dropping all of them changes
no behaviour. `str(event)` is its log line.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class SteppingDown(msgspec.Struct, frozen=True):
    """A message of a higher term arrived."""

    seen_term: int
    own_term: int

    def __str__(self) -> str:
        return f"stepping down: saw term {self.seen_term} > my term {self.own_term}"


class BecameFollower(msgspec.Struct, frozen=True):
    """Entered the follower role, or entered a new term as a follower."""

    term: int

    def __str__(self) -> str:
        return "became follower"


class BecameCandidate(msgspec.Struct, frozen=True):
    """The election timeout ran out."""

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


class LogTruncated(msgspec.Struct, frozen=True):
    """Entries that were never committed gave way to the leader's (Raft §5.3)."""

    term: int
    from_index: int
    to_index: int

    def __str__(self) -> str:
        count = self.to_index - self.from_index + 1
        entries = "entry" if count == 1 else "entries"
        return f"rolled back {count} uncommitted {entries} from index {self.from_index}"


class MessageIgnored(msgspec.Struct, frozen=True):
    """A message that is not for this node, or not from a member of its cluster."""

    term: int
    reason: str

    def __str__(self) -> str:
        return f"ignored message: {self.reason}"


Event: TypeAlias = (
    SteppingDown
    | BecameFollower
    | BecameCandidate
    | BecameLeader
    | FollowingLeader
    | VoteGranted
    | VoteRefused
    | LogTruncated
    | MessageIgnored
)
