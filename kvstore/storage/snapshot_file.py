"""A snapshot made of a reading, and one read from a file, slice by slice.

Law: no slice takes longer, or more memory, because there is more data; and nobody learns that a
snapshot is whole before all of it was seen.

It must not know who wants a snapshot, nor when the next slice is due. `WholeFile` is what one is
written to.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from kvstore.errors import DamagedError, SnapshotRefusedError
from kvstore.storage import failures
from kvstore.storage.reading import Pair, Reading
from kvstore.storage.snapshot_format import (
    BLOCK_BYTES,
    Header,
    SnapshotDecoder,
    SnapshotEncoder,
    Voters,
)

_READ_BYTES: Final = 256 << 10


class SnapshotStream:
    """The bytes of a snapshot, made of a reading as they are asked for.

    * `done`: how many of its records are in what was given so far, of `total`.
    * With its last byte the reading is closed.
    """

    def __init__(self, reading: Reading, cluster_id: str, term: int, configuration: Voters) -> None:
        """`term`: of the entry up to which the reading's state is applied."""
        header = Header(
            cluster_id, term, reading.applied, configuration, reading.keys, reading.sessions
        )
        self.header = header
        self.done = 0
        self.total = header.keys + header.sessions
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

    def close(self) -> None:
        """It is wanted no longer."""
        self._reading.close()


class SnapshotReader:
    """A snapshot file, checked as it is read.

    * `header` is known from the beginning. Only who read all slices knows that the file is whole.
    * Errors name the file. Raises `DamagedError` for one that is cut short or damaged, and
      `SnapshotRefusedError` for one of another version.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        """`file` is read from where it stands to its end."""
        self._file = file
        self._name = name
        self._decoder = SnapshotDecoder()
        self._pairs: list[Pair] = []
        while self._decoder.header is None:
            if not self._feed():
                self._finish()
        self.header: Header = self._decoder.header

    def slices(self) -> Iterator[list[Pair]]:
        """All records, some at a time; once. It ends where the snapshot was found to be whole."""
        while True:
            pairs, self._pairs = self._pairs, []
            if pairs:
                yield pairs
            elif not self._feed():
                self._finish()
                return

    @property
    def digest(self) -> str:
        """Of the whole, in hex, once all was read."""
        return self._decoder.finish().digest.hex()

    def _feed(self) -> bool:
        """Read on; false at the end of the file."""
        try:
            data = self._file.read(_READ_BYTES)
        except OSError as error:
            raise failures.read_failed(Path(self._name), error) from None
        try:
            self._pairs += self._decoder.feed(data)
        except (DamagedError, SnapshotRefusedError) as error:
            raise type(error)(f"{self._name}: {error}") from None
        return bool(data)

    def _finish(self) -> None:
        try:
            self._decoder.finish()
        except DamagedError as error:
            raise DamagedError(f"{self._name}: {error}") from None
