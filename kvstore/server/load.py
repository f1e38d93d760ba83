"""What all clients together cost this server, and when they must wait.

Law: every sum is bounded. Input is slowed by leaving it unread; what is already in
memory and can neither go on nor be sent is given up, and its client is told or hung up
on. Peers are not counted: leadership must not depend on how busy clients are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kvstore.config import Limits

if TYPE_CHECKING:
    from kvstore.server.session import Session

SHORT_INPUT_BYTES: Final = 64 << 10
"""So much of an unfinished request anybody may hold, however busy the server is."""
_RECHECK_MS: Final = 10.0


class Load:
    """Sums over all clients' sessions.

    * `input_bytes`: kept of unfinished requests; `output_bytes`: of replies, promised or
      not yet sent.
    * `turn` numbers the turns; `_started` counts the requests started in this one.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.input_bytes = 0
        self.output_bytes = 0
        self.turn = 0
        self._started = 0
        self._waiting: dict[Session, None] = {}

    def begin_turn(self) -> None:
        """Requests may be started again; who waited goes first, in the order of waiting."""
        self.turn += 1
        self._started = 0
        waiting, self._waiting = self._waiting, {}
        for session in waiting:
            session.go_on()

    def count_request(self) -> None:
        """A request was started."""
        self._started += 1

    @property
    def takes_requests(self) -> bool:
        """Whether another request may be started in this turn."""
        return self._started < self._limits.requests_per_turn_max and not self.is_output_full

    @property
    def is_input_full(self) -> bool:
        """Whether unfinished requests hold more than they may."""
        return self.input_bytes > self._limits.clients_input_bytes_max

    @property
    def is_output_full(self) -> bool:
        """Whether replies hold more than they may."""
        return self.output_bytes >= self._limits.clients_output_bytes_max

    def wait(self, session: Session) -> None:
        """The session goes on in the next turn."""
        self._waiting[session] = None

    def forget(self, session: Session) -> None:
        """The session is closed."""
        self._waiting.pop(session, None)

    @property
    def patience_ms(self) -> float:
        """How long the next turn may wait for sockets."""
        if not self._waiting:
            return float("inf")
        return _RECHECK_MS if self.is_output_full else 0.0
