"""RESP as a client speaks it: Redis commands and typed requests.

Law: every command has one row, by which it is known, counted and refused; after a refused
MULTI nothing that reads or writes data is started before its end. It must not know Raft.
"""

from __future__ import annotations

from functools import partial

from kvstore import api
from kvstore.errors import ProtocolError
from kvstore.server import refusals
from kvstore.server.builtins import BUILTINS, NO_TRANSACTIONS, unknown_command
from kvstore.server.client_state import ClientState
from kvstore.server.codec import Said, Service, Submission
from kvstore.server.load import (
    ARGUMENT_STEPS,
    REPLY_BYTES_PER_STEP,
    SHORT_OUTPUT_BYTES,
)
from kvstore.wire import commands, key_slots, resp, typed
from kvstore.wire.catalogue import Arguments
from kvstore.wire.commands import CommandError, Render
from kvstore.wire.scan import parse_scan


class RespCodec:
    """One client's commands.

    * `is_empty` is that of the parser, noted whenever it may have changed.
    """

    def __init__(
        self,
        state: ClientState,
        service: Service,
    ) -> None:
        self._state = state
        self._service = service
        self._limits = service.settings.limits
        self._parser = resp.RequestParser(resp.Bounds.of_client(self._limits))
        self._name = b""
        self.is_empty = True

    @property
    def held_bytes(self) -> int:
        """The memory that is taken by what was fed and has not been returned."""
        return self._parser.held_bytes

    @property
    def is_in_request(self) -> bool:
        """Whether a request has begun that is not whole."""
        return self._parser.is_in_request

    @property
    def under_way(self) -> str:
        """What `next` was last at, for a log."""
        return f"the command {self._name[:32]!a}"

    def feed(self, data: bytes, *, is_thrifty: bool) -> None:
        """Take bytes as they arrived."""
        parser = self._parser
        before = parser.arguments
        parser.feed(data, is_thrifty=is_thrifty)
        self._state.steps += (parser.arguments - before) * ARGUMENT_STEPS
        self.is_empty = parser.is_empty

    def give_up(self, failure: api.Failure) -> bytes:
        """Forget what is held of requests; what the client is told instead."""
        self._parser = resp.RequestParser(self._parser.bounds)
        self.is_empty = True
        return commands.render_failure(failure)

    def next(self) -> Submission | Said | None:
        """What the next whole request comes to, None if it is not whole yet."""
        parser = self._parser
        try:
            if ready := parser.ready:
                args = ready.popleft()
                if not ready:
                    self.is_empty = parser.is_empty
            elif (found := self._parse()) is not None:
                args = found
            else:
                return None
            return self._understand(args)
        except CommandError as error:
            return Said(resp.error(str(error)))
        except resp.OversizeError as error:
            return self._oversize(error)
        except ProtocolError as error:
            return Said(resp.error(f"ERR {error}"), is_last=True)

    def _parse(self) -> Arguments | None:
        """The next request, if it is whole by now; it was not short, or memory is."""
        parser = self._parser
        before = parser.arguments
        try:
            return parser.next_command(is_thrifty=self._service.is_input_full)
        finally:
            self._state.steps += (parser.arguments - before) * ARGUMENT_STEPS
            self.is_empty = parser.is_empty

    def _oversize(self, error: resp.OversizeError) -> Said:
        """It has been read to its end, so this connection may go on."""
        if error.name.upper() == b"KV":
            return Said(self._write_typed(refusals.invalid(str(error))))
        return Said(resp.error(f"ERR {error}"))

    def _understand(self, args: Arguments) -> Submission | Said:
        state = self._state
        self._name = name = args[0].upper()
        spec = commands.COMMANDS.get(name)
        if spec is None:
            return self._understand_other(name, args)
        if state.refuses_transaction:
            raise CommandError(f"ERR {NO_TRANSACTIONS}")
        request = commands.parse(spec, args)
        if complaint := api.complaint_about(request, self._limits):
            return Said(commands.render_failure(refusals.invalid(complaint)))
        key = args[spec.keys[0]] if state.follows_moved and spec.keys[0] else None
        # In the version of RESP that this client speaks by now.
        render, version = commands.render_for(spec, request), state.resp_version
        write = partial(self._write, render, version, key)
        return Submission(request, state.reads_stale, write=write)

    def _understand_other(self, name: bytes, args: Arguments) -> Submission | Said:
        state, service = self._state, self._service
        builtin = BUILTINS.get(name)
        if builtin is None:
            raise CommandError(unknown_command(args))
        answer = builtin.called_by(args).answer
        if answer is not None:
            reply = answer(state, service, args)
            state.steps += len(reply) // REPLY_BYTES_PER_STEP
            if len(reply) > SHORT_OUTPUT_BYTES and service.is_output_full:
                reply = commands.render_failure(refusals.BUSY_OUTPUT)
            return Said(reply, state.has_quit)
        if state.refuses_transaction:
            raise CommandError(f"ERR {NO_TRANSACTIONS}")
        if name == b"KV":
            return self._understand_typed(args[1])
        scan, render = service.cursors.page(parse_scan(args, self._limits), state.number)
        write = partial(self._write, render, state.resp_version, None)
        return Submission(scan, state.reads_stale, write=write)

    def _understand_typed(self, payload: bytes) -> Submission | Said:
        call = typed.decode_call(payload, self._limits)
        if isinstance(call, api.Failure):
            return Said(self._write_typed(call))
        stale, write = self._state.reads_stale, self._write_typed
        return Submission(
            call.request, stale, call.from_any, call.min_term, call.cluster_id, write=write
        )

    # --- How results are written ----------------------------------------------------------

    def _write_typed(self, result: api.Result) -> bytes:
        return typed.encode_reply(self._service.envelope(result))

    def _write(self, render: Render, version: int, key: bytes | None, result: api.Result) -> bytes:
        if isinstance(result, api.Failure):
            return self._refusal(key, result)
        return render(result, version)

    def _refusal(self, key: bytes | None, failure: api.Failure) -> bytes:
        """What a client is told; nobody is sent to a leader out of reach: it may be gone."""
        if not self._state.follows_moved:
            return commands.render_failure(failure)
        is_there = self._service.reach.leader is not None
        key_slot = None if key is None else key_slots.key_slot(key)
        return key_slots.render_failure(key_slot if is_there else None, failure)
