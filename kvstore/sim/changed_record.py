"""Records that are not what they were: by a bit that a disk gives back wrong, or before a checksum.

Law: a flipped bit shows in the checksum of its record. What changed before that was made has the
right one, and on no two nodes the same.
"""

from __future__ import annotations

import random
from typing import Final

from kvstore.storage import records
from kvstore.storage.reading import Reading
from kvstore.storage.tables import KEYS

_ALL_BYTES: Final = 1 << 40


def flipped(record: bytes, rng: random.Random) -> bytes:
    """With another bit, anywhere."""
    damaged = bytearray(record)
    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def with_changed_record(reading: Reading, node_id: int, readings: set[Reading]) -> Reading:
    """A reading in the place of `reading`, one of those that are open: another first key.

    It must have one.
    """
    pairs = reading.read(_ALL_BYTES)
    reading.close()
    place = next(at for at, (stored, _) in enumerate(pairs) if stored.startswith(KEYS.prefix))
    stored, value = pairs[place]
    record = records.decode_value(stored, value) + b"of node %d" % node_id
    pairs[place] = (stored, records.encode_value(stored, record))
    changed = Reading(
        reading.applied,
        reading.counts,
        iter(pairs),
        on_close=readings.discard,
        pinned=lambda: 0,
    )
    readings.add(changed)
    return changed
