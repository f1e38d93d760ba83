"""What a server has booked, held against what is there.

Law: every account equals the sum of what it counts, after every turn.
"""

from __future__ import annotations

import selectors

from kvstore.server.connection import Connection
from kvstore.server.context import Context
from kvstore.server.incoming_link import IncomingLink
from kvstore.server.replies import Replies, Slot
from kvstore.server.stream import Stream


def check_accounts(context: Context) -> None:
    """Raise `AssertionError` for an account that is wrong."""
    doorkeeper, load = context.doorkeeper, context.load
    clients = [one for one in doorkeeper.connections.values() if isinstance(one, Connection)]
    links = [one for one in doorkeeper.linked.values() if isinstance(one, IncomingLink)]
    assert load.input_bytes == sum(one._codec.held_bytes for one in clients)
    assert load.output_bytes == sum(map(_output_bytes, clients))
    assert load.pinned_steps == sum(_pinned_steps(one.replies) for one in clients)
    assert min(load.input_bytes, load.output_bytes, load.pinned_steps) >= 0
    for one in (*clients, *links):
        _check_watch(one._stream)
    assert doorkeeper.newcomers.keys() <= {*clients}
    assert load._lack_memory.keys() <= {*clients}
    assert doorkeeper.lingering.keys() <= {*clients, *links}
    told = [cursor for cursors in context.cursors._told.values() for cursor in cursors]
    assert sorted(told) == sorted(context.cursors._cursors)
    assert all(context.cursors._told.values()), "who was told nothing that counts is forgotten"
    assert len(told) <= context.settings.limits.scan_cursors_max


def _check_watch(stream: Stream) -> None:
    """The selector waits for what the stream can use: no more, or it spins; no less."""
    reads = stream._wants_reads and not stream.is_at_end
    wanted = selectors.EVENT_READ * reads | selectors.EVENT_WRITE * bool(stream._output)
    key = stream._selector.get_map().get(stream._sock)
    assert (key.events if key else 0) == stream._mask == wanted


def _output_bytes(connection: Connection) -> int:
    stream, replies = connection._stream, connection.replies
    unsent = sum(map(len, stream._output)) - stream._sent
    assert stream.unsent_bytes == unsent
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
