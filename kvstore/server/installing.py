"""How a snapshot that comes piece by piece becomes this node's data.

Law: what comes is written beside the data in use, some of it a turn, and checked to its last byte.
Then the log is made to begin where it ends, in one durable step; only then it takes the place of
the data before. Whoever ends anywhere in between has the one or the other. Until that step nothing
rests on what was written: what the disk or a map has no room for waits, and the node goes on.

It must not know who sends it, nor how a medium puts one state in the place of another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from kvstore.errors import (
    DamagedError,
    DiskWriteError,
    MapFullError,
    SnapshotRefusedError,
    StorageUnavailableError,
)
from kvstore.kv.machine import StateMachine
from kvstore.quantities import size_words
from kvstore.raft.core import Raft
from kvstore.raft.types import SnapshotName
from kvstore.server.cluster_version import ClusterVersion
from kvstore.server.room import Room
from kvstore.server.setback import Setback
from kvstore.server.ticket import Answer
from kvstore.server.waiting.writes import WaitingWrites
from kvstore.storage.base import StateStore
from kvstore.storage.snapshot_format import Header, SnapshotDecoder
from kvstore.storage.successor import Successor

_SLICE_BYTES: Final = 16 << 10
_TURN_BYTES: Final = 1 << 20
_TURN_RECORDS: Final = 2_048
"""A turn ends with the slice in which it has taken so much: records are work, however small."""
_GROWTH: Final = 2
"""A state takes no more than so many times its snapshot."""


class _Incoming:
    """One that is coming."""

    def __init__(self, name: SnapshotName, successor: Successor) -> None:
        self.name = name
        self.successor = successor
        self.decoder = SnapshotDecoder()
        self.rest = b""
        """Of the last piece, what was not taken yet."""
        self.is_named_by_log = False
        """The log begins where it ends, or is about to."""


class Installing:
    """That of one node.

    * Nothing is applied from the moment at which the log is told, until the data is in place.
    """

    def __init__(
        self,
        raft: Raft,
        state_store: StateStore,
        machine: StateMachine,
        cluster_version: ClusterVersion,
        room: Room,
        writes: WaitingWrites,
        cluster_id: str,
        headroom_bytes: int,
        on_installed: Iterable[Callable[[], None]],
    ) -> None:
        """`headroom_bytes` of the disk are left to others; `on_installed`: the data are others."""
        self._on_installed = tuple(on_installed)
        self._raft = raft
        self._receiving = raft.receiving
        self._state_store = state_store
        self._machine = machine
        self._cluster_version = cluster_version
        self._room = room
        self._writes = writes
        self._cluster_id = cluster_id
        self._headroom_bytes = headroom_bytes
        self._incoming: _Incoming | None = None
        self._too_large_bytes = math.inf
        """A snapshot of that size did not fit into the map, however much room the disk has."""
        self._setback = Setback()
        self._has_leftover = False
        """Of a state that is not wanted any more; it goes before another one is begun."""

    @property
    def is_busy(self) -> bool:
        """Whether the next turn has something to take, or to put in place."""
        if self._has_leftover:
            return True
        incoming = self._incoming
        can_take = self._receiving.has_piece and self._receiving.has_room
        return can_take or (
            incoming is not None and bool(incoming.rest or self._receiving.is_whole)
        )

    @property
    def waits_for(self) -> str:
        """Why none is taken for now that is offered, and what to do; "" if none waits."""
        return "" if self._receiving.has_room else self._setback.reason

    def wake(self, now_ms: float) -> list[Answer]:
        """A turn begins: go on as far as may be; what comes of it for who waits.

        Raises `StorageError` if the disk fails once the log is told, and `DirectoryRefusedError`
        for what this program is too old for.
        """
        if self._has_leftover:
            self._tidy()
        try:
            return self._go_on(now_ms)
        except (DiskWriteError, StorageUnavailableError) as error:
            if self._is_named_by_log:
                raise
            if isinstance(error, MapFullError) and self._receiving.name is not None:
                self._too_large_bytes = self._receiving.name.size_bytes
            self._put_off(str(error), now_ms)
            return []

    @property
    def _is_named_by_log(self) -> bool:
        return self._incoming is not None and self._incoming.is_named_by_log

    def _go_on(self, now_ms: float) -> list[Answer]:
        incoming = self._follow(now_ms)
        if incoming is None:
            return []
        if incoming.is_named_by_log:
            is_durable = self._raft.log.durable_start.index >= incoming.name.index
            return self._change_over(incoming) if is_durable else []
        try:
            self._take(incoming)
            is_taken = self._receiving.is_whole and not incoming.rest
            if is_taken and not self._raft.log.has_new:
                self._finish(incoming)
        except (DamagedError, SnapshotRefusedError):
            self._receiving.refuse()
            self._abandon(incoming)
        return []

    def _follow(self, now_ms: float) -> _Incoming | None:
        """What is coming now; another one than before begins with nothing."""
        self._receiving.tick()
        name, incoming = self._receiving.name, self._incoming
        if incoming is not None and incoming.name != name:
            self._abandon(incoming)
        if name is None:
            self._setback.clear()
        elif (
            not self._is_named_by_log
            and self._has_room(name, now_ms)
            and self._incoming is None
            and not self._has_leftover
            and self._receiving.has_piece
        ):
            self._incoming = _Incoming(name, self._state_store.begin_successor())
        return self._incoming

    def _has_room(self, name: SnapshotName, now_ms: float) -> bool:
        """Whether to go on. The disk may fill up until it is whole."""
        receiving = self._receiving
        receiving.has_room = receiving.is_whole or self._setback.is_over(now_ms)
        if receiving.has_room and not receiving.is_whole and (lack := self._lack(name)):
            self._put_off(lack, now_ms)
        return receiving.has_room

    def _lack(self, name: SnapshotName) -> str:
        """What there is too little of for it, and what to do; "" if there is enough."""
        store, size_bytes = self._state_store, name.size_bytes
        if size_bytes >= self._too_large_bytes or size_bytes > store.capacity_bytes:
            return (
                f"its {size_words(size_bytes)} do not fit into this node's map of "
                f"{size_words(store.capacity_bytes)}; start again with a larger --state-map-bytes"
            )
        left_bytes = size_bytes - self._receiving.taken_bytes
        needed_bytes = _GROWTH * left_bytes + self._headroom_bytes
        if (free_bytes := store.free_bytes()) < needed_bytes:
            return (
                f"what is left of it may take {size_words(needed_bytes)}, and the disk has "
                f"{size_words(free_bytes)}; make room there"
            )
        return ""

    def _put_off(self, reason: str, now_ms: float) -> None:
        """It is tried again, from the beginning on: what there is of it gives its room back."""
        is_news = self._setback.add(reason, now_ms)
        self._receiving.put_off(reason if is_news else "")
        if self._incoming is not None:
            self._abandon(self._incoming)

    def _abandon(self, incoming: _Incoming) -> None:
        self._incoming = None
        self._has_leftover = True
        with suppress(DiskWriteError):  # It goes before the next one begins, or with a start.
            incoming.successor.abandon()

    def _tidy(self) -> None:
        """What cannot be removed in steps goes before the next one begins, or with a start."""
        self._has_leftover = False
        with suppress(DiskWriteError):
            self._has_leftover = self._state_store.tidy()

    def _take(self, incoming: _Incoming) -> None:
        pairs: list[tuple[bytes, bytes]] = []
        taken_bytes = 0
        while taken_bytes < _TURN_BYTES and len(pairs) < _TURN_RECORDS:
            if not (data := self._next_slice(incoming)):
                break
            taken_bytes += len(data)
            pairs += incoming.decoder.feed(data)
        if incoming.decoder.header is not None:
            self._check(incoming.decoder.header, incoming.name)
        incoming.successor.put(pairs)

    def _next_slice(self, incoming: _Incoming) -> bytes:
        if not incoming.rest and self._receiving.has_room:
            incoming.rest = self._receiving.take_piece() or b""
        data, incoming.rest = incoming.rest[:_SLICE_BYTES], incoming.rest[_SLICE_BYTES:]
        return data

    def _check(self, header: Header, name: SnapshotName) -> None:
        if header.cluster_id != self._cluster_id:
            raise DamagedError("the snapshot is of another cluster")
        if (header.index, header.term) != (name.index, name.term):
            raise DamagedError("the snapshot is not the one that was offered")
        self._cluster_version.check(header.applied.cluster_version)

    def _finish(self, incoming: _Incoming) -> None:
        """It is whole: have the log begin where it ends."""
        incoming.decoder.finish()
        header = incoming.decoder.header
        assert header is not None
        incoming.successor.finish(header.applied)
        incoming.is_named_by_log = True
        self._raft.install(incoming.name.start, header.configuration)

    def _change_over(self, incoming: _Incoming) -> list[Answer]:
        """From now on the node has the data of the snapshot."""
        self._state_store.change_over(incoming.successor)
        self._incoming, self._has_leftover = None, True
        applied = self._state_store.applied()
        self._machine.go_on_from(applied)
        self._cluster_version.note()
        self._room.forget_what_waits(applied.last_applied)
        self._raft.has_base()
        for tell in self._on_installed:
            tell()
        return self._writes.forget(applied.last_applied)
