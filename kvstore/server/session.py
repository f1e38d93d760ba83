"""One accepted connection: requests in, replies out in the same order.

Law: every request gets one reply, in the order of the requests, however late or
early its result comes. Input is bounded by leaving it unread, output by keeping
room for a reply before its request is started. It must not know Raft: it hands
typed requests to the node and renders what comes back.
"""

from __future__ import annotations

import selectors
import socket
from collections import deque

from kvstore import api
from kvstore.errors import ProtocolError
from kvstore.server import refusals
from kvstore.server.builtins import (
    BUILTINS,
    NO_TRANSACTIONS,
    TRANSACTION_ENDS,
    unknown_command,
)
from kvstore.server.connection import Connection
from kvstore.server.context import Context
from kvstore.server.load import SHORT_INPUT_BYTES
from kvstore.server.own_writes import OwnWrites
from kvstore.wire import commands, peer, resp, typed
from kvstore.wire.commands import CommandError, Render
from kvstore.wire.limits import check_request, reply_bytes_bound
from kvstore.wire.scan import ScanArguments, parse_scan


class Slot:
    """The place of one reply in the order of its connection; the ticket of its request.

    * `reply_bytes`: the length of the reply, at most, until it is there.
    * `_render` makes the reply of a Redis command; None stands for a typed reply.
    """

    __slots__ = ("_render", "_resp_version", "_session", "reply", "reply_bytes")

    def __init__(self, session: Session, render: Render | None, reply_bytes: int) -> None:
        self._session = session
        self._resp_version = session.resp_version
        self._render = render
        self.reply_bytes = reply_bytes
        self.reply: bytes | None = None

    def fill(self, result: api.Result) -> None:
        """The result is there; it leaves at the end of the turn, after those before it."""
        if self._render is None:
            self.reply = self._session.typed_reply(result)
        elif isinstance(result, api.Failure):
            self.reply = commands.render_failure(result)
        else:
            self.reply = self._render(result, self._resp_version)
        self._session.mark_dirty()


class Session:
    """A client's connection, or a peer's incoming link once it has said hello.

    * `_slots` holds the requests whose replies have not been handed to the
      socket, oldest first.
    * `_promised_bytes` is the length of their replies, at most.
    * Nothing is parsed while there are too many of them, or while what is promised
      and what is not sent yet fill the output bound: so who sends much and reads
      little is slowed, and costs bounded memory.
    """

    def __init__(
        self,
        sock: socket.socket,
        address: str,
        context: Context,
        selector: selectors.BaseSelector,
        *,
        is_newcomer: bool = False,
    ) -> None:
        """A newcomer came when there was no room for clients: it may only be a peer."""
        self.context = context
        self.number = next(context.session_numbers)
        self.name = b""
        self.resp_version = 2
        self.reads_stale = False
        self.refuses_transaction = False
        """A MULTI was refused, so what comes before its EXEC must not be carried out."""
        self._address = address
        self._limits = context.settings.limits
        self._parser = resp.RequestParser(self._limits)
        self._slots: deque[Slot | bytes] = deque()
        self._promised_bytes = 0
        self._own_writes = OwnWrites()
        self.peer: int | None = None
        """The node that said hello here; None for a client."""
        self._is_used = False
        self._closes_after_replies = False
        self._is_stalled = False
        """Reading is paused: there is no room, or nothing more is wanted."""
        self._input_bytes = self._output_bytes = 0
        """As `context.load` has counted them."""
        self._turn = self._started = 0
        """The number of a turn, and of the requests started in it."""
        self._connection = Connection(sock, selector, self)
        context.sessions[self] = None
        if is_newcomer:
            context.newcomers[self] = None

    @property
    def comes_first(self) -> bool:
        """Peers are heard before clients."""
        return self.peer is not None

    def describe(self) -> str:
        """One line of CLIENT LIST."""
        return (
            f"id={self.number} addr={self._address} name={self.name.decode('utf-8', 'replace')} "
            f"db=0 resp={self.resp_version} pending={len(self._slots)} "
            f"omem={self._connection.unsent_bytes}\n"
        )

    # --- Input ----------------------------------------------------------------------------

    def on_events(self, mask: int) -> None:
        """The selector says that the socket can be read or written."""
        if mask & selectors.EVENT_WRITE:
            self._connection.flush()
        if mask & selectors.EVENT_READ and self._connection.is_open:
            self._parser.feed(self._connection.read())
        self.go_on()
        if self._input_bytes > SHORT_INPUT_BYTES and self.context.load.is_input_full:
            self._refuse_long_request()

    def go_on(self) -> None:
        """Start requests as far as there is room; hang up when all is done."""
        while takes_more := self._takes_requests():
            try:
                args = self._parser.next_command()
            except ProtocolError as error:
                self._reply(resp.error(f"ERR {error}"))
                self.close_after_replies()
                continue
            if args is None:
                break
            self._start(args)
        if takes_more is self._is_stalled:
            self._is_stalled = not takes_more
            self._connection.pause_reading(self._is_stalled)
        self._settle()
        if self._closes_after_replies or self._connection.is_at_end:
            self._hang_up_if_done()

    def _takes_requests(self) -> bool:
        """Whether another request may be started, and there is room for its reply."""
        connection, limits = self._connection, self._limits
        has_room = (
            not self._closes_after_replies
            and connection.is_open
            and len(self._slots) < limits.pipeline_requests_max
            and self._promised_bytes + connection.unsent_bytes < limits.output_bytes_max
        )
        if not has_room or self.peer is not None or self._has_its_turn():
            return has_room
        self.context.load.wait(self)
        return False

    def _has_its_turn(self) -> bool:
        """Whether neither this client nor all together have had their share of this turn."""
        load = self.context.load
        if self._turn != load.turn:
            self._turn, self._started = load.turn, 0
        return self._started < self._limits.session_requests_per_turn_max and load.takes_requests

    def _settle(self) -> None:
        """Tell what this session costs; a peer's costs are Raft's business."""
        if self.peer is not None:
            return
        load, connection = self.context.load, self._connection
        input_bytes = self._parser.held_bytes if connection.is_open else 0
        output_bytes = self._promised_bytes + connection.unsent_bytes if connection.is_open else 0
        load.input_bytes += input_bytes - self._input_bytes
        load.output_bytes += output_bytes - self._output_bytes
        self._input_bytes, self._output_bytes = input_bytes, output_bytes

    def _refuse_long_request(self) -> None:
        """There is no room for what this client sends: it may do so later."""
        self._parser = resp.RequestParser(self._limits)
        self._reply(commands.render_failure(refusals.BUSY_INPUT))
        self.close_after_replies()

    def _start(self, args: list[bytes]) -> None:
        """Turn one command into a reply, now or later."""
        if self.peer is not None:
            self._take_message(args)
            return
        self.context.commands_processed += 1
        self._started += 1
        self.context.load.count_request()
        name = args[0].upper()
        if self in self.context.newcomers and name != b"RAFT":
            self._reply(resp.error(refusals.NO_ROOM))
            self.close_after_replies()
            return
        spec = commands.COMMANDS.get(name)
        try:
            if self.refuses_transaction and name not in TRANSACTION_ENDS:
                raise CommandError(f"ERR {NO_TRANSACTIONS}")
            if spec is not None:
                self._start_data_command(spec, args)
            else:
                self._start_other(name, args)
        except CommandError as error:
            self._reply(resp.error(str(error)))
        self._is_used = True

    def _start_data_command(self, spec: commands.Spec, args: list[bytes]) -> None:
        request = commands.parse(spec, args)
        if refusal := check_request(request, self._limits):
            self._reply(commands.render_failure(refusal))
        else:
            self._submit(request, commands.render_for(spec, request))

    def _start_other(self, name: bytes, args: list[bytes]) -> None:
        builtin = BUILTINS.get(name)
        if builtin is None:
            raise CommandError(unknown_command(args))
        if not commands.accepts(builtin.arity, args):
            raise CommandError(commands.wrong_arity(builtin.name))
        if name == b"SCAN":
            self._scan(parse_scan(args, self._limits))
        elif name == b"KV":
            self._start_typed(args[1])
        elif name == b"RAFT":
            self._greet_peer(args)
        else:
            assert builtin.answer is not None
            self._reply(builtin.answer(self, args))

    def _submit(
        self, request: api.Request, render: Render | None, *, from_any: bool = False
    ) -> None:
        slot = Slot(self, render, reply_bytes_bound(request, self._limits))
        self._promised_bytes += slot.reply_bytes
        self._slots.append(slot)
        node = self.context.node
        if isinstance(request, api.COMMANDS):
            self._own_writes.submit_command(node, request, slot)
        elif isinstance(request, api.Status):
            slot.fill(node.status())
        elif isinstance(request, api.HandOver):
            node.hand_over(request.heir, slot)
        elif self.reads_stale:
            node.submit_stale_query(request, slot)
        else:
            self._own_writes.submit_query(node, request, slot, from_any=from_any)

    def _start_typed(self, payload: bytes) -> None:
        call = typed.decode_call(payload, self._limits)
        if isinstance(call, api.Failure):
            self._reply(self.typed_reply(call))
        elif refusal := self.context.node.refuse_call(call):
            self._reply(self.typed_reply(refusal))
        else:
            self._submit(call.request, None, from_any=call.from_any)

    def typed_reply(self, result: api.Result) -> bytes:
        """The bytes of a result in its envelope."""
        return typed.encode_reply(self.context.node.reply(result))

    def _scan(self, scan: ScanArguments) -> None:
        cursors = self.context.cursors
        start_key = cursors.start_key(scan.cursor)
        if start_key is None:
            raise CommandError("ERR this node has forgotten the cursor; start again with cursor 0")

        def render(result: api.ScanResult, _resp_version: int) -> bytes:
            next_start = result.next_start
            cursor = 0 if next_start is None else cursors.remember(next_start)
            return scan.render(result, cursor)

        self._submit(scan.request(start_key), render)

    # --- Peers ----------------------------------------------------------------------------

    def _greet_peer(self, args: list[bytes]) -> None:
        """Answer the hello of a node of our cluster; from then on it sends only messages."""
        context = self.context
        if len(args) != 3 or args[1].upper() != b"HELLO":
            raise CommandError("ERR RAFT is for peers, after RAFT HELLO")
        if self._is_used:
            # With requests before it, messages could be taken in the middle of a turn.
            raise CommandError("ERR RAFT HELLO must be the first request of a connection")
        try:
            theirs = peer.decode_hello(args[2])
        except ProtocolError as error:
            raise CommandError(f"ERR {error}") from None
        ours = context.acquaintances.hello_to(theirs.node_id)
        complaint = peer.check_hello(ours, theirs)
        if complaint is None and theirs.node_id not in context.peer_ids:
            complaint = f"node {theirs.node_id} is not a peer of this node"
        if complaint is not None:
            self._refuse_peer(complaint)
        elif replaced := context.acquaintances.reason_to_refuse(theirs):
            self._refuse_peer(replaced, is_replaced=True)
        else:
            context.acquaintances.remember(theirs)
            context.hang_up_on_peer(theirs.node_id)
            self._forget_costs()
            self.peer = theirs.node_id
            self._connection.detect_dead_link()
            self._reply(peer.encode_hello_answer(ours))

    def _refuse_peer(self, complaint: str, *, is_replaced: bool = False) -> None:
        self.context.log.warning(f"refused a peer: {complaint}", address=self._address)
        self._reply(peer.encode_refusal(complaint, is_replaced=is_replaced))
        self.close_after_replies()

    def _take_message(self, args: list[bytes]) -> None:
        try:
            message = peer.decode_message(args)
            if message.sender != self.peer:
                raise ProtocolError(f"a message of node {message.sender} on its link")
        except ProtocolError as error:
            self.context.log.warning(f"hung up on node {self.peer}: {error}")
            self.close()
        else:
            self.context.node.receive(message)

    # --- Output ---------------------------------------------------------------------------

    def send_ready_replies(self) -> None:
        """Hand the socket every reply that no earlier request holds back."""
        slots, ready = self._slots, []
        while slots:
            reply = slots[0]
            if isinstance(reply, Slot):
                if reply.reply is None:
                    break
                self._promised_bytes -= reply.reply_bytes
                reply = reply.reply
            else:
                self._promised_bytes -= len(reply)
            ready.append(reply)
            slots.popleft()
        if ready:
            self._connection.write(ready[0] if len(ready) == 1 else b"".join(ready))
        self._settle()
        if self._is_stalled or self._connection.is_at_end:
            self.go_on()

    def mark_dirty(self) -> None:
        """Something may be ready to be sent at the end of the turn."""
        self.context.dirty[self] = None

    def close_after_replies(self) -> None:
        """Take no more requests; hang up when the last reply has left."""
        self._closes_after_replies = True
        self.mark_dirty()

    def close(self) -> None:
        """Hang up now."""
        self._connection.close()
        self._slots.clear()
        self._forget_costs()
        self.context.sessions.pop(self, None)

    def _forget_costs(self) -> None:
        """This is no client's session any more."""
        load = self.context.load
        load.input_bytes -= self._input_bytes
        load.output_bytes -= self._output_bytes
        self._input_bytes = self._output_bytes = 0
        load.forget(self)
        self.context.newcomers.pop(self, None)

    @property
    def unsent_bytes(self) -> int:
        """Replies that the client has not read, nor its system for it."""
        return self._connection.unsent_bytes

    def _reply(self, reply: bytes) -> None:
        self._promised_bytes += len(reply)
        self._slots.append(reply)
        self.mark_dirty()

    def _hang_up_if_done(self) -> None:
        is_done = not (self._slots or self._connection.unsent_bytes)
        if is_done or not self._connection.is_open:
            self.close()
