"""What a client asks for: which request its words make, or what they are told at once.

Law: every command has one row, by which it is known, counted and refused; after a refused
MULTI nothing that reads or writes data is started before its end. It must not know Raft.
"""

from __future__ import annotations

from functools import partial
from typing import TypeAlias

from kvstore import api
from kvstore.server import refusals
from kvstore.server.builtins import BUILTINS, NO_TRANSACTIONS, unknown_command
from kvstore.server.client_state import ClientState
from kvstore.server.context import Context
from kvstore.server.load import REPLY_BYTES_PER_STEP
from kvstore.server.replies import Submission
from kvstore.wire import commands, key_slots, typed
from kvstore.wire.catalogue import Arguments
from kvstore.wire.commands import CommandError, Render
from kvstore.wire.scan import parse_scan

Understood: TypeAlias = Submission | bytes | None
"""What the node is to be asked; or a reply; None for the words of a peer."""


def understand(state: ClientState, context: Context, name: bytes, args: Arguments) -> Understood:
    """What these words make. Raises `CommandError`."""
    spec = commands.COMMANDS.get(name)
    if spec is None:
        return _understand_other(state, context, name, args)
    if state.refuses_transaction:
        raise CommandError(f"ERR {NO_TRANSACTIONS}")
    request = commands.parse(spec, args)
    if complaint := api.complaint_about(request, context.settings.limits):
        return commands.render_failure(refusals.invalid(complaint))
    key = args[spec.keys[0]] if state.follows_moved and spec.keys[0] else None
    write = writer(state, context, commands.render_for(spec, request), key)
    return Submission(request, write, state.reads_stale)


def writer(
    state: ClientState, context: Context, render: Render, key: bytes | None
) -> partial[bytes]:
    """How a result becomes a reply, in the version of RESP that this client speaks by now."""
    return partial(_write, state, context, render, state.resp_version, key)


def _write(
    state: ClientState,
    context: Context,
    render: Render,
    version: int,
    key: bytes | None,
    result: api.Result,
) -> bytes:
    if isinstance(result, api.Failure):
        return _refusal(state, context, key, result)
    return render(result, version)


def _refusal(
    state: ClientState, context: Context, key: bytes | None, failure: api.Failure
) -> bytes:
    """What a client is told; nobody is sent to a leader out of reach: it may be gone."""
    if not state.follows_moved:
        return commands.render_failure(failure)
    is_there = context.leader_in_reach is not None
    key_slot = None if key is None else key_slots.key_slot(key)
    return key_slots.render_failure(key_slot if is_there else None, failure)


def _understand_other(
    state: ClientState, context: Context, name: bytes, args: Arguments
) -> Understood:
    builtin = BUILTINS.get(name)
    if builtin is None:
        raise CommandError(unknown_command(args))
    answer = builtin.called_by(args).answer
    if answer is not None:
        reply = answer(state, context, args)
        state.steps += len(reply) // REPLY_BYTES_PER_STEP
        if context.load.lacks_room_for(len(reply)):
            return commands.render_failure(refusals.BUSY_OUTPUT)
        return reply
    if name == b"RAFT":
        return None
    if state.refuses_transaction:
        raise CommandError(f"ERR {NO_TRANSACTIONS}")
    if name == b"KV":
        return _understand_typed(state, context, args[1])
    request, render = context.cursors.page(parse_scan(args, context.settings.limits), state.number)
    return Submission(request, writer(state, context, render, None), state.reads_stale)


def _understand_typed(state: ClientState, context: Context, payload: bytes) -> Understood:
    call = typed.decode_call(payload, context.settings.limits)
    if isinstance(call, api.Failure):
        return context.typed_reply(call)
    if refusal := context.node.refuse_call(call):
        return context.typed_reply(refusal)
    return Submission(call.request, context.typed_reply, state.reads_stale, call.from_any)
