"""How updates of the log come to be durable while the node takes its turns.

Law: updates become durable in the order in which they were submitted, each whole or not at
all, and none is called durable before `LogStore.write` has returned for it. It knows no
Raft: what rests on an update, the core knows.
"""

from __future__ import annotations

from typing import Protocol

from kvstore.raft.types import DurableUpdate
from kvstore.storage.base import LogStore


class LogWriter(Protocol):
    """Takes updates, and tells how far they are durable.

    * `durable_number`: of the last update that is; 0 before the first one of a node's life.
    """

    @property
    def durable_number(self) -> int: ...

    def submit(self, update: DurableUpdate) -> None:
        """Have an update made durable, after all that came before.

        Raises `StorageError` if the disk has failed: nothing may leave any more that is not
        known to rest on durable updates.
        """
        ...


class WriteAtOnce:
    """A writer that waits for the disk."""

    def __init__(self, log_store: LogStore) -> None:
        self._log_store = log_store
        self.durable_number = 0

    def submit(self, update: DurableUpdate) -> None:
        """Make it durable."""
        self._log_store.write(update)
        self.durable_number = update.number
