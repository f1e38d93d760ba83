"""What the client does to be told of changes: at which node, from where on, and when to leave it.

Law: what is handed on is every revision that did something in the range, from the first one asked
for, whole, once, and in order, whichever nodes told of it; or an error that says from where on it
can be had. Who has seen revision r goes on with r + 1 elsewhere.

It must not know sockets, clocks, threads or chance: it says what it wants done, step by step, and
is told what came of it (`watching.py` does that with sockets, simulators without).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Final, NamedTuple, TypeAlias

import hiredis
import msgspec

from kvstore import api
from kvstore.address import Address
from kvstore.client.attempt import Foreign, Full, NotSent, Rest, Setback, Unanswered
from kvstore.client.knowledge import Knowledge
from kvstore.errors import CompactedError, ProtocolError, RefusedError, UnreachableError
from kvstore.wire import typed

_DIAL_S: Final = 2.0
"""How long a node may take to be connected to, and to begin a watch."""
_SILENCE_S: Final = 3.0
"""How long a node may say nothing before it is asked how far it is, so that what was compacted
meanwhile was seen, and a node that is gone is noticed;"""
_ANSWER_S: Final = 2.0
"""and how long it may take to answer that."""
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
_NUMBER: Final = 1
"""Of the watch: there is one on a connection."""


class Dial(NamedTuple):
    """Connect to a node, by `until`, in place of the connection there was: thrown NotSent."""

    node: Address
    until: float


class Say(NamedTuple):
    """Send that, by `until`: thrown NotSent or Unanswered."""

    call: api.Call
    until: float


class Listen(NamedTuple):
    """Wait for what the node says next, which is sent: thrown Unanswered, a silence at `until`."""

    until: float


class WatchBatch(NamedTuple):
    """All that one revision did in a watched range; no events: nothing was done up to it."""

    revision: int
    events: tuple[api.Event, ...]


Step: TypeAlias = Dial | Say | Listen | Rest | WatchBatch
"""A `WatchBatch` is handed to the user, with everything before it handed on."""
Following: TypeAlias = Generator[Step, object, None]


class Follower:
    """Follows one range.

    * `next_revision`: what comes next; everything before was handed on.
    * `_served_at`: when a node that served it was last heard, by `clock`.
    """

    def __init__(
        self,
        watch: api.CreateWatch,
        knowledge: Knowledge,
        nodes: Sequence[Address],
        clock: Callable[[], float],
        *,
        progress: bool = False,
        patience_s: float | None = None,
    ) -> None:
        """`watch` says from which revision on. `nodes`: those that are known from elsewhere, in the
        order in which they are asked. `progress`: whether it is told, too, how far nothing was
        done. `patience_s`: for so long no node need serve it; None for ever.
        """
        self._watch = msgspec.structs.replace(watch, watch=_NUMBER, needs_leader=True)
        self.next_revision = watch.start_revision
        self._knowledge = knowledge
        self._nodes = nodes
        self._clock = clock
        self._progress = progress
        self._patience_s = patience_s
        self._served_at = clock()
        self._reasons: dict[Address, str] = {}
        self._parts: list[api.Event] = []

    def follow(self) -> Following:
        """Go on for ever. Raises CompactedError, RefusedError and UnreachableError."""
        pause_s = _FIRST_PAUSE_S
        while True:
            for node in self._round():
                served_at = self._served_at
                try:
                    yield from self._follow_at(node)
                except Setback as setback:
                    self._reasons[node] = str(setback)
                if self._served_at > served_at:
                    pause_s = _FIRST_PAUSE_S
                self._check_patience()
            yield Rest(pause_s / 2, pause_s, self._clock() + pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _round(self) -> Sequence[Address]:
        """All nodes that are known by now."""
        return [*dict.fromkeys((*self._nodes, *self._knowledge.now.members))]

    def _check_patience(self) -> None:
        if self._patience_s is None or self._clock() < self._served_at + self._patience_s:
            return
        heard = "; ".join(f"{node}: {reason}" for node, reason in self._reasons.items())
        raise UnreachableError(
            f"no node has told of changes for {self._patience_s:g} s ({heard}): check that the "
            f"cluster runs there, or name other nodes, and go on from {self.next_revision}"
        )

    # --- At one node ----------------------------------------------------------------------

    def _follow_at(self, node: Address) -> Generator[Step, object, None]:
        """Be told by this node, until it cannot be: raises Setback."""
        until = self._clock() + _DIAL_S
        yield Dial(node, until)
        self._parts = []
        start = self.next_revision
        yield self._say(msgspec.structs.replace(self._watch, start_revision=start), until)
        created = yield from self._hear(until)
        if isinstance(created, api.Failure):
            raise self._refused(created)
        if not isinstance(created, api.WatchCreated):
            raise Unanswered("the reply belongs to another request")
        while True:
            self._served_at = self._clock()
            yield from self._take((yield from self._hear_or_ask()))

    def _hear_or_ask(self) -> Generator[Step, object, api.Result]:
        """What is told next; a node that is silent is asked whether it is there."""
        try:
            return (yield from self._hear(self._clock() + _SILENCE_S))
        except Unanswered as setback:
            if not setback.is_silence:
                raise
        until = self._clock() + _ANSWER_S
        yield self._say(api.AskProgress(), until)
        return (yield from self._hear(until))

    def _take(self, result: api.Result) -> Generator[Step, object, None]:
        if isinstance(result, api.WatchEvents):
            self._parts += result.events
            if not result.more:
                events, self._parts = tuple(self._parts), []
                yield from self._hand(result.revision, events)
        elif isinstance(result, api.WatchProgress):
            if not self._parts:
                yield from self._hand(result.revision, ())
        elif isinstance(result, api.WatchCanceled) and result.failure is not None:
            raise self._refused(result.failure)
        else:
            raise Unanswered("the reply belongs to another request")

    def _hand(self, revision: int, events: tuple[api.Event, ...]) -> Generator[Step, object, None]:
        """Hand on what was not handed on before."""
        if revision < self.next_revision:
            return
        self.next_revision = revision + 1
        if events or self._progress:
            yield WatchBatch(revision, events)

    def _refused(self, failure: api.Failure) -> Exception:
        """What to raise: another node may serve it, if that is no matter of the request."""
        text = f"{failure.code.value} {failure.message}"
        if failure.code is api.FailureCode.COMPACTED:
            return CompactedError(text, failure.compacted)
        if failure.code is api.FailureCode.INVALID:
            return RefusedError(text)
        return Unanswered(text)

    def _say(self, request: api.Request, until: float) -> Say:
        return Say(api.Call(request, cluster_id=self._knowledge.now.cluster_id), until)

    def _hear(self, until: float) -> Generator[Step, object, api.Result]:
        """A result of this cluster's."""
        answer = yield Listen(until)
        if isinstance(answer, hiredis.ReplyError) and str(answer).startswith(Full.words):
            raise Full
        if not isinstance(answer, bytes):
            raise NotSent(f"the reply is not one of kvstore: {answer}")
        try:
            reply = typed.decode_reply(answer)
        except ProtocolError as error:
            raise Unanswered(str(error)) from None
        if not self._knowledge.hear(reply, of_leader=False):
            raise Foreign(f"it belongs to cluster {reply.cluster_id}, not to this client's")
        return reply.result
