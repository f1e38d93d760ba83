"""Every ticket that a node took is answered in time, while the node lives.

Law: when a turn is over that began later than the request timeout after a ticket was
taken, by the node's own clock, that ticket has its answer. (That it has only one, the
ticket itself asserts.)
"""

from __future__ import annotations

from typing import Final

from kvstore.sim.checkers.checker import Checker, Watched

_ROUNDING_MS: Final = 1e-6


class Punctuality(Checker):
    """Looks at the ticket that waits for longest."""

    theorem = "every ticket is answered in time"

    def turned(self, host: Watched) -> None:
        waits_ms = host.turn_ms - host.oldest_ticket_ms
        allowed_ms = host.running.settings.request_timeout_ms
        if waits_ms > allowed_ms + _ROUNDING_MS:
            self.fail(
                f"node {host.id} has not answered a ticket that it took {waits_ms:.0f} ms ago,"
                f" {allowed_ms} are allowed"
            )
