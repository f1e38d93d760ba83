"""Backups that a node gives while it serves: each is one reading of the state, piece by piece.

Law: what keeps a reading open is bounded: how many there are, how long nobody asks for more,
how long one takes for what it has given, and how far the file of the state grows for its sake.

It must not know who asks, nor how pieces travel.
"""

from __future__ import annotations

import random
from typing import Final

from crc32c import crc32c

from kvstore import api
from kvstore.api.backups import PIECE_BYTES
from kvstore.config.limits import Limits
from kvstore.raft.core import Raft
from kvstore.server import refusals
from kvstore.server.checkpoints import Checkpoints
from kvstore.server.own_divergence import OwnDivergence
from kvstore.server.pinning import Pinning
from kvstore.storage.base import StateStore
from kvstore.storage.snapshot_stream import SnapshotStream

_BYTES_PER_STEP: Final = 64
"""A record is read, checked and copied; many small ones are counted by the stream's slices."""
_BEGIN_STEPS: Final = 200
_FIRST_NUMBER_BITS: Final = 48
"""So no number means anything after the node has started again."""


class _Backup:
    """One backup under way; `last` is what was given last, in case it has to be given again."""

    def __init__(self, stream: SnapshotStream, now_ms: float) -> None:
        self.stream = stream
        self.began_ms = self.asked_ms = now_ms
        self.last: api.BackupPiece | None = None

    @property
    def offset(self) -> int:
        """How much was given."""
        return 0 if self.last is None else self.last.offset + len(self.last.data)


class Backups:
    """Those of one node. `steps`: what they cost so far, as the state machine counts."""

    def __init__(
        self,
        state_store: StateStore,
        checkpoints: Checkpoints,
        raft: Raft,
        divergence: OwnDivergence,
        cluster_id: str,
        limits: Limits,
        pinning: Pinning,
        rng: random.Random,
    ) -> None:
        self._state_store = state_store
        self._checkpoints = checkpoints
        self._raft = raft
        self._divergence = divergence
        self._cluster_id = cluster_id
        self._limits = limits
        self._pinning = pinning
        self._rng = rng
        self._now_ms = 0.0
        self._under_way: dict[int, _Backup] = {}
        self._ended: dict[int, str] = {}
        """Why, of the last ones that were ended for what they made of the file."""
        self.steps = 0

    def __len__(self) -> int:
        return len(self._under_way)

    def tick(self, now_ms: float) -> None:
        """Let time pass: end what nobody goes on with, or what takes too long."""
        self._now_ms = now_ms
        for number, backup in tuple(self._under_way.items()):
            fault = self._pinning.fault_of(backup.stream.pinned_bytes)
            if fault or self._is_overdue(backup):
                backup.stream.close()
                del self._under_way[number]
            if fault:
                self._ended[number] = fault
        while len(self._ended) > self._limits.backups_max:
            del self._ended[next(iter(self._ended))]

    def fetch(self, request: api.FetchBackup) -> api.Result:
        """The piece that is asked for; that of a new backup, if none is named."""
        if self._raft.log.lacks_base:
            return self._divergence.refusal
        if why := self._ended.get(request.backup):
            return refusals.backup_was_ended(why)
        number = request.backup or self._begin()
        if isinstance(number, api.Failure):
            return number
        backup = self._under_way.get(number)
        if backup is None or not backup.stream.is_sound:
            return refusals.no_such_backup(request.backup)
        backup.asked_ms = self._now_ms
        last = backup.last
        if last is not None and request.offset == last.offset:
            return last
        if request.offset != backup.offset or (last is not None and last.is_last):
            return refusals.not_the_next_piece(request.offset, backup.offset)
        backup.last = self._next(number, backup)
        return backup.last

    def _begin(self) -> int | api.Failure:
        if len(self) >= self._limits.backups_max and not self._forget_one_given():
            return refusals.busy_with_backups(len(self))
        # What was acknowledged by this node is in it, where there is room for that.
        self._checkpoints.make()
        reading = self._state_store.reading()
        log, index = self._raft.log, reading.applied.last_applied
        term, configuration = log.term(index), log.configurations.as_of(index)
        if not configuration.members:
            # It has joined, and nothing of the cluster's data has reached it.
            reading.close()
            return refusals.KNOWS_NO_MEMBERS
        stream = SnapshotStream(reading, self._cluster_id, term, configuration)
        number = self._rng.getrandbits(_FIRST_NUMBER_BITS) + 1
        self._under_way[number] = _Backup(stream, self._now_ms)
        self.steps += _BEGIN_STEPS
        return number

    def _forget_one_given(self) -> bool:
        """Forget the oldest of which nothing is left but to give its end again; if there is one."""
        given = [number for number, one in self._under_way.items() if one.stream.is_over]
        if given:
            del self._under_way[given[0]]
        return bool(given)

    def _next(self, number: int, backup: _Backup) -> api.BackupPiece:
        stream, done = backup.stream, backup.stream.done
        data = stream.read(PIECE_BYTES)
        self.steps += len(data) // _BYTES_PER_STEP + stream.done - done
        return api.BackupPiece(
            backup=number,
            offset=backup.offset,
            data=data,
            crc=crc32c(data),
            index=stream.header.index,
            revision=stream.header.applied.revision,
            done=stream.done,
            total=stream.total,
            is_last=stream.is_at_end,
        )

    def _is_overdue(self, backup: _Backup) -> bool:
        limits = self._limits
        granted_ms = limits.backup_grace_ms + backup.offset * 1_000 / limits.backup_pace_bytes
        is_slow = self._now_ms - backup.began_ms > granted_ms
        return is_slow or self._now_ms - backup.asked_ms > limits.backup_idle_ms
