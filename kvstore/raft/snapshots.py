"""Snapshots by stream (Raft §7): what a leader gives to who lacks the log, and how one gets it.

Law: who needs a snapshot asks for each piece of it, and gets it from the leader of its own
term. What is out has a bound on both sides, whatever is lost, doubled or late. The bytes of
a snapshot are kept apart by its name, and never mixed with those of another.

Who keeps the files, and what is in them, others know: see `server/spooling.py` and
`server/installing.py`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Set
from typing import Final

from kvstore.raft import snapshot_events as events
from kvstore.raft.events import Event
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import (
    PIECE_BYTES,
    FetchSnapshot,
    InstallSnapshot,
    Message,
    SnapshotPiece,
)
from kvstore.raft.outbox import Outbox
from kvstore.raft.safety import require
from kvstore.raft.types import RaftSettings, SnapshotName, SnapshotSource

WINDOW_PIECES: Final = 4
"""Pieces that a follower may have asked for, or hold, that its driver has not taken."""
_TURN_PIECES: Final = 4
"""Pieces that a leader sends in one turn, to all together."""
_GONE_MS: Final = 30_000.0
"""Who was not heard for so long is forgotten, and for who fetches nothing nothing is kept."""
_AGAIN_MS: Final = 300_000.0
"""After so long it is tried again with who fetches nothing: it may have room by now."""


class Receiver:
    """One follower that needs a snapshot.

    * `needed_index`: the snapshot must reach it at least.
    * `fetches`: the snapshot of which it has asked for a piece, None before that.
    * `active_ms`: when it asked for something last; at first, since when it needs one.
    """

    def __init__(self, now_ms: float) -> None:
        self.needed_index = 0
        self.heard_ms = self.active_ms = now_ms
        self.fetches: SnapshotName | None = None
        self.began_ms = 0.0
        self.sent_bytes = 0
        """How far it has come: up to the farthest piece that was sent."""


class Sending:
    """A leader's side: one snapshot, for all who need one.

    * `source`: the file, as long as there is one. The driver makes and takes it away; the core
      gives it up when a follower finds it damaged.
    * `receivers`: by node; of a leader, and only then.
    """

    def __init__(self, log: RaftLog, outbox: Outbox, events_out: list[Event]) -> None:
        """`events_out` is where it says what happened."""
        self.source: SnapshotSource | None = None
        self.receivers: dict[int, Receiver] = {}
        self.writing_index: int | None = None
        """How far the next file reaches, while it is written."""
        self._log = log
        self._outbox = outbox
        self._events = events_out
        self._questions: deque[FetchSnapshot] = deque()
        """Each piece that was asked for and not sent, once; whoever waits longest first."""
        self.has_more = False

    def begin(self) -> None:
        """A leadership begins: who needs what, nobody has said yet."""
        self.receivers.clear()
        self._questions.clear()
        self.has_more = False

    def heard(self, peer: int, needed_index: int, now_ms: float) -> None:
        """A follower needs a snapshot that reaches so far; 0 if it needs none."""
        if needed_index:
            receiver = self.receivers.setdefault(peer, Receiver(now_ms))
            receiver.needed_index, receiver.heard_ms = needed_index, now_ms
            if now_ms > receiver.active_ms + _AGAIN_MS:
                receiver.active_ms = now_ms
        elif peer in self.receivers:
            self._is_done(peer, now_ms)

    def _is_done(self, peer: int, now_ms: float) -> None:
        receiver = self.receivers.pop(peer)
        name = receiver.fetches
        if name is not None and receiver.sent_bytes == name.size_bytes:
            seconds = (now_ms - receiver.began_ms) / 1_000
            self._events.append(
                events.SnapshotSent(self._log.last_term, name.index, name.size_bytes, peer, seconds)
            )

    @property
    def wanted_index(self) -> int | None:
        """How far a new snapshot must reach, None if none is wanted."""
        needed = max((one.needed_index for one in self._active), default=None)
        if needed is None:
            return None
        return None if self._serves(needed) else max(needed, self._log.start.index)

    @property
    def retained_index(self) -> int | None:
        """Entries behind this index will be needed by who is being sent the snapshot."""
        indexes = [] if self.writing_index is None else [self.writing_index]
        if self.source is not None and self._active:
            indexes.append(self.source.name.index)
        return min(indexes, default=None)

    @property
    def _active(self) -> list[Receiver]:
        """For whom it is worth while to keep something: a node without room may never come."""
        since_ms = max((one.heard_ms for one in self.receivers.values()), default=0.0) - _GONE_MS
        return [one for one in self.receivers.values() if one.active_ms >= since_ms]

    def _serves(self, needed_index: int) -> bool:
        """Whether the log goes on where the snapshot ends, and that is far enough."""
        least = max(needed_index, self._log.start.index)
        return self.source is not None and self.source.name.index >= least

    def on_fetch_snapshot(self, message: FetchSnapshot, now_ms: float) -> None:
        """A follower asks for a piece."""
        source, receiver = self.source, self.receivers.get(message.sender)
        if source is None or receiver is None or message.snapshot_id != source.name.id:
            return
        name, receiver.heard_ms = source.name, now_ms
        receiver.active_ms = now_ms
        if message.is_bad:
            term = self._log.last_term
            self._events.append(events.SnapshotWasBad(term, name.index, message.sender))
            self.source = None
            self._questions.clear()
            return
        if receiver.fetches != name:
            receiver.fetches, receiver.began_ms, receiver.sent_bytes = name, now_ms, 0
            self._events.append(
                events.SendingSnapshot(
                    self._log.last_term, name.index, name.size_bytes, message.sender
                )
            )
        asked = [one.offset for one in self._questions if one.sender == message.sender]
        is_one = message.offset < name.size_bytes and message.offset % PIECE_BYTES == 0
        if is_one and message.offset not in asked and len(asked) < WINDOW_PIECES:
            self._questions.append(message)

    def messages(self, crowded: Set[int], now_ms: float, *, offers: bool) -> list[Message]:
        """Pieces for whom there is room on the link; `offers`: it is time to say what there is."""
        out: list[Message] = []
        if offers:
            self._forget_who_is_gone(now_ms)
            out += [
                self._outbox.offer_snapshot(peer, self._log.last_term, self.source.name)
                for peer, receiver in self.receivers.items()
                if self.source is not None and self._serves(receiver.needed_index)
            ]
        waiting: deque[FetchSnapshot] = deque()
        sent = 0
        while self._questions and self.source is not None:
            question = self._questions.popleft()
            if question.sender in crowded or sent == _TURN_PIECES:
                waiting.append(question)
            elif question.sender in self.receivers:
                out += self._piece(question, self.source)
                sent += 1
        self._questions = waiting
        self.has_more = any(one.sender not in crowded for one in waiting)
        return out

    def _piece(self, question: FetchSnapshot, source: SnapshotSource) -> list[SnapshotPiece]:
        """Empty if the file is lost: its driver takes it away."""
        data = source.read(question.offset, PIECE_BYTES)
        if not data:
            return []
        receiver = self.receivers[question.sender]
        receiver.sent_bytes = max(receiver.sent_bytes, question.offset + len(data))
        return [self._outbox.give_piece(question, self._log.last_term, data)]

    def _forget_who_is_gone(self, now_ms: float) -> None:
        """Nothing is kept for them; back again, they say what they need."""
        for peer, receiver in [*self.receivers.items()]:
            is_member = self._log.configuration.member(peer) is not None
            if not is_member or receiver.heard_ms + _GONE_MS < now_ms:
                del self.receivers[peer]


class Receiving:
    """A follower's side: one snapshot at a time, from its leader, piece by piece in order.

    * `name`: the one that is being fetched, or lies here whole; None if there is none.
    * `has_room`: whether the driver has room for it; without, nothing is asked for.
    * What the driver takes are the bytes of the file from its beginning on; `taken_bytes` are
      with it. In memory are no more than `WINDOW_PIECES`.
    """

    def __init__(
        self,
        log: RaftLog,
        outbox: Outbox,
        settings: RaftSettings,
        events_out: list[Event],
    ) -> None:
        """`events_out` is where it says what happened."""
        self.name: SnapshotName | None = None
        self.taken_bytes = 0
        self.began_ms = 0.0
        self.has_room = True
        self._log = log
        self._outbox = outbox
        self._retry_ms = settings.election_timeout_min_ms
        self._events = events_out
        self._leader: tuple[int, int] = (0, 0)
        """(term, leader): by whom it was offered last."""
        self._bad_id = 0
        """Of the last one that was damaged."""
        self._held: dict[int, bytes] = {}
        """By offset: pieces that are here, and not with the driver."""
        self._asked: dict[int, float] = {}
        """By offset: pieces that are out, and when they were asked for."""

    # --- What is offered ------------------------------------------------------------------

    def on_install_snapshot(self, message: InstallSnapshot, now_ms: float) -> None:
        """The leader offers a snapshot: go on with it, or begin anew with another one."""
        name = SnapshotName(
            message.snapshot_id,
            message.last_included_index,
            message.last_included_term,
            message.size_bytes,
        )
        leader = (message.term, message.sender)
        if self.is_whole or name.id == self._bad_id or not self._is_of_use(name):
            return
        if self.name is not None and name != self.name:
            if leader == self._leader and name.id < self.name.id:
                return  # An offer of before, that was late.
            self.abandon("its leader has another one now")
        if self.name is None:
            self.name, self.began_ms = name, now_ms
            self._events.append(
                events.ReceivingSnapshot(message.term, name.index, name.size_bytes, message.sender)
            )
        if leader != self._leader:
            self._leader = leader
            self._asked.clear()

    def _is_of_use(self, name: SnapshotName) -> bool:
        """Whether this node is further with it than without."""
        log = self._log
        if log.lacks_base or log.needs_snapshot:
            return name.index >= log.needs_snapshot
        return name.index > max(log.applicable_index, log.applied_index, log.start.index)

    def abandon(self, reason: str) -> None:
        """Forget what came; another offer begins anew."""
        assert self.name is not None
        self._events.append(
            events.SnapshotAbandoned(self._leader[0], self.name.index, self.taken_bytes, reason)
        )
        self._forget()

    def put_off(self, reason: str) -> None:
        """It cannot be taken for now, and begins anew when it can; `reason`, if it is news."""
        assert self.name is not None
        if reason:
            term = self._leader[0]
            self._events.append(events.CannotTakeSnapshot(term, self.name.index, reason))
        self.has_room = False
        self.taken_bytes = 0
        self._held.clear()
        self._asked.clear()

    def refuse(self) -> None:
        """What came is not what the leader wrote: it must make another one."""
        assert self.name is not None
        term, leader = self._leader
        self._bad_id = self.name.id
        self._outbox.fetch_snapshot(leader, term, self.name.id, offset=0, is_bad=True)
        self.abandon("it is damaged")

    def _forget(self) -> None:
        self.name, self.taken_bytes = None, 0
        self._held.clear()
        self._asked.clear()

    # --- What comes -----------------------------------------------------------------------

    def on_piece(self, message: SnapshotPiece) -> None:
        """A piece came; one that was not asked for, or is not what it must be, is dropped."""
        name = self.name
        if name is None or message.snapshot_id != name.id or message.offset not in self._asked:
            return
        if len(message.data) == min(PIECE_BYTES, name.size_bytes - message.offset):
            del self._asked[message.offset]
            self._held[message.offset] = message.data

    @property
    def has_piece(self) -> bool:
        """Whether `take_piece` has one."""
        return self.taken_bytes in self._held

    def take_piece(self) -> bytes | None:
        """The next bytes of the file, each once; None if they are not here yet."""
        data = self._held.pop(self.taken_bytes, None)
        if data is not None:
            self.taken_bytes += len(data)
        return data

    @property
    def is_whole(self) -> bool:
        """Whether the driver has all of it."""
        return self.name is not None and self.taken_bytes == self.name.size_bytes

    def installed(self, now_ms: float) -> None:
        """What came is this node's data now."""
        assert self.name is not None
        seconds = (now_ms - self.began_ms) / 1_000
        self._events.append(
            events.SnapshotInstalled(
                self._leader[0], self.name.index, self.name.size_bytes, seconds
            )
        )
        self._forget()

    # --- What is asked for ----------------------------------------------------------------

    def tick(self) -> None:
        """Time has passed: what came otherwise meanwhile need not be fetched."""
        if self.name is not None and not self._is_of_use(self.name):
            self.abandon("it is no longer needed")

    def write_messages(self, now_ms: float, term: int, leader: int | None) -> None:
        """Ask for what is due of the leader who offered it, while that one leads."""
        if self.name is None or self._leader != (term, leader):
            return
        for offset in self._due(now_ms):
            self._asked[offset] = now_ms
            self._outbox.fetch_snapshot(self._leader[1], term, self.name.id, offset=offset)

    def _due(self, now_ms: float) -> list[int]:
        return [
            offset
            for offset in self._window
            if self._asked.get(offset, -math.inf) + self._retry_ms <= now_ms
        ]

    @property
    def _window(self) -> list[int]:
        """Of the pieces that come next, those that are not here."""
        if self.name is None or not self.has_room:
            return []
        stop = min(self.name.size_bytes, self.taken_bytes + WINDOW_PIECES * PIECE_BYTES)
        offsets = range(self.taken_bytes, stop, PIECE_BYTES)
        return [offset for offset in offsets if offset not in self._held]

    def has_more(self, term: int, leader: int | None) -> bool:
        """Whether `write_messages` has something to ask for that was never asked for."""
        return self._leader == (term, leader) and any(
            offset not in self._asked for offset in self._window
        )

    @property
    def due_ms(self) -> float:
        """When something is to be asked for again."""
        return min(self._asked.values(), default=math.inf) + self._retry_ms

    def check(self) -> None:
        """That what is out and held are pieces of the window."""
        pieces = {*self._held, *self._asked}
        require(len(pieces) == len(self._held) + len(self._asked), "a piece is out that is here")
        require(
            not pieces
            or (
                self.name is not None
                and min(pieces) >= self.taken_bytes
                and max(pieces) < self.taken_bytes + WINDOW_PIECES * PIECE_BYTES
            ),
            "pieces of a snapshot are here that nobody waits for",
        )
