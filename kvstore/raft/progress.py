"""What a leader knows of one follower, and what it may send to it next.

Law: `match_index` only grows within a leadership, whatever is delayed,
duplicated or reordered; `next_index` is a guess and may go back, never below
`match_index` + 1, nor to what the leader's log does not hold.
"""

from __future__ import annotations

import math
from collections import deque

from kvstore.raft.safety import require


class Progress:
    """One follower's replication state (Raft §5.3, Figure 2 "volatile state on leaders").

    * Probing: agreement is unknown, so one request is out at a time.
    * Otherwise: pipelining, with a bounded number of requests out.
    * `asked_ms`: since when it is asked.
    * `heard_ms`: when it answered last, as one whose directory counts; at first, `asked_ms`.
    * `answered_ms`: when it answered last, whether its directory counts or not.
    * `directory`: the name of the directory that answers.
    * `needs_older`: whether it lacks what comes before the leader's log: it gets heartbeats only,
      until it has that from elsewhere.
    * `has_room`: whether it takes entries, by its last word; else it gets heartbeats only.
    * `has_headroom`: whether it would take writes of clients.
    """

    def __init__(
        self,
        next_index: int,
        inflight_messages_max: int,
        heard_ms: float,
        directory: str = "",
        first_index: int = 1,
    ) -> None:
        """`first_index`: of the leader's log, if that held an entry."""
        self._first_index = first_index
        self.asked_ms = self.heard_ms = heard_ms
        self.answered_ms = -math.inf
        self.directory = directory
        self.match_index = 0
        self.next_index = next_index
        self.needs_older = False
        self.has_room = True
        self.has_headroom = True
        self._inflight_max = inflight_messages_max
        self._inflight: deque[int] = deque()
        """Last index of each request with entries that is out, oldest first."""
        self._probing = True
        self._probe_is_out = False

    @property
    def can_send_entries(self) -> bool:
        """Whether another request with entries may leave now."""
        if not self.has_room or self.needs_older:
            return False
        if self._probing:
            return not self._probe_is_out
        return len(self._inflight) < self._inflight_max

    def sent_entries(self, last_index: int) -> None:
        """A request with entries up to `last_index` has left."""
        if self._probing:
            self._probe_is_out = True
        else:
            self._inflight.append(last_index)
            self.next_index = last_index + 1

    def accepted(self, match_index: int) -> None:
        """The follower holds our log up to `match_index`."""
        self.match_index = max(self.match_index, match_index)
        self.needs_older = False
        while self._inflight and self._inflight[0] <= match_index:
            self._inflight.popleft()
        if self._probing:
            self._probing = False
            self.next_index = self._first_that_may_lack
        else:
            self.next_index = max(self.next_index, self.match_index + 1)

    def rejected(self, prev_log_index: int, next_index: int) -> None:
        """The follower lacks our entry at `prev_log_index`; try again from `next_index`.

        A rejection that later acknowledgements or back-ups overtook says nothing new.
        """
        if prev_log_index <= self.match_index or prev_log_index >= self.next_index:
            return
        self.needs_older = prev_log_index < self._first_index
        self.next_index = max(self._first_that_may_lack, min(next_index, prev_log_index))
        self._inflight.clear()
        self._probing = True
        self._probe_is_out = False

    def told_room(self, has_room: bool, has_headroom: bool) -> None:
        """The follower took what it was sent, or left it out for want of room."""
        self.has_room = has_room
        self.has_headroom = has_headroom
        if not has_room:
            self.next_index = self._first_that_may_lack
            self._inflight.clear()

    def log_begins_at(self, first_index: int) -> None:
        """Entries before that one are in the leader's log no more."""
        self._first_index = first_index
        if self.next_index < first_index:
            self.next_index = first_index
            self._inflight.clear()
            self._probing = True
            self._probe_is_out = False

    @property
    def _first_that_may_lack(self) -> int:
        return max(self.match_index + 1, self._first_index)

    def heartbeat_due(self) -> None:
        """A heartbeat leaves: an unanswered probe counts as lost and may be sent again."""
        self._probe_is_out = False

    def check(self, last_index: int) -> None:
        """That what is out was sent and not answered; the log ends at `last_index`."""
        out = list(self._inflight)
        require(len(out) <= self._inflight_max, "more requests are out than may be")
        require(out == sorted(set(out)), "requests are out in another order than the log's")
        require(
            not out or (self.match_index < out[0] and out[-1] == self.next_index - 1),
            "a request is out that was answered, or nothing was sent up to next_index",
        )
        require(not (out and self._probing), "a follower is probed while requests are out")
        require(not (out and not self.has_room), "requests are out to a follower without room")
        require(
            max(self.match_index, self._first_index - 1) < self.next_index <= last_index + 1,
            "next_index is not one of the follower's future",
        )
