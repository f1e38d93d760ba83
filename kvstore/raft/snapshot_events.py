"""What happened to snapshots, as values; `events.py` says what an event is.

Law: each transfer has one line at its begin and one at its end, on both sides.
"""

from __future__ import annotations

import msgspec

from kvstore.quantities import size_words


class _OfSnapshot(msgspec.Struct, frozen=True):
    """Up to which entry it reaches, and how long its file is."""

    term: int
    index: int
    size_bytes: int


class WritingSnapshot(msgspec.Struct, frozen=True):
    """A leader writes a file for those who need one."""

    term: int
    index: int

    def __str__(self) -> str:
        return f"writing a snapshot of all up to log entry {self.index}"


class SnapshotWritten(_OfSnapshot, frozen=True):
    """The file is whole."""

    seconds: float

    def __str__(self) -> str:
        size = size_words(self.size_bytes)
        return f"wrote a snapshot up to log entry {self.index}: {size} in {self.seconds:.1f} s"


class CannotWriteSnapshot(msgspec.Struct, frozen=True):
    """A leader has no room for the file, or could not make it: it tries again."""

    term: int
    reason: str

    def __str__(self) -> str:
        return f"cannot write a snapshot for now: {self.reason}"


class CannotTakeSnapshot(msgspec.Struct, frozen=True):
    """A follower has no room for what it would be, or could not write it: it tries again."""

    term: int
    index: int
    reason: str

    def __str__(self) -> str:
        return f"cannot take the snapshot up to log entry {self.index} for now: {self.reason}"


class SendingSnapshot(_OfSnapshot, frozen=True):
    """A follower has begun to fetch it."""

    follower: int

    def __str__(self) -> str:
        return (
            f"sending node {self.follower} a snapshot up to log entry {self.index}, "
            f"{size_words(self.size_bytes)}"
        )


class SnapshotSent(_OfSnapshot, frozen=True):
    """A follower has installed it, and goes on by the log."""

    follower: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"node {self.follower} goes on from log entry {self.index} by its snapshot, "
            f"{size_words(self.size_bytes)} in {self.seconds:.1f} s"
        )


class SnapshotWasBad(msgspec.Struct, frozen=True):
    """A follower found that the file is not what it must be."""

    term: int
    index: int
    follower: int

    def __str__(self) -> str:
        return (
            f"node {self.follower} finds the snapshot up to log entry {self.index} damaged: "
            "writing another one"
        )


class ReceivingSnapshot(_OfSnapshot, frozen=True):
    """This node fetches one of its leader."""

    leader: int

    def __str__(self) -> str:
        return (
            f"receiving a snapshot up to log entry {self.index} from node {self.leader}, "
            f"{size_words(self.size_bytes)}"
        )


class SnapshotInstalled(_OfSnapshot, frozen=True):
    """It is this node's data now."""

    seconds: float

    def __str__(self) -> str:
        return (
            f"installed a snapshot: the log goes on after entry {self.index}; "
            f"{size_words(self.size_bytes)} in {self.seconds:.1f} s"
        )


class SnapshotAbandoned(msgspec.Struct, frozen=True):
    """What came of one is thrown away."""

    term: int
    index: int
    taken_bytes: int
    reason: str

    def __str__(self) -> str:
        taken = size_words(self.taken_bytes)
        return f"gave up the snapshot up to log entry {self.index} after {taken}: {self.reason}"
