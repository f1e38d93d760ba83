"""The way of one request of the client: whom to ask next, and what was learned so far.

Law: what the caller is told at the end is no better than what is known. Once a copy of
a command may have been carried out, no later refusal and no silence makes it undone.

This module must not know sockets or requests: it is told what came of each attempt. It does
not wait either, but says for how long somebody should (`take_rest`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kvstore.address import Address
from kvstore.client.attempt import Rest
from kvstore.errors import (
    NotLeaderError,
    OutcomeUnknownError,
    RefusedError,
    RequestError,
    UnreachableError,
)

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.1
"""Well below an election's time: whoever waits for a new leader should not wait for itself."""
_LONGEST_BUSY_PAUSE_S: Final = 0.5


class Course:
    """Which node to ask next, and what was learned on the way, for one request.

    * Within a round no node is asked twice; between rounds there is a growing pause.
    * Who could not be asked, or did not answer, is asked last from then on.
    * A node that was named as the leader is asked next, and at once.
    * `doubt` says why nobody knows whether the request was carried out, None if it
      certainly was not.
    * `is_over`: nothing more is asked for this request, and its caller was told, or went away.
    """

    def __init__(
        self, nodes: list[Address], timeout_ms: int, deadline: float, clock: Callable[[], float]
    ) -> None:
        self.node = nodes[0]
        self.deadline = deadline
        self.doubt: str | None = None
        self.is_over = False
        self.began = clock()
        self._timeout_ms = timeout_ms
        self._clock = clock
        self._nodes = nodes
        self._tried: set[Address] = set()
        self._pause_s = _FIRST_PAUSE_S
        self._rest_due: Rest | None = None
        self._told: set[tuple[Address, Address]] = set()
        self._failures: dict[Address, str] = {}
        self._foreign: set[Address] = set()
        self._refusal: RefusedError | None = None
        self._is_crowded = False
        """Whether a node was full in this round."""

    def story(self) -> str:
        """What is waited for, and what was heard so far. Other threads may ask."""
        said = [f"{node}: {reason}" for node, reason in dict(self._failures).items()]
        if self._refusal is not None:
            said.insert(0, str(self._refusal))
        heard = f" (so far: {'; '.join(said)})" if said else ""
        return f"no answer of {self.node} yet{heard}; gives up after {self._timeout_ms} ms"

    def try_until(self) -> float:
        """When to give this node up: half of the rest is kept while there are others."""
        now = self._clock()
        if len(self._nodes) == 1:
            return self.deadline
        return now + (self.deadline - now) / 2

    def failed(self, reason: str, *, is_silence: bool) -> None:
        """The node could not be asked, or did not answer.

        A silence tells less than what came of an earlier attempt: the last one has little time.
        """
        if not is_silence or self.node not in self._failures:
            self._failures[self.node] = reason
        self._nodes.remove(self.node)
        self._nodes.append(self.node)
        self._go_to_another()

    def refused(self, refusal: RefusedError) -> None:
        """The node does not know who leads, or must not answer."""
        self._refusal = refusal
        self._failures.pop(self.node, None)
        self._go_to_another()

    def full(self, reason: str) -> None:
        """The node has no place for another client: others may have, and it itself later."""
        self._is_crowded = True
        if self._refusal is None:
            text = "FULL no node that can be reached has a free place for another client"
            self._refusal = RefusedError(text, "FULL")
        self.failed(reason, is_silence=False)

    def foreign(self, reason: str) -> None:
        """The node belongs to another cluster. If all do, none of the one that is meant is left."""
        self._foreign.add(self.node)
        if self._foreign.issuperset(self._nodes):
            self._failures[self.node] = reason
            raise self._end_among_others()
        self.failed(reason, is_silence=False)

    def _end_among_others(self) -> RequestError:
        if self.doubt is not None:
            return OutcomeUnknownError(
                f"{self.doubt}: it may or may not take effect, and only another cluster answers "
                f"({self._heard()}); look what is there before you try again"
            )
        return UnreachableError(
            f"only another cluster answers ({self._heard()}): if it has taken the place of the one "
            "that this client knows, as after kvstore recover or restore, make a new client"
        )

    def busy(self, refusal: RefusedError) -> None:
        """The leader has no room now; nobody else could help."""
        self._refusal = refusal
        self._plan_rest(_LONGEST_BUSY_PAUSE_S)

    def redirected(self, leader: Address | None, refusal: NotLeaderError) -> bool:
        """The node names a leader. True if it is followed, and for the first time."""
        self._refusal = refusal
        self._failures.pop(self.node, None)
        self._tried.add(self.node)
        if leader is None or leader in self._tried:
            self._go_to_another()
            return False
        if leader not in self._nodes:
            self._nodes.append(leader)
        hop = (self.node, leader)
        is_news = hop not in self._told
        self._told.add(hop)
        self.node = leader
        self.check_deadline()
        return is_news

    def end(self, refusal: RefusedError) -> RequestError:
        """What to raise when a node's refusal ends the request."""
        if self.doubt is None:
            return refusal
        return OutcomeUnknownError(
            f"{self.doubt}; asked again: {refusal} (but look first what is there)"
        )

    def _go_to_another(self) -> None:
        self._tried.add(self.node)
        for node in self._nodes:
            if node not in self._tried:
                self.node = node
                break
        else:
            # Whoever is full has more of those who come again than it can take.
            self._plan_rest(_LONGEST_BUSY_PAUSE_S if self._is_crowded else _LONGEST_PAUSE_S)
            self._is_crowded = False
            self.node = self._nodes[0]
        self.check_deadline()

    def take_rest(self) -> Rest | None:
        """The pause that is due before the next attempt, None if that may come at once."""
        rest, self._rest_due = self._rest_due, None
        return rest

    def _plan_rest(self, longest_s: float) -> None:
        """Pause between two rounds. Raises what is known if the time is up."""
        self.check_deadline()
        self._rest_due = Rest(self._pause_s / 2, self._pause_s, self.deadline)
        self._pause_s = min(2 * self._pause_s, longest_s)
        self._tried.clear()

    def _heard(self) -> str:
        return "; ".join(f"{node}: {reason}" for node, reason in self._failures.items())

    def check_deadline(self) -> None:
        """Raise what is known if the time is up."""
        if self._clock() < self.deadline:
            return
        also = f" ({self._heard()})" if self._failures else ""
        if self.doubt is not None:
            raise OutcomeUnknownError(
                f"{self.doubt}: it may or may not take effect, and no node could tell within "
                f"{self._timeout_ms} ms; look what is there before you try again"
            )
        if self._refusal is None:
            raise UnreachableError(
                f"no node answered within {self._timeout_ms} ms{also}: "
                "check that the cluster runs there, or name other nodes"
            )
        text = f"{self._refusal}; gave up after {self._timeout_ms} ms{also}"
        if isinstance(self._refusal, NotLeaderError):
            raise NotLeaderError(text, self._refusal.leader)
        text = f"{text}: look at the nodes' status and try again"
        raise RefusedError(text, self._refusal.code)
