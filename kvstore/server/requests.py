"""What a client asks for: which request its words make, or what they are told at once.

Law: every command has one row, by which it is known, counted and refused; after a refused
MULTI nothing that reads or writes data is started before its end. It must not know Raft.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kvstore import api
from kvstore.server import refusals
from kvstore.server.builtins import BUILTINS, NO_TRANSACTIONS, unknown_command
from kvstore.server.load import REPLY_BYTES_PER_STEP
from kvstore.server.replies import Submission
from kvstore.wire import commands, key_slots, typed
from kvstore.wire.catalogue import Arguments
from kvstore.wire.commands import CommandError
from kvstore.wire.limits import complaint_about
from kvstore.wire.scan import parse_scan

if TYPE_CHECKING:
    from kvstore.server.session import Session


def understand(session: Session, name: bytes, args: Arguments) -> Submission | None:
    """What the node is to be asked; None for what is answered here. Raises `CommandError`."""
    spec = commands.COMMANDS.get(name)
    if spec is None:
        return _understand_other(session, name, args)
    if session.refuses_transaction:
        raise CommandError(f"ERR {NO_TRANSACTIONS}")
    request = commands.parse(spec, args)
    if complaint := complaint_about(request, session.limits):
        session.reply(commands.render_failure(refusals.invalid(complaint)))
        return None
    key_slot = None
    if session.follows_moved and spec.keys[0]:
        key_slot = key_slots.key_slot(args[spec.keys[0]])
    return Submission(request, commands.render_for(spec, request), key_slot)


def _understand_other(session: Session, name: bytes, args: Arguments) -> Submission | None:
    builtin = BUILTINS.get(name)
    if builtin is None:
        raise CommandError(unknown_command(args))
    answer = builtin.called_by(args).answer
    if answer is not None:
        reply = answer(session, args)
        session.served += len(reply) // REPLY_BYTES_PER_STEP
        is_refused = session.context.load.lacks_room_for(len(reply))
        session.reply(commands.render_failure(refusals.BUSY_OUTPUT) if is_refused else reply)
        return None
    if name == b"RAFT":
        session.greet_peer(args)
        return None
    if session.refuses_transaction:
        raise CommandError(f"ERR {NO_TRANSACTIONS}")
    if name == b"KV":
        return _understand_typed(session, args[1])
    scan = parse_scan(args, session.limits)
    return Submission(*session.context.cursors.page(scan, session.number))


def _understand_typed(session: Session, payload: bytes) -> Submission | None:
    call = typed.decode_call(payload, session.limits)
    if isinstance(call, api.Failure):
        session.reply(session.typed_reply(call))
    elif refusal := session.context.node.refuse_call(call):
        session.reply(session.typed_reply(refusal))
    else:
        return Submission(call.request, None, from_any=call.from_any)
    return None
