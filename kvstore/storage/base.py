"""What the rest of the house may ask of storage: three interfaces, and no medium.

Law: `LogStore.write` returns only when the update is durable and atomic;
`StateStore` is a materialised view of the log and may lag behind it, but what it
commits, it commits together with `last_applied`. Any failure raises
`kvstore.errors.StorageError`, and after a failed write nothing may be believed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from kvstore.kv.view import NO_FOOTPRINT, Applied, Footprint, Table, View
from kvstore.raft.types import DurableUpdate, Entry, Recovered
from kvstore.storage.reading import Reading
from kvstore.storage.sizes import Sizes
from kvstore.storage.successor import Spool, Successor


class Identity(msgspec.Struct, frozen=True):
    """Whose directory this is. Written once, when the directory is created.

    * `incarnation`: 16 random bytes in hex; a wiped and remade directory has another one.
    * `is_founder`: made with the cluster; else it joined, and has to be admitted before it votes.
    """

    format_version: int
    cluster_id: str
    node_id: int
    incarnation: str
    is_founder: bool = True

    @property
    def directory(self) -> str:
        """By which name configurations know it: none for the first one of a founder."""
        return "" if self.is_founder else self.incarnation


class LogStore(Protocol):
    """Identity, hard state and log. Satisfies `kvstore.raft.types.StableLog` too."""

    identity: Identity

    def recover(self) -> Recovered:
        """Read and check everything. What cannot be read of the log is named `damaged`.

        Raises `DamagedError` where that is not enough, as the rest cannot be relied on.
        """
        ...

    def entries(self, start: int, stop: int, bytes_max: int) -> list[Entry]:
        """Entries of [start, stop), cut after `bytes_max` of data but never empty.

        Raises `DamagedError` if one of them cannot be read.
        """
        ...

    def write(self, update: DurableUpdate) -> None:
        """Make the update durable, whole or not at all."""
        ...

    @property
    def sizes(self) -> Sizes:
        """What its records take; known as soon as it is open, and changed by `write`."""
        ...

    def room_bytes(self, beside_bytes: int = 0) -> int:
        """What can still be written of short entries, by the disk and the medium's own limits.

        `beside_bytes`: what others are going to take of the disk.
        """
        ...

    def growth_bytes(self, beside_bytes: int = 0) -> int:
        """What of that is for long entries too: they may find no place in what is free inside."""
        ...

    @property
    def truncation_bytes(self) -> int:
        """What of that is for votes and truncations, and for nothing else."""
        ...

    def entry_bytes(self, data_bytes: int) -> int:
        """What an entry that is appended takes of the room, at most; always the same."""
        ...

    def repair_bytes(self, data_bytes: int) -> int:
        """What an entry in the place of a damaged one takes of the room, at most."""
        ...

    def close(self) -> None: ...


class Acquaintance(msgspec.Struct, frozen=True):
    """What a node remembers of a peer's directory.

    * `start`: by which its latest start made itself known.
    * `admitted_at`: index of the entry that admitted it; 0 for a node's first directory.
    * `incarnation`: which making of a directory it is.
    """

    start: bytes
    admitted_at: int
    incarnation: str


class Lineage(Protocol):
    """By what a node's directories are told apart, its own and those of its peers.

    * `starts`: 8 random bytes for each start of a server on this directory, latest last.
    * `known`: per peer, what was last seen of its directory.
    """

    starts: bytes
    known: dict[int, Acquaintance]

    def remember(
        self, node_id: int, acquaintance: Acquaintance, forget: Iterable[int] = ()
    ) -> None:
        """Make durable what is known of a peer's directory, and nothing of those to forget."""
        ...


class Divergence(msgspec.Struct, frozen=True):
    """A state as of `index` is not the one that a majority has, whose digest is `digest`."""

    index: int
    digest: bytes


class StateStore(View, Protocol):
    """A view that can be made durable.

    * `divergence`: what is known against this state, durably; None as long as it is trusted.
    """

    divergence: Divergence | None

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables, in the order of `TABLES` (`tables.py`)."""
        ...

    def applied(self) -> Applied:
        """What the last `commit` said; zeros for a new directory."""
        ...

    def commit(self, applied: Applied) -> None:
        """Make every change so far durable, together with `applied`."""
        ...

    def record_divergence(self, divergence: Divergence) -> None:
        """Make durable that this state is not to be trusted; only `change_over` ends that.

        Changes since the last commit are forgotten.
        """
        ...

    def reading(self) -> Reading:
        """All that the last `commit` made durable, whatever comes later. To be closed, and soon.

        The end of the store closes it. Raises `StorageError`.
        """
        ...

    def new_spool(self) -> Spool:
        """A file for a snapshot. Raises `StorageUnavailableError`."""
        ...

    def begin_successor(self) -> Successor:
        """Build a state to take this one's place; another one must not be under way.

        Raises `DiskWriteError`, `StorageUnavailableError`: this one is as it was.
        """
        ...

    def change_over(self, successor: Successor) -> None:
        """From now on this is `successor`, which is finished; what was here is gone.

        One that differs is kept aside, for who looks for the reason. Readings end. Raises
        `DiskWriteError`.
        """
        ...

    def tidy(self) -> bool:
        """Free some of a state whose place was taken, or that was abandoned; whether more is left.

        Before all of it is gone no other one is begun. Raises `DiskWriteError`.
        """
        ...

    def data_bytes(self) -> int:
        """About how much there is, as of the last commit."""
        ...

    def free_bytes(self) -> int:
        """What the disk has left, whatever this store can hold."""
        ...

    @property
    def capacity_bytes(self) -> int:
        """What this store can hold at most, however much the disk has left."""
        ...

    def room_bytes(self, footprint: Footprint = NO_FOOTPRINT) -> int:
        """What is left once what was changed so far, and what has this footprint, is durable.

        Below zero, a commit might not be possible. What has the footprint is of short entries.
        """
        ...

    def growth_bytes(self, footprint: Footprint = NO_FOOTPRINT) -> int:
        """The same where some of it is of long entries."""
        ...

    def can_hold(self, footprint: Footprint) -> bool:
        """Whether what has it can be done, and kept in memory until a commit has room."""
        ...

    def owed_bytes(self) -> int:
        """What a commit of the changes so far takes of the disk, at most."""
        ...

    def close(self) -> None:
        """Forget uncommitted changes."""
        ...
