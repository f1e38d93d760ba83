"""Every exception that kvstore raises, in one tree.

Law: a message says what is wrong and what to do about it. A refusal that is
known to have changed nothing and an outcome that nobody knows are different
classes, and no code may turn the second into the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_LATER_OR_ELSEWHERE: Final = frozenset(
    ("NOTLEADER", "NOLEADER", "BUSY", "NOSPACE", "NOHEIR", "NOCHANGE", "STALE", "FULL", "FORKED")
)
"""Codes of refusals that say nothing against the request itself."""


class KvstoreError(Exception):
    """Root of the tree: catching it catches everything that kvstore raises on purpose.

    * `code`: one word for what happened, for programs; it stays when the message is reworded.
    * `retryable`: whether to ask for the very same once more is safe, and may help.
    """

    code = "ERROR"
    retryable = False

    def __reduce__(self) -> tuple[Any, ...]:
        # A process pool pickles errors, and some take more than their message.
        return _remade, (type(self), self.args, vars(self))


def _remade(
    kind: type[KvstoreError], args: tuple[object, ...], state: dict[str, object]
) -> KvstoreError:
    error = kind.__new__(kind, *args)
    vars(error).update(state)
    return error


class ConfigError(KvstoreError, ValueError):
    """A setting is missing, malformed, out of range or contradicts another one."""

    code = "CONFIG"


class StorageError(KvstoreError):
    """The data directory cannot be used."""

    code = "STORAGE"


class DirectoryRefusedError(StorageError):
    """The directory is sound, but not ours: another node, cluster, format or process owns it."""

    code = "DIRECTORY"


class StorageUnavailableError(StorageError):
    """The system gives this process less than it needs: memory, descriptors, permission, room.

    Nothing is known to be wrong with what the directory holds.
    """

    code = "UNAVAILABLE"


class DamagedError(StorageError):
    """The directory holds bytes that fail their checks: truncated, flipped or missing."""

    code = "DAMAGED"


class DamagedStateError(DamagedError):
    """The damage is in the applied data, which the log, or another node, may tell anew."""


class DamagedSnapshotError(DamagedError):
    """The snapshot, or backup, is cut short, or has bytes that fail their checks."""


class SnapshotRefusedError(StorageError):
    """The snapshot, or backup, is not one that this program can read: of another version."""

    code = "SNAPSHOT"


class DiskWriteError(StorageError):
    """A write or an fsync failed. What is on the disk is unknown: the process must end."""

    code = "DISK"


class MapFullError(DiskWriteError):
    """A store has used up the map that it was started with; the disk may have room."""


class ProtocolError(KvstoreError):
    """The other side sent bytes that break the protocol; the connection cannot go on."""

    code = "PROTOCOL"


class RequestError(KvstoreError):
    """Root of what a client is told about one request."""


class RefusedError(RequestError):
    """The request was refused and has definitely changed nothing.

    `code` is the first word of the node's error, or the client's: BUSY (other threads had the
    turn), FULL (no node has a free place for another client), INSIDE, FORKED.
    """

    def __init__(self, message: str, code: str = "ERR") -> None:
        super().__init__(message)
        self.code = code
        self.retryable = code in _LATER_OR_ELSEWHERE


class NotLeaderError(RefusedError):
    """The node does not lead; `leader` is the `host:port` that does, if it is known."""

    def __init__(self, message: str, leader: str | None) -> None:
        super().__init__(message, "NOTLEADER")
        self.leader = leader


class CompactedError(RefusedError):
    """What was at that revision is not kept any more; `floor` is the first one that is."""

    def __init__(self, message: str, floor: int) -> None:
        super().__init__(message, "COMPACTED")
        self.floor = floor


class GuardFailedError(RefusedError):
    """The key of a guard has another revision than the write asked for.

    `mod_revision` is what it had when the write was applied, 0 for no such key.
    """

    def __init__(self, key: bytes, wanted: int, mod_revision: int) -> None:
        what = f"has revision {mod_revision}" if mod_revision else "does not exist"
        super().__init__(
            f"the guard does not hold, so nothing was changed: {repr(key)[1:]} {what}, and the "
            f"write asked for revision {wanted}",
            "GUARD",
        )
        self.key = key
        self.mod_revision = mod_revision


class TransactionFailedError(RefusedError):
    """Something that a transaction requires does not hold, so nothing was changed.

    * `failed`: which comparisons of numbers, and what was there; none if it was another one.
    * `revision`: of the data that were looked at.
    """

    def __init__(self, failed: Sequence[str], revision: int) -> None:
        told = "; ".join(failed) or "a comparison of values, or of a range"
        super().__init__(
            f"a condition of the transaction does not hold, so nothing was changed: {told}",
            "COMPARE",
        )
        self.failed = tuple(failed)
        self.revision = revision


class OutcomeUnknownError(RequestError):
    """The request may or may not have taken effect, now or later."""

    code = "UNKNOWN"


class UnreachableError(RequestError):
    """No node could be reached, or answered, and nothing was changed."""

    code = "UNREACHABLE"
    retryable = True
