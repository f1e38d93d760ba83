"""The replies of one connection: each in the place of its request, whenever it comes.

Law: they leave in the order of the requests, and what they hold in memory is booked by
its real size. A read is answered when there is room for what it finds; but no read sees
what its own client wrote after it.

It must not know sockets or protocols.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from kvstore import api
from kvstore.errors import StorageError
from kvstore.raft.safety import SafetyViolationError
from kvstore.wire.commands import Render

if TYPE_CHECKING:
    from kvstore.server.session import Session

ENDS_THE_NODE: Final = (StorageError, SafetyViolationError)
"""What is wrong with the disk, or with a promise of Raft. So is anything that goes wrong in
consensus, or while an entry is applied. A mistake elsewhere ends one connection."""


class Submission(msgspec.Struct, frozen=True):
    """What the node is to be asked, and how its result becomes a reply.

    * `render` is None for a typed reply.
    * `key_slot` is that of the first key, where the client may be told that it is elsewhere.
    """

    request: api.Request
    render: Render | None
    key_slot: int | None = None
    from_any: bool = False


class Slot:
    """The place of one reply in the order of its connection; the ticket of its request.

    * `held_bytes`: the length of the reply; until it is there, what is booked for it.
    * `query`: what is due to be answered, when its session has room, `due_since_ms`.
    * `pinned_steps`: what a read may cost that must be answered when it is due, as a later
      write of this client is on its way; 0 for others.
    * `_render` makes the reply of a Redis command; None stands for a typed reply.
    """

    __slots__ = (
        *("_key_slot", "_render", "_resp_version", "_session"),
        *("due_since_ms", "held_bytes", "pinned_steps", "query", "reply"),
    )

    def __init__(self, session: Session, submission: Submission, held_bytes: int) -> None:
        self._session = session
        self._resp_version = session.resp_version
        self._render = submission.render
        self._key_slot = submission.key_slot
        self.held_bytes = held_bytes
        self.query: api.Query | api.Status | None = None
        self.due_since_ms = 0.0
        self.pinned_steps = 0
        self.reply: bytes | None = None

    def fill(self, result: api.Result) -> None:
        """The result is there; it leaves at the end of the turn, after those before it."""
        session = self._session
        try:
            if self._render is None:
                reply = session.typed_reply(result)
            elif isinstance(result, api.Failure):
                reply = session.refusal(result, self._key_slot)
            else:
                reply = self._render(result, self._resp_version)
        except ENDS_THE_NODE:
            raise
        except Exception:
            session.has_failed("rendering a reply")
        else:
            is_being_sent = self.query is not None  # Its session has asked, to send it now.
            session.replies.came(self, reply)
            if not is_being_sent:
                session.mark_dirty()

    def takes_over(self, query: api.Query | api.Status) -> bool:
        """A read is due: it waits here for room, unless a later write waits for it."""
        if self.pinned_steps:
            return False
        self.query = query
        self.due_since_ms = self._session.context.now_ms
        self._session.mark_dirty()
        return True


class Sums:
    """What the replies of some clients cost together.

    * `output_bytes`: what no socket was handed yet, and the places of those that do not exist yet.
    * `pinned_steps`: of reads that entries wait for, as a later write of the same client
      is on its way.
    """

    def __init__(self) -> None:
        self.output_bytes = 0
        self.pinned_steps = 0


class Replies:
    """Places and replies that have not been handed to the socket, oldest first.

    * `places`: others only look at them. `held_bytes` is the sum of what they hold.
    * `pinned_steps` is the sum of theirs. Both are a part of the `sums` of all clients,
      until they `leave`.
    * `open_reads` are the places of queries that have no reply and are not pinned, with
      the steps that each may cost.
    """

    def __init__(self, sums: Sums) -> None:
        self._sums = sums
        self.places: deque[Slot | bytes] = deque()
        self.open_reads: dict[Slot, int] = {}
        self.held_bytes = 0
        self.pinned_steps = 0

    def add(self, reply: bytes) -> None:
        """A reply that is there at once."""
        self.held_bytes += len(reply)
        self._sums.output_bytes += len(reply)
        self.places.append(reply)

    def expect(self, slot: Slot, read_steps: int | None = None) -> None:
        """A reply that will come; `read_steps`, if it is that of a read, which may cost so much."""
        self.held_bytes += slot.held_bytes
        self._sums.output_bytes += slot.held_bytes
        self.places.append(slot)
        if read_steps is not None:
            self.open_reads[slot] = read_steps

    def came(self, slot: Slot, reply: bytes) -> None:
        """The reply of a slot is there."""
        if slot.pinned_steps:
            self._pin(-slot.pinned_steps)
            slot.pinned_steps = 0
        elif self.open_reads:
            self.open_reads.pop(slot, None)
        size = len(reply)
        self.held_bytes += size - slot.held_bytes
        self._sums.output_bytes += size - slot.held_bytes
        slot.held_bytes = size
        slot.query = None
        slot.reply = reply

    def allow_write(self, steps_left: int) -> bool:
        """Whether a write may be started: not while a read waits that might see it.

        Reads that are not due yet are pinned, if they cost no more than `steps_left`: no
        further entry is applied before they are answered.
        """
        reads = self.open_reads
        steps = sum(reads.values())
        if steps > steps_left or any(slot.query is not None for slot in reads):
            return not reads
        for slot, pinned_steps in reads.items():
            slot.pinned_steps = pinned_steps
        self._pin(steps)
        reads.clear()
        return True

    def take_ready(self, answer: Callable[[Slot], None], bytes_max: int) -> bytes:
        """Take the oldest replies that are there, up to one that reaches `bytes_max`.

        `answer` may answer what is due.
        """
        places, ready, size = self.places, [], 0
        while places and size < bytes_max:
            oldest = places[0]
            if isinstance(oldest, Slot):
                if oldest.query is not None:
                    answer(oldest)
                    if not places:
                        return b""  # It failed, and nobody reads what else is there.
                if oldest.reply is None:
                    break
                oldest = oldest.reply
            places.popleft()
            size += len(oldest)
            ready.append(oldest)
        self.held_bytes -= size
        self._sums.output_bytes -= size
        return b"".join(ready)

    def clear(self) -> None:
        """Nobody reads them any more."""
        self.places.clear()
        self.open_reads.clear()
        self.held_bytes = self.pinned_steps = 0

    def leave(self) -> None:
        """They are no client's any more, and count for none."""
        self._sums.output_bytes -= self.held_bytes
        self._sums.pinned_steps -= self.pinned_steps
        self._sums = Sums()

    def _pin(self, steps: int) -> None:
        self.pinned_steps += steps
        self._sums.pinned_steps += steps
