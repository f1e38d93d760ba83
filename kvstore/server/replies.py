"""The replies of one connection: each in the place of its request, whenever it comes.

Law: they leave in the order of the requests, and what they hold in memory is booked by
its real size. A read is answered when there is memory for what it finds; but no read sees
what its own client wrote after it.

It must not know sockets or protocols.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from kvstore import api
from kvstore.errors import StorageError
from kvstore.raft.safety import SafetyViolationError

ENDS_THE_NODE: Final = (StorageError, SafetyViolationError)
"""What is wrong with the disk, or with a promise of Raft. So is anything that goes wrong in
consensus, or while an entry is applied. A mistake elsewhere ends one connection."""


class Receiver(Protocol):
    """Who sends the replies of a client."""

    def mark_dirty(self) -> None:
        """Something may be ready to be sent at the end of the turn."""
        ...

    def has_failed(self, what: str) -> None:
        """A mistake of ours in what one client asked for."""
        ...


class Slot:
    """The place of one reply in the order of its connection; the ticket of its request.

    * `held_bytes`: the length of the reply; until it is there, what is booked for it.
    * `query`: what is due to be answered, when its client has memory, `due_since_ms`.
    * `pinned_steps`: what a read may cost that must be answered when it is due, as a later
      write of this client is on its way; 0 for others.
    * `_write` makes the reply of a result.
    """

    __slots__ = (
        *("_replies", "_write"),
        *("due_since_ms", "held_bytes", "pinned_steps", "query", "reply"),
    )

    def __init__(
        self, replies: Replies, write: Callable[[api.Result], bytes], held_bytes: int
    ) -> None:
        self._replies = replies
        self._write = write
        self.held_bytes = held_bytes
        self.query: api.Query | api.NodeQuery | None = None
        self.due_since_ms = 0.0
        self.pinned_steps = 0
        self.reply: bytes | None = None

    def fill(self, result: api.Result) -> None:
        """The result is there; it leaves at the end of the turn, after those before it."""
        try:
            reply = self._write(result)
        except ENDS_THE_NODE:
            raise
        except Exception:
            self._replies.receiver.has_failed("rendering a reply")
        else:
            self._replies.came(self, reply)

    def takes_over(self, query: api.Query | api.NodeQuery) -> bool:
        """A read is due: it waits here for memory, unless a later write waits for it."""
        if self.pinned_steps:
            return False
        replies = self._replies
        self.query = query
        self.due_since_ms = replies.sums.now_ms
        replies.receiver.mark_dirty()
        return True


class Sums:
    """What the replies of some clients cost together.

    * `output_bytes`: what no socket was handed yet, and the places of those that do not exist yet.
    * `pinned_steps`: of reads that entries wait for, as a later write of the same client
      is on its way.
    """

    def __init__(self) -> None:
        self.now_ms = 0.0
        """When this turn began."""
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

    def __init__(self, sums: Sums, receiver: Receiver) -> None:
        self.sums = sums
        self.receiver = receiver
        self.places: deque[Slot | bytes] = deque()
        self.open_reads: dict[Slot, int] = {}
        self.held_bytes = 0
        self.pinned_steps = 0

    def add(self, reply: bytes) -> None:
        """A reply that is there at once."""
        self.held_bytes += len(reply)
        self.sums.output_bytes += len(reply)
        self.places.append(reply)

    def expect(self, slot: Slot, read_steps: int | None = None) -> None:
        """A reply that will come; `read_steps`, if it is that of a read, which may cost so much."""
        self.held_bytes += slot.held_bytes
        self.sums.output_bytes += slot.held_bytes
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
        self.sums.output_bytes += size - slot.held_bytes
        slot.held_bytes = size
        slot.reply = reply
        if slot.query is None:
            self.receiver.mark_dirty()
        slot.query = None  # Else its receiver has asked, to send it now.

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
        self.sums.output_bytes -= size
        return b"".join(ready)

    def clear(self) -> None:
        """Nobody reads them any more."""
        self.places.clear()
        self.open_reads.clear()
        self.held_bytes = self.pinned_steps = 0

    def leave(self) -> None:
        """They are no client's any more, and count for none."""
        self.sums.output_bytes -= self.held_bytes
        self.sums.pinned_steps -= self.pinned_steps
        self.sums = Sums()

    def _pin(self, steps: int) -> None:
        self.pinned_steps += steps
        self.sums.pinned_steps += steps
