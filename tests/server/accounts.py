"""What a server has booked, held against what is there.

Law: every account equals the sum of what it counts, after every turn.
"""

from __future__ import annotations

import selectors

from kvstore.server.connection import Connection
from kvstore.server.context import Context
from kvstore.server.replies import Replies, Slot
from kvstore.server.session import Session


def check_accounts(context: Context) -> None:
    """Raise `AssertionError` for an account that is wrong."""
    clients = [session for session in _sessions(context) if session.peer is None]
    load = context.load
    assert load.input_bytes == sum(one._parser.held_bytes for one in clients)
    assert load.output_bytes == sum(map(_output_bytes, clients))
    assert load.pinned_steps == sum(_pinned_steps(one.replies) for one in clients)
    assert min(load.input_bytes, load.output_bytes, load.pinned_steps) >= 0
    for session in _sessions(context):
        _check_watch(session._connection)
    for group in (context.newcomers, context.lingering, load._waits_for_room):
        assert group.keys() <= {*context.sessions.values()}
    told = [cursor for cursors in context.cursors._told.values() for cursor in cursors]
    assert sorted(told) == sorted(context.cursors._cursors)
    assert all(context.cursors._told.values()), "who was told nothing that counts is forgotten"
    assert len(told) <= context.settings.limits.scan_cursors_max


def _sessions(context: Context) -> list[Session]:
    return [session for session in context.sessions.values() if isinstance(session, Session)]


def _check_watch(connection: Connection) -> None:
    """The selector waits for what the connection can use: no more, or it spins; no less."""
    reads = connection._wants_reads and not connection.is_at_end
    wanted = selectors.EVENT_READ * reads | selectors.EVENT_WRITE * bool(connection._output)
    key = connection._selector.get_map().get(connection._sock)
    assert (key.events if key else 0) == connection._mask == wanted


def _output_bytes(session: Session) -> int:
    connection, replies = session._connection, session.replies
    unsent = sum(map(len, connection._output)) - connection._sent
    assert connection.unsent_bytes == unsent
    held = sum(one.held_bytes if isinstance(one, Slot) else len(one) for one in replies.places)
    assert replies.held_bytes == held
    return unsent + held


def _pinned_steps(replies: Replies) -> int:
    slots = [one for one in replies.places if isinstance(one, Slot)]
    for slot in replies.open_reads:
        assert slot in slots
        assert slot.reply is None
    assert replies.pinned_steps == sum(slot.pinned_steps for slot in slots)
    return replies.pinned_steps
