"""The file from which a leader gives snapshots: when it is written, slice by slice, and goes.

Law: no turn gets longer with the size of the data, and a reading of the state is open only while
the file is being written, however slowly it is fetched. What might not fit is not begun, and
nothing rests on the file: who cannot make it, or read it, goes on to lead, and tries again later.

It must not know who fetches it, nor what is in it.
"""

from __future__ import annotations

import random
from itertools import count
from typing import Final

from kvstore.errors import DamagedError, DiskWriteError, StorageUnavailableError
from kvstore.quantities import size_words
from kvstore.raft.configuration import Configuration
from kvstore.raft.core import Raft
from kvstore.raft.events import Event
from kvstore.raft.snapshot_events import CannotWriteSnapshot, SnapshotWritten, WritingSnapshot
from kvstore.raft.types import SnapshotName
from kvstore.server.pinning import RESERVE, Pinning
from kvstore.server.setback import Setback
from kvstore.storage.base import StateStore
from kvstore.storage.snapshot_stream import SnapshotStream
from kvstore.storage.successor import Spool

_PART_BYTES: Final = 16 << 10
_SLICE_PARTS: Final = 16
_SLICE_RECORDS: Final = 4_096
_UNUSED_MS: Final = 60_000.0
"""So long a file stays that nobody fetches: who needs one may be back soon."""
_TOO_OLD: Final = (
    "the last one was too old before it was fetched, as what is held of the log for others has a "
    "bound: raise --log-kept-bytes, or write less"
)
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

    def next_slice(self) -> bytes:
        """What a turn writes: so many bytes, or records, as small ones are work too."""
        stream, parts = self.stream, list[bytes]()
        records = stream.done + _SLICE_RECORDS
        while len(parts) < _SLICE_PARTS and stream.done < records and not stream.is_at_end:
            parts.append(stream.read(_PART_BYTES))
        return b"".join(parts)


class SnapshotFile:
    """A `SnapshotSource`: a file that is whole.

    * `failure`: why it cannot be read any more; "" as long as it can.
    """

    def __init__(self, name: SnapshotName, spool: Spool) -> None:
        self.name = name
        self.failure = ""
        self._spool = spool

    def read(self, offset: int, bytes_max: int) -> bytes:
        """What the file holds from `offset` on; b"" if the disk does not give it back."""
        try:
            return self._spool.read(offset, bytes_max)
        except DamagedError as error:
            self.failure = str(error)
            return b""

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
        pinning: Pinning,
        rng: random.Random,
    ) -> None:
        """Of the disk more is left to others than `headroom_bytes`, before which clients stop."""
        self._raft = raft
        self._state_store = state_store
        self._cluster_id = cluster_id
        self._reserve_bytes = RESERVE * headroom_bytes
        self._pinning = pinning
        self._ids = count(rng.getrandbits(_ID_BITS) + 1)
        self._writing: _Writing | None = None
        self._file: SnapshotFile | None = None
        self._used_ms = 0.0
        self._setback = Setback()

    @property
    def is_busy(self) -> bool:
        """Whether the next turn has something to write."""
        return self._writing is not None

    @property
    def waits_for(self) -> str:
        """Why none is written for now for who needs one, and what to do; "" if none waits."""
        return "" if self._writing or self._file else self._setback.reason

    def tick(self, now_ms: float) -> list[Event]:
        """Begin, go on, or give up; what to say of it."""
        raft, sending = self._raft, self._raft.sending
        leads = raft.leadership is not None and not raft.log.lacks_base
        if leads and sending.receivers:
            self._used_ms = now_ms
        else:
            self._setback.clear()
        said = [] if self._file is None else self._look_at(self._file, now_ms)
        if self._writing is not None:
            is_needed = leads and bool(sending.receivers)
            said += self._go_on(self._writing, now_ms) if is_needed else self._give_up()
        elif leads and sending.wanted_index is not None and self._setback.is_over(now_ms):
            said += self._begin(sending.wanted_index, now_ms)
        return said

    def _look_at(self, file: SnapshotFile, now_ms: float) -> list[Event]:
        """Whether the file is still good for something; what to say of it."""
        is_unused = now_ms > self._used_ms + _UNUSED_MS
        fault = self._fault_of(file)
        if is_unused or fault:
            self._drop_file()
        return self._put_off(fault, now_ms) if fault and self._raft.sending.receivers else []

    def _fault_of(self, file: SnapshotFile) -> str:
        """Why nobody can do with it; "" if it is good."""
        if self._raft.sending.source is not file:
            return "a node found the last one damaged"
        return file.failure or (_TOO_OLD if self._is_too_old(file.name.index) else "")

    def _is_too_old(self, index: int) -> bool:
        """Whether who installs a snapshot of then would lack what the log has no more."""
        return index < self._raft.log.start.index

    def _begin(self, wanted_index: int, now_ms: float) -> list[Event]:
        """As of the last checkpoint, if that is far enough; the next one is soon."""
        store, raft = self._state_store, self._raft
        if store.applied().last_applied < wanted_index:
            return []
        needed_bytes = store.data_bytes() + self._reserve_bytes
        if (left_bytes := store.free_bytes()) < needed_bytes:
            return self._put_off(_lack(needed_bytes, left_bytes), now_ms)
        index = store.applied().last_applied
        term, configuration = raft.log.term(index), raft.log.configurations.as_of(index)
        if not configuration.members:
            return []  # It joined later than that.
        self._drop_file()
        try:
            self._writing = self._open(term, configuration, now_ms)
        except StorageUnavailableError as error:
            return self._put_off(str(error), now_ms)
        raft.sending.writing_index = index
        return [WritingSnapshot(raft.current_term, index)]

    def _open(self, term: int, configuration: Configuration, now_ms: float) -> _Writing:
        spool = self._state_store.new_spool()
        try:
            reading = self._state_store.reading()
        except BaseException:
            spool.close()
            raise
        stream = SnapshotStream(reading, self._cluster_id, term, configuration)
        return _Writing(stream, spool, now_ms)

    def _go_on(self, writing: _Writing, now_ms: float) -> list[Event]:
        if not writing.stream.is_sound:
            return self._give_up()
        if reason := self._reason_to_give_up(writing):
            self._give_up()
            return self._put_off(reason, now_ms)
        data = writing.next_slice()
        try:
            writing.spool.write(data)
        except DiskWriteError as error:
            self._give_up()
            return self._put_off(f"{error}; make room on the disk, or look at it", now_ms)
        writing.size_bytes += len(data)
        return self._finish(writing, now_ms) if writing.stream.is_at_end else []

    def _reason_to_give_up(self, writing: _Writing) -> str:
        """What it would take, or has taken, that others need more; "" if it may go on."""
        if self._is_too_old(writing.index):
            return _TOO_OLD
        if fault := self._pinning.fault_of(writing.stream.pinned_bytes):
            return f"{fault}; make room on the disk, or write less"
        left_bytes = self._state_store.free_bytes() - _SLICE_PARTS * _PART_BYTES
        return _lack(self._reserve_bytes, left_bytes) if left_bytes < self._reserve_bytes else ""

    def _finish(self, writing: _Writing, now_ms: float) -> list[Event]:
        header, raft = writing.stream.header, self._raft
        name = SnapshotName(next(self._ids), header.index, header.term, writing.size_bytes)
        self._file = raft.sending.source = SnapshotFile(name, writing.spool)
        self._writing = raft.sending.writing_index = None
        seconds = (now_ms - writing.began_ms) / 1_000
        return [SnapshotWritten(raft.current_term, name.index, name.size_bytes, seconds)]

    def _put_off(self, reason: str, now_ms: float) -> list[Event]:
        is_news = self._setback.add(reason, now_ms)
        return [CannotWriteSnapshot(self._raft.current_term, reason)] if is_news else []

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


def _lack(needed_bytes: int, left_bytes: int) -> str:
    return (
        f"it may take {size_words(needed_bytes)}, and {size_words(max(0, left_bytes))} are "
        "left; make room on the disk"
    )
