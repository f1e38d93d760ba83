"""The file from which a leader gives snapshots: when it is written, slice by slice, and goes.

Law: no turn gets longer with the size of the data, and a reading of the state is open only while
the file is being written, however slowly it is fetched. What might not fit is not begun.

It must not know who fetches it, nor what is in it.
"""

from __future__ import annotations

import random
from itertools import count
from typing import Final

from kvstore.errors import DiskWriteError
from kvstore.raft.core import Raft
from kvstore.raft.events import Event
from kvstore.raft.snapshot_events import NoRoomForSnapshot, SnapshotWritten, WritingSnapshot
from kvstore.raft.types import SnapshotName
from kvstore.storage.base import StateStore
from kvstore.storage.snapshot_stream import SnapshotStream
from kvstore.storage.successor import Spool

_SLICE_BYTES: Final = 256 << 10
_UNUSED_MS: Final = 60_000.0
"""So long a file stays that nobody fetches: who needs one may be back soon."""
_RETRY_MS: Final = 1_000.0
"""After so long it is looked again whether there is room."""
_RETRY_MAX_MS: Final = 32_000.0
"""No longer than this it is waited before what came to nothing is tried again."""
_ID_BITS: Final = 62
"""The first name is drawn by chance, so that it means nothing in another life of a node."""


class _Writing:
    """A file that is being written."""

    def __init__(self, stream: SnapshotStream, spool: Spool, now_ms: float) -> None:
        self.stream = stream
        self.spool = spool
        self.began_ms = now_ms
        self.size_bytes = 0

    @property
    def index(self) -> int:
        """Of the last entry that is in it."""
        return self.stream.header.index


class SnapshotFile:
    """A `SnapshotSource`: a file that is whole."""

    def __init__(self, name: SnapshotName, spool: Spool) -> None:
        self.name = name
        self._spool = spool

    def read(self, offset: int, bytes_max: int) -> bytes:
        """What the file holds from `offset` on."""
        return self._spool.read(offset, bytes_max)

    def close(self) -> None:
        """It is not wanted any more."""
        self._spool.close()


class Spooling:
    """That of one node: nothing, a file that is being written, or one that is there."""

    def __init__(
        self,
        raft: Raft,
        state_store: StateStore,
        cluster_id: str,
        headroom_bytes: int,
        rng: random.Random,
    ) -> None:
        """`headroom_bytes` of the disk are left to others."""
        self._raft = raft
        self._state_store = state_store
        self._cluster_id = cluster_id
        self._headroom_bytes = headroom_bytes
        self._ids = count(rng.getrandbits(_ID_BITS) + 1)
        self._writing: _Writing | None = None
        self._file: SnapshotFile | None = None
        self._used_ms = self._looks_ms = 0.0
        self._retry_ms = _RETRY_MS
        """How long it will be waited after the next one that comes to nothing."""
        self._lacks_room = False
        """It was said that there is none, and there was none since."""

    @property
    def is_busy(self) -> bool:
        """Whether the next turn has something to write."""
        return self._writing is not None

    def tick(self, now_ms: float) -> list[Event]:
        """Begin, go on, or give up; what to say of it."""
        sending, leads = self._raft.sending, self._raft.leadership is not None
        if leads and sending.receivers:
            self._used_ms = now_ms
        else:
            self._retry_ms = _RETRY_MS
        if self._file is not None and self._is_useless(self._file, now_ms):
            if self._is_too_old(self._file.name.index) and sending.receivers:
                self._put_off(now_ms)
            self._drop_file()
        if self._writing is not None:
            return self._go_on(self._writing, now_ms) if leads else self._give_up()
        if leads and sending.wanted_index is not None and now_ms >= self._looks_ms:
            return self._begin(sending.wanted_index, now_ms)
        return []

    def _is_useless(self, file: SnapshotFile, now_ms: float) -> bool:
        """Nobody wants it, or the log does not go on where it ends."""
        is_unused = now_ms > self._used_ms + _UNUSED_MS
        is_wanted = self._raft.sending.source is file
        return is_unused or not is_wanted or self._is_too_old(file.name.index)

    def _is_too_old(self, index: int) -> bool:
        """Whether who installs a snapshot of then would lack what the log has no more."""
        return index < self._raft.log.start.index

    def _put_off(self, now_ms: float) -> None:
        """One came to nothing: the next one begins later, each time twice as much."""
        self._looks_ms = now_ms + self._retry_ms
        self._retry_ms = min(2 * self._retry_ms, _RETRY_MAX_MS)

    def _begin(self, wanted_index: int, now_ms: float) -> list[Event]:
        """As of the last checkpoint, if that is far enough; the next one is soon."""
        store, raft = self._state_store, self._raft
        if store.applied().last_applied < wanted_index:
            return []
        needed_bytes = store.data_bytes() + self._headroom_bytes
        if (left_bytes := store.free_bytes()) < needed_bytes:
            return self._wait_for_room(needed_bytes, left_bytes, now_ms)
        index = store.applied().last_applied
        term, configuration = raft.log.term(index), raft.log.configurations.as_of(index)
        if not configuration.members:
            return []  # It joined later than that.
        self._drop_file()
        reading = store.reading()
        stream = SnapshotStream(reading, self._cluster_id, term, configuration)
        self._writing = _Writing(stream, store.new_spool(), now_ms)
        raft.sending.writing_index = index
        return [WritingSnapshot(raft.current_term, index)]

    def _go_on(self, writing: _Writing, now_ms: float) -> list[Event]:
        if not writing.stream.is_sound:
            return self._give_up()
        if self._is_too_old(writing.index):
            self._put_off(now_ms)
            return self._give_up()
        data = writing.stream.read(_SLICE_BYTES)
        try:
            writing.spool.write(data)
        except DiskWriteError:
            self._give_up()
            store = self._state_store
            return self._wait_for_room(store.data_bytes(), store.free_bytes(), now_ms)
        writing.size_bytes += len(data)
        return self._finish(writing, now_ms) if writing.stream.is_at_end else []

    def _finish(self, writing: _Writing, now_ms: float) -> list[Event]:
        header, raft = writing.stream.header, self._raft
        name = SnapshotName(next(self._ids), header.index, header.term, writing.size_bytes)
        self._file = raft.sending.source = SnapshotFile(name, writing.spool)
        self._writing = raft.sending.writing_index = None
        self._lacks_room = False
        seconds = (now_ms - writing.began_ms) / 1_000
        return [SnapshotWritten(raft.current_term, name.index, name.size_bytes, seconds)]

    def _wait_for_room(self, needed_bytes: int, left_bytes: int, now_ms: float) -> list[Event]:
        self._looks_ms = now_ms + _RETRY_MS
        was_said, self._lacks_room = self._lacks_room, True
        term = self._raft.current_term
        return [] if was_said else [NoRoomForSnapshot(term, needed_bytes, left_bytes)]

    def _give_up(self) -> list[Event]:
        assert self._writing is not None
        self._writing.stream.close()
        self._writing.spool.close()
        self._writing = self._raft.sending.writing_index = None
        return []

    def _drop_file(self) -> None:
        if self._file is not None:
            self._file.close()
            if self._raft.sending.source is self._file:
                self._raft.sending.source = None
            self._file = None
