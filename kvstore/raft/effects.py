"""What one turn of the core produced, for its driver to carry out.

Law: a value. Nothing in it has happened yet.
"""

from __future__ import annotations

import msgspec

from kvstore.raft.events import Event
from kvstore.raft.messages import Message
from kvstore.raft.types import DurableUpdate


class Effects(msgspec.Struct, frozen=True):
    """Everything that one turn produced.

    * `early_messages`: a leader's AppendEntries; they promise nothing about this
      node's disk, so they may leave before `update` is durable (thesis §10.2.1).
    * `update`: to make durable, whole, after all earlier ones.
    """

    update: DurableUpdate
    early_messages: list[Message]
    events: list[Event]
