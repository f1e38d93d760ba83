"""What all clients together cost this server, and when they must wait.

Law: every sum is bounded, and a turn's work too. What has not been read stays unread;
who got least so far goes first; what is held in memory is booked by its real size, and
given up only where it keeps others waiting and moves no more. Peers are not held back:
leadership must not depend on how busy clients are.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final

from kvstore.config.limits import Limits
from kvstore.server.replies import Sums
from kvstore.server.stream import Owner

SHORT_INPUT_BYTES: Final = 4 << 10
"""So much of an unfinished request anybody may hold, however busy the server is."""
SHORT_OUTPUT_BYTES: Final = 4 << 10
"""With fewer replies unsent, anybody may start a request."""
REQUEST_STEPS: Final = 20
"""What it takes to start a request, in steps of about a microsecond; to this come:"""
ARGUMENT_STEPS: Final = 2
REPLY_BYTES_PER_STEP: Final = 32
"""Of replies that are put together here and not by the state machine."""
MOVED_BYTES_PER_STEP: Final = 1 << 10
"""Read from a socket, or written to one."""
_SHARE_OF_FREE: Final = 8
_RECHECK_MS: Final = 10.0


class Load(Sums):
    """Sums over all clients.

    * `input_bytes`: kept of unfinished requests; to `output_bytes` comes what the sockets
      have not taken.
    * `watch_bytes`: of watches, and of what they are to be told, as of this turn.
    * `steps` is the work done for clients in this turn, but for the slice that goes on.
    * `_served` is how much the client had got before that was served last.
    """

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits
        self.input_bytes = self.watch_bytes = 0
        self.steps = 0
        self.least_served = 0
        """Who was idle has saved up no more than one turn: who asks for little comes before
        who waits, and not for ever."""
        self._served = 0
        self._waiting: dict[Owner, None] = {}
        self._lack_memory: dict[Owner, None] = {}

    def hear(self, news: Mapping[Owner, int]) -> None:
        """The clients' part of a turn: who waited, and who has news; the least served first.

        Each gets a slice, and another one when it is the least served again. For whom no
        work is left waits, or its socket tells again that it has news.
        """
        self.steps = 0
        masks: dict[Owner, int] = dict.fromkeys((*self._waiting, *self._lack_memory), 0)
        self._waiting, self._lack_memory = {}, {}
        masks.update(news)
        steps_max = self._limits.turn_steps_max
        self.least_served = self._served - steps_max
        for owner in sorted(masks, key=_served) if len(masks) > 1 else masks:
            if self.steps < steps_max:
                if owner.served > self._served:
                    self._served = owner.served
                owner.on_events(masks[owner])
            else:
                self._waiting[owner] = None
        if self._waiting and self.has_steps:
            self._give_more_slices()

    def _give_more_slices(self) -> None:
        queue = [(owner.served, number, owner) for number, owner in enumerate(self._waiting)]
        heapify(queue)
        while queue and self.has_steps:
            served, number, owner = heappop(queue)
            del self._waiting[owner]
            self._served = max(self._served, served)
            owner.on_events(0)
            if owner in self._waiting:
                heappush(queue, (owner.served, number, owner))

    @property
    def slice_steps(self) -> int:
        """What may be done for one client before others have their slice."""
        left = self._limits.turn_steps_max - self.steps
        return min(left, self._limits.slice_steps_max)

    @property
    def has_steps(self) -> bool:
        """Whether more may be done for clients in this turn."""
        return self.slice_steps > 0

    @property
    def is_input_full(self) -> bool:
        """Whether unfinished requests hold more than they may."""
        return self.input_bytes > self._limits.clients_input_bytes_max

    @property
    def is_output_short(self) -> bool:
        """Whether the replies that are held leave little memory for others."""
        return self.output_bytes > self._limits.clients_output_bytes_max // 2

    @property
    def share_bytes(self) -> int:
        """How much one client may hold of replies: a part of what is free.

        So a few that do not read leave the others theirs, and many of them cannot fill all.
        """
        held_bytes = self.output_bytes + self.input_bytes + self.watch_bytes
        return max(0, self._limits.clients_output_bytes_max - held_bytes) // _SHARE_OF_FREE

    @property
    def is_output_full(self) -> bool:
        """Whether a reply that cannot wait, once begun, must be refused; a short one never is."""
        return not self.share_bytes

    def wait(self, owner: Owner) -> None:
        """The client goes on in the next turn."""
        self._waiting[owner] = None

    def wait_for_memory(self, owner: Owner) -> None:
        """The client goes on when others hold less."""
        self._lack_memory[owner] = None

    def forget(self, owner: Owner) -> None:
        """The client is gone."""
        self._waiting.pop(owner, None)
        self._lack_memory.pop(owner, None)

    @property
    def patience_ms(self) -> float:
        """How long the next turn may wait for sockets."""
        if self._waiting:
            return 0.0
        return _RECHECK_MS if self._lack_memory else float("inf")


class Account:
    """What one client has booked in the sums of all; its replies do so themselves.

    * `input_bytes`: kept of requests that are not started.
    """

    def __init__(self, load: Load) -> None:
        self._load = load
        self.input_bytes = self._unsent_bytes = 0

    def book_input(self, held_bytes: int) -> None:
        """So much is kept of requests that are not started."""
        self._load.input_bytes += held_bytes - self.input_bytes
        self.input_bytes = held_bytes

    def book_unsent(self, unsent_bytes: int) -> None:
        """So much is left to the socket, which has not taken it yet."""
        self._load.output_bytes += unsent_bytes - self._unsent_bytes
        self._unsent_bytes = unsent_bytes

    def close(self) -> None:
        """This is no client's connection any more."""
        self.book_input(0)
        self.book_unsent(0)


_served: Final = operator.attrgetter("served")
