"""A key space with its history, and beside it a list of all versions that there ever were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from kvstore.kv.history import History
from kvstore.kv.record import pack_head, unpack_head
from kvstore.kv.view import Past
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState

IDENTITY = Identity(format_version=1, cluster_id="test", node_id=1, incarnation="0" * 32)

KEYS = (b"", b"a", b"a\0", b"aa" * 13, b"b", b"b" * 480, b"c\xff")
BOUNDS = (None, *KEYS, b"b" * 481, b"d")

writes = st.tuples(st.sampled_from(KEYS), st.none() | st.binary(max_size=3))
"""A key and its new value; None: it is deleted."""
entries = st.lists(st.lists(writes, max_size=4), max_size=60)
"""What is written under one revision each: the last write of a key wins, as of several that are
carried out one after another."""


@dataclass
class Pasts:
    """`versions`: of each key, all records that it ever had, by the revision that made them."""

    keep_bytes: int = 1 << 30
    revision: int = 1
    state: MemoryState = field(default_factory=lambda: MemoryState(IDENTITY))
    versions: dict[bytes, dict[int, bytes | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.history = History(self.state, Past(keep_bytes=self.keep_bytes))

    def write(self, writes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Carry these out under one revision, if they change anything."""
        before = {key: self.state.get(key) for key, _ in writes}
        after = dict(before)
        begun = set[bytes]()
        for key, value in writes:
            if value is None or after[key] is None:
                begun.add(key)  # whatever there is in the end, it is another one
            after[key] = None if value is None else value
        changed = [key for key in after if after[key] is not None or before[key] is not None]
        if not changed:
            return
        self.revision += 1
        for sub, key in enumerate(changed):
            old = None if key in begun else before[key]
            self._change(sub, key, before[key], old, after[key])
        self.history.check_state(self.revision)

    def _change(
        self, sub: int, key: bytes, before: bytes | None, old: bytes | None, value: bytes | None
    ) -> None:
        if value is None:
            self.history.note(self.revision, sub, key, before, 0)
            self.state.delete(key)
            self._keep(key, None)
            return
        create, _, version, _, _ = unpack_head(old) if old else (self.revision, 0, 0, 0, 0)
        record = pack_head(create, self.revision, version + 1, 0, sub) + value
        self.history.note(self.revision, sub, key, before, version + 1)
        self.state.put(key, record)
        self._keep(key, record)

    def _keep(self, key: bytes, record: bytes | None) -> None:
        self.versions.setdefault(key, {})[self.revision] = record

    # --- What is right --------------------------------------------------------------------

    def record_at(self, key: bytes, revision: int) -> bytes | None:
        """By the list of versions."""
        upto = [at for at in self.versions.get(key, {}) if at <= revision]
        return self.versions[key][max(upto)] if upto else None

    def range_at(self, start: bytes, end: bytes | None, revision: int) -> dict[bytes, bytes]:
        """By the list of versions."""
        found = {
            key: self.record_at(key, revision)
            for key in sorted(self.versions)
            if start <= key and (end is None or key < end)
        }
        return {key: record for key, record in found.items() if record is not None}

    def changes(self, start: int) -> list[tuple[int, bytes, bytes | None, bytes | None]]:
        """From that revision on: revision, key, what it became, what it was."""
        made = [
            (revision, key, record, self.record_at(key, revision - 1))
            for key, those in self.versions.items()
            for revision, record in those.items()
            if revision >= start
        ]
        return sorted(made, key=lambda one: one[:2])
