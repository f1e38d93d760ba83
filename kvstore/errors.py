"""Every exception that kvstore raises, in one tree.

Law: a message says what is wrong and what to do about it. A refusal that is
known to have changed nothing and an outcome that nobody knows are different
classes, and no code may turn the second into the first.
"""

from __future__ import annotations


class KvstoreError(Exception):
    """Root of the tree: catching it catches everything that kvstore raises on purpose."""


class ConfigError(KvstoreError):
    """A setting is missing, malformed, out of range or contradicts another one."""


class StorageError(KvstoreError):
    """The data directory cannot be used."""


class DirectoryRefusedError(StorageError):
    """The directory is sound, but not ours: another node, cluster, format or process owns it."""


class DamagedError(StorageError):
    """The directory holds bytes that fail their checks: truncated, flipped or missing."""


class DamagedStateError(DamagedError):
    """The damage is in the applied data, which can be built anew from the log."""


class DiskWriteError(StorageError):
    """A write or an fsync failed. What is on the disk is unknown: the process must end."""


class ProtocolError(KvstoreError):
    """The other side sent bytes that break the protocol; the connection cannot go on."""


class RequestError(KvstoreError):
    """Root of what a client is told about one request."""


class RefusedError(RequestError):
    """The request was refused and has definitely changed nothing."""


class NotLeaderError(RefusedError):
    """The node does not lead; `leader` is the `host:port` that does, if it is known."""

    def __init__(self, message: str, leader: str | None) -> None:
        super().__init__(message)
        self.leader = leader


class GuardFailedError(RefusedError):
    """The key of a guard has another revision than the write asked for.

    `mod_revision` is what it had when the write was applied, 0 for no such key.
    """

    def __init__(self, key: bytes, wanted: int, mod_revision: int) -> None:
        what = f"has revision {mod_revision}" if mod_revision else "does not exist"
        super().__init__(
            f"the guard does not hold, so nothing was changed: {repr(key)[1:]} {what}, and the "
            f"write asked for revision {wanted}"
        )
        self.key = key
        self.mod_revision = mod_revision


class OutcomeUnknownError(RequestError):
    """The request may or may not have taken effect, now or later."""


class UnreachableError(RequestError):
    """No node could be reached, so the request was never sent."""
