"""A snapshot read from a file, slice by slice, and checked on the way.

Law: no slice takes longer, or more memory, because there is more data; and nobody learns that a
snapshot is whole before all of it was seen.

It must not know what becomes of the records. One is written to a `WholeFile`, from a
`SnapshotStream`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from kvstore.errors import DamagedSnapshotError, SnapshotRefusedError
from kvstore.storage import failures
from kvstore.storage.reading import Pair
from kvstore.storage.snapshot_format import Header, SnapshotDecoder

_READ_BYTES: Final = 256 << 10


class SnapshotReader:
    """A snapshot file, checked as it is read.

    * `header` is known from the beginning. Only who read all slices knows that the file is whole.
    * Errors name the file. Raises `DamagedSnapshotError` for one that is cut short or damaged, and
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
        except (DamagedSnapshotError, SnapshotRefusedError) as error:
            raise type(error)(f"{self._name}: {error}") from None
        return bool(data)

    def _finish(self) -> None:
        try:
            self._decoder.finish()
        except DamagedSnapshotError as error:
            raise DamagedSnapshotError(f"{self._name}: {error}") from None
