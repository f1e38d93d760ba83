"""A snapshot made of a reading, for a file or a connection, slice by slice.

Law: pure. No slice takes longer, or more memory, because there is more data.

It must not know who wants a snapshot, nor when the next slice is due.
"""

from __future__ import annotations

from kvstore.raft.configuration import Configuration
from kvstore.storage.reading import Reading
from kvstore.storage.snapshot_format import BLOCK_BYTES, Header, SnapshotEncoder


class SnapshotStream:
    """The bytes of a snapshot, made of a reading as they are asked for.

    * `done`: how many of its records are in what was given so far, of `total`.
    * The reading is closed when its last record was taken.
    """

    def __init__(
        self, reading: Reading, cluster_id: str, term: int, configuration: Configuration
    ) -> None:
        """`term`: of the entry up to which the reading's state is applied."""
        header = Header(cluster_id, term, reading.applied, configuration, reading.counts)
        self.header = header
        self.done = 0
        self.total = header.total
        self.is_over = False
        self._reading = reading
        self._encoder = SnapshotEncoder(header)
        self._rest = bytearray(self._encoder.begin())

    def read(self, bytes_max: int) -> bytes:
        """The next bytes, `bytes_max` of them while there are as many; b"" when there are none."""
        while len(self._rest) < bytes_max and not self.is_over:
            pairs = self._reading.read(BLOCK_BYTES)
            if pairs:
                self.done += len(pairs)
                self._rest += self._encoder.block(pairs)
            else:
                self._rest += self._encoder.end()
                self.is_over = True
                self._reading.close()
        taken = bytes(self._rest[:bytes_max])
        del self._rest[:bytes_max]
        return taken

    @property
    def is_at_end(self) -> bool:
        """Whether all of it was given."""
        return self.is_over and not self._rest

    @property
    def is_sound(self) -> bool:
        """Whether it can go on: the end of a store closes its readings."""
        return self.is_over or self._reading.is_open

    @property
    def pinned_bytes(self) -> int:
        """How far the state's file has grown for its sake."""
        return self._reading.pinned_bytes

    def close(self) -> None:
        """It is wanted no longer."""
        self._reading.close()
