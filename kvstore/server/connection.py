"""One accepted connection: requests in, replies out in the same order.

Law: every request gets one reply, in the order of the requests, however late or
early its result comes. Input is bounded by leaving it unread, output by setting
memory aside for a reply before its request is started. It must not know any language: what
bytes mean, and how an answer is written, is for its codec. Nor must it know Raft.
"""

from __future__ import annotations

import selectors
import socket
from collections.abc import Sequence
from math import inf
from typing import Final

from kvstore import api
from kvstore.api.glob import COMPILE_STEPS
from kvstore.server import refusals
from kvstore.server.client_state import ClientState
from kvstore.server.codec import Codec, Said, Submission, Switch, Upgrade
from kvstore.server.context import Context
from kvstore.server.languages import LANGUAGES, Language, Opening
from kvstore.server.load import (
    MOVED_BYTES_PER_STEP,
    REQUEST_STEPS,
    SHORT_INPUT_BYTES,
    SHORT_OUTPUT_BYTES,
    Account,
)
from kvstore.server.pump import Pump
from kvstore.server.replies import ENDS_THE_NODE, Replies, Slot
from kvstore.server.router import Router
from kvstore.server.stream import READ_BYTES, SocketFacts, Stream

_PIECE_BYTES: Final = 64 << 10
"""Written at once if it is there."""


class Connection:
    """A client's connection, until it turns out to be a peer's.

    * `_held_write` is a write that was parsed, and waits until the reads before it have
      been answered: they must not see it.
    * Nothing is started, and no read answered, while replies that are held or not sent fill
      this client's share, so who reads little costs bounded memory; nor when the work of
      this turn is done. Nothing is read before all that was read is started.
    """

    comes_first = False

    def __init__(
        self,
        sock: socket.socket,
        address: str,
        context: Context,
        selector: selectors.BaseSelector,
        *,
        is_newcomer: bool = False,  # It came when there were enough clients: it may only be a peer.
        languages: Sequence[Language] = LANGUAGES,
    ) -> None:
        self.context = context
        self.state = ClientState(next(context.numbers), address)
        self.served = 0
        """Work done for this client so far; it catches up with others when it was idle."""
        self._since_ms = context.now_ms
        self.limits = context.settings.limits
        self._codec: Codec = Opening(languages, self.state, context, is_newcomer)
        self._is_gone = False
        """Somebody else goes on with the stream."""
        self.replies = Replies(context.load, self)
        self._held_write: Submission | None = None
        self._router = Router(self)
        self._pump: Pump | None = None
        """What its watches are told, once it has asked for any."""
        self._closes_after_replies = False
        self._is_stalled = False
        """Reading is paused: there is no memory for replies, or for what would come of it."""
        self._waits_until_ms = inf
        """So long the log's memory may be what it waits for; infinity if it is not."""
        self._is_dry = True
        """Everything that was read has been started, but for what is not whole."""
        self._slice_ends = 0.0
        """How far `served` may go before others have their slice."""
        self._stream = Stream(sock, selector, self)
        self._account = Account(context.load)
        self._stream.detect_vanished_client()
        context.doorkeeper.let_in(self, is_newcomer=is_newcomer)
        context.traffic.note_received()

    # --- Input ----------------------------------------------------------------------------

    def on_events(self, mask: int) -> None:
        """A turn of this client: the selector says what its socket can do, if anything."""
        stream, load = self._stream, self.context.load
        if not stream.is_open:
            return
        if self.served < load.least_served:
            self.served = load.least_served
        began = self.served
        self._take_slice()
        if mask & selectors.EVENT_WRITE:
            before = stream.unsent_bytes
            stream.flush()
            self._account.book_unsent(stream.unsent_bytes)
            self._has_moved(before - stream.unsent_bytes)
        if mask & selectors.EVENT_READ and stream.is_open:
            self._read()
        self._go_on()
        load.steps += self.served - began

    def _take_slice(self) -> None:
        self._slice_ends = self.served + self.context.load.slice_steps

    def _read(self) -> None:
        if self._closes_after_replies:
            self._has_moved(len(self._stream.read()))
        elif self._is_dry:
            is_full = self.context.load.is_input_full
            data = self._stream.read(SHORT_INPUT_BYTES if is_full else READ_BYTES)
            self.served += 1 + len(data) // MOVED_BYTES_PER_STEP
            self._codec.feed(data, is_thrifty=is_full)

    def _has_moved(self, count: int) -> None:
        """So many bytes went through the socket."""
        self.served += 1 + count // MOVED_BYTES_PER_STEP

    def _go_on(self) -> None:
        """Answer and start what there is memory for; hang up when all is done."""
        if self.replies.places or self._pump is not None:
            self._send_replies()
        self._is_dry = False
        while (
            not self._is_dry
            and (may_begin := self._may_begin())
            and (self.served < self._slice_ends or self._may_work())
        ):
            if self._held_write is None:
                self._is_dry = not self._start_next()
            elif self._may_write():
                submission, self._held_write = self._held_write, None
                self._submit(submission)
            else:
                break
        if self._is_gone:
            return
        # What comes after the last request is read and forgotten: hanging up on it would
        # reset the connection, and with it the replies that are on their way.
        self._book_input()
        is_full = not (may_begin or self._closes_after_replies) or self._held_write is not None
        is_stalled = is_full or self._waits_for_log()
        if is_stalled is not self._is_stalled:
            self._is_stalled = is_stalled
            self._stream.pause_reading(is_stalled)
        if not self._stream.is_open:
            self.close()
        elif self._closes_after_replies or (self._is_dry and self._stream.is_at_end):
            self._hang_up_if_done()
        elif (held := self._account.input_bytes) and self.context.doorkeeper.refuses_input(held):
            self._refuse_long_request()

    def _start_next(self) -> bool:
        """Start the next request; whether there may be another one."""
        codec, state = self._codec, self.state
        try:
            heard = codec.next()
        except ENDS_THE_NODE:
            raise
        except Exception:
            self.has_failed(codec.under_way)
            return False
        self.served += state.steps
        state.steps = 0
        if heard is None:
            return False
        if heard.is_request:
            self.context.commands_processed += 1
            self.served += REQUEST_STEPS
        if isinstance(heard, Submission):
            self._submit(heard)
        elif isinstance(heard, Said):
            self.reply(heard.reply)
            if heard.is_last:
                self.close_after_replies()
        elif isinstance(heard, Switch):
            self._codec = codec = heard.codec
        else:
            self._leave_to(heard)
            return False
        return not codec.is_empty

    def _leave_to(self, upgrade: Upgrade) -> None:
        """This is no client."""
        self._is_gone = True
        self._forget()
        upgrade.by(self._stream)

    def _may_begin(self) -> bool:
        """Whether another request may be started, as there is memory for its reply."""
        stream, replies = self._stream, self.replies
        if self._closes_after_replies or not stream.is_open:
            return False
        held_bytes = replies.held_bytes + stream.unsent_bytes
        return len(replies.places) < self.limits.pipeline_requests_max and (
            held_bytes < SHORT_OUTPUT_BYTES or held_bytes < self.context.load.share_bytes
        )

    def _waits_for_log(self) -> bool:
        """Whether who has requests under way goes on when the log holds less: not for ever."""
        context = self.context
        has_more = self._account.input_bytes > SHORT_INPUT_BYTES or bool(self.replies.places)
        if not (has_more and self._stream.is_open and context.node.leading.is_filling):
            self._waits_until_ms = inf
            return False
        overdue_ms = context.now_ms + context.settings.request_timeout_ms
        self._waits_until_ms = min(self._waits_until_ms, overdue_ms)
        if context.now_ms >= self._waits_until_ms:
            return False
        context.load.wait_for_memory(self)
        return True

    def _may_work(self) -> bool:
        """Whether neither this client's slice nor the turn of all is used up."""
        if self.served < self._slice_ends:
            return True
        self.context.load.wait(self)
        return False

    def _book_input(self) -> None:
        """Tell what is kept of this client's requests."""
        input_bytes = 0
        if not self._codec.is_empty and self._stream.is_open:
            input_bytes = self._codec.held_bytes
        if input_bytes != self._account.input_bytes:
            self._account.book_input(input_bytes)

    def _refuse_long_request(self) -> None:
        """There is no memory for what this client sends: it may do so later."""
        if self._codec.is_in_request:
            self._held_write = None  # It was not started: this refusal is its answer.
            self._account.book_input(0)
            self.reply(self._codec.give_up(refusals.BUSY_INPUT))
            self.close_after_replies()

    def _submit(self, submission: Submission) -> None:
        request, limits = submission.request, self.limits
        place_bytes = api.ROW_OF[type(request)].place_bytes(request, limits)
        slot = Slot(self.replies, submission.write, place_bytes)
        if slot.held_bytes > SHORT_OUTPUT_BYTES and self.context.load.is_output_full:
            self.replies.expect(slot)
            slot.fill(refusals.BUSY_OUTPUT)
            return
        if isinstance(request, api.QUERIES):
            if isinstance(request, api.Scan) and request.pattern is not None:
                self.served += len(request.pattern) * COMPILE_STEPS
            steps = api.QUERY_ROW_OF[type(request)].steps_max(request, limits)
            self.replies.expect(slot, steps)
        elif not self.replies.open_reads or self._may_start(request):
            self.replies.expect(slot)
        else:
            self._held_write = submission
            return
        node, router = self.context.node, self._router
        router.dispatch(node, submission, slot)
        if router.subscriber is not None and self._pump is None:
            self._pump = Pump(node.watches, router.subscriber, submission.write)

    def _may_start(self, request: api.Request) -> bool:
        """Whether what is no read may go now, though reads before it have no answer."""
        return not isinstance(request, api.COMMANDS) or self._may_write()

    def _may_write(self) -> bool:
        """Whether a write may be started, as no read before it will see it."""
        load = self.context.load
        is_allowed = self.replies.allow_write(self.limits.pinned_steps_max - load.pinned_steps)
        if not is_allowed:
            load.wait_for_memory(self)
        return is_allowed

    # --- Output ---------------------------------------------------------------------------

    def send_ready_replies(self) -> None:
        """Hand the socket every reply that no earlier request holds back."""
        if not self._stream.is_open:
            return
        load, began = self.context.load, self.served
        if self.replies.open_reads or self._is_stalled or self._pump is not None:
            self._take_slice()
        self._send_replies()
        if self._is_stalled or self._stream.is_at_end or self._closes_after_replies:
            self._go_on()
        load.steps += self.served - began

    def _send_replies(self) -> None:
        stream = self._stream
        while piece := self.replies.take_ready(self._answer, _PIECE_BYTES):
            stream.write(piece)
            # What the socket takes at once makes way for the next answer.
            self._account.book_unsent(stream.unsent_bytes)
            if len(piece) < _PIECE_BYTES:
                break
        if self._pump is not None and not self.replies.places:
            self._send_news(self._pump)

    def _send_news(self, pump: Pump) -> None:
        """What is told to watches, as far as the client takes it, behind all replies."""
        stream, load = self._stream, self.context.load
        while (unsent_bytes := stream.unsent_bytes) < _PIECE_BYTES and self._may_work():
            if unsent_bytes >= max(SHORT_OUTPUT_BYTES, load.share_bytes):
                load.wait_for_memory(self)
                break
            before = pump.steps
            frames = pump.next(_PIECE_BYTES)
            self.served += pump.steps - before
            if not frames or not stream.is_open:
                break
            stream.write(frames)
            self._account.book_unsent(stream.unsent_bytes)

    def has_news(self) -> None:
        """There is something to be told to watches."""
        self.mark_dirty()

    def _answer(self, slot: Slot) -> None:
        """Answer what is due, if there is work left for it in this turn, and memory."""
        node, load = self.context.node, self.context.load
        assert slot.query is not None
        if not self._may_work():
            return
        if self._stream.unsent_bytes >= load.share_bytes:
            self._wait_for_memory(slot)
            return
        before = node.steps
        try:
            result = self.context.answer(slot.query)
        except ENDS_THE_NODE:
            raise
        except Exception:
            self.has_failed("a query")
        else:
            slot.fill(result)
        self.served += node.steps - before

    def _wait_for_memory(self, slot: Slot) -> None:
        """Replies of others, or our own later ones, fill the memory: not for ever."""
        context = self.context
        overdue_ms = slot.due_since_ms + context.settings.request_timeout_ms
        if self._stream.unsent_bytes < SHORT_OUTPUT_BYTES and context.now_ms >= overdue_ms:
            slot.fill(refusals.BUSY_OUTPUT)
        else:
            context.load.wait_for_memory(self)

    def has_failed(self, what: str) -> None:
        """A mistake of ours in what one client asked for: the others must not pay for it.

        Nobody knows how far it came, so the connection ends.
        """
        text = f"hung up on a client: {what} failed"
        self.context.log.exception(text, code="request_failed", address=self.state.address)
        self.close()

    def stuck_ms(self, now_ms: float) -> float:
        """For how long the client has taken nothing of what it is to read, as far as seen."""
        return self._stream.stuck_ms(now_ms)

    def mark_dirty(self) -> None:
        """Something may be ready to be sent at the end of the turn."""
        self.context.dirty[self] = None

    def close_after_replies(self) -> None:
        """Take no more requests; hang up when the last reply has left and was seen."""
        self._closes_after_replies = True
        self.mark_dirty()

    def close(self) -> None:
        """Hang up now."""
        self._stream.close()
        self._forget()
        self.replies.clear()
        self._held_write = None

    def _forget(self) -> None:
        """This is no client's connection any more."""
        self._account.close()
        self._router.leave(self.context.node)
        self._pump = None
        self.replies.leave()
        self.context.load.forget(self)
        self.context.doorkeeper.has_left(self)

    @property
    def unsent_bytes(self) -> int:
        """Replies that the client has not read, nor its system for it."""
        return self._stream.unsent_bytes

    @property
    def input_bytes(self) -> int:
        """What is kept of requests that are not started."""
        return self._account.input_bytes

    @property
    def output_bytes(self) -> int:
        """What is held of replies, and what the client has not read of them."""
        return self._stream.unsent_bytes + self.replies.held_bytes

    @property
    def places(self) -> int:
        """How many replies are held, or expected."""
        return len(self.replies.places)

    @property
    def age_ms(self) -> int:
        """For how long the connection has been there."""
        return int(self.context.now_ms - self._since_ms)

    def socket_facts(self) -> SocketFacts:
        """What the system knows of the stream."""
        return self._stream.facts()

    def reply(self, reply: bytes) -> None:
        self.replies.add(reply)
        self.mark_dirty()

    def _hang_up_if_done(self) -> None:
        if not (self.replies.places or self._stream.unsent_bytes or self._held_write):
            self.context.doorkeeper.see_out(self, self._stream)
