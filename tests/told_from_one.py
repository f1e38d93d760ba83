"""A log that begins after any entry, told as if it began with entry 1 of term 1.

Law: all indexes are less by the start's, and all terms; a zero that stands for none stays
one, and nothing else is another. So a story that
does not depend on where its logs begin is told by the same words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from kvstore.raft.events import Event
from kvstore.raft.messages import EntryRange, Message
from kvstore.raft.types import Entry, LogStart

T = TypeVar("T", bound=msgspec.Struct)

_INDEXES = {"index", "commit", "from_index", "to_index", "first", "last", "until", "needs_snapshot"}
_TERMS = {"term", "own_term", "seen_term"}


class ToldFromOne:
    """How what is said and seen is told, of a log that begins after `start`."""

    def __init__(self, start: LogStart) -> None:
        self.start = start

    def index(self, index: int) -> int:
        return index - self.start.index

    def term(self, term: int) -> int:
        return term - self.start.term

    def message(self, message: Message) -> Message:
        return self._told(message)

    def event(self, event: Event) -> Event:
        return self._told(event)

    def entry(self, entry: Entry) -> Entry:
        """One whose data is its own name has the name that it is told by."""
        told = self._told(entry)
        if entry.data == b"%d.%d" % (entry.index, entry.term):
            told = msgspec.structs.replace(told, data=b"%d.%d" % (told.index, told.term))
        return told

    def _told(self, said: T) -> T:
        return msgspec.structs.replace(said, **dict(self._changes(said)))

    def _changes(self, said: msgspec.Struct) -> Iterator[tuple[str, object]]:
        for name in said.__struct_fields__:
            value = getattr(said, name)
            if name == "entries":
                yield name, tuple(map(self.entry, value))
            elif name == "ranges":
                yield name, tuple(self._told(one) for one in value if isinstance(one, EntryRange))
            elif name in _TERMS or name.endswith("_term"):
                yield name, value and self.term(value)
            elif name in _INDEXES or name.endswith(("_index", "_commit")):
                yield name, value and self.index(value)
