"""The clock of the log: the cluster's time, as the entries that were applied tell it.

Law: it moves by the log alone, and never back. So whatever ends by it (a session today, a lease
one day) ends at the same entry on every node.

It must not know who proposes a time, nor any other clock.
"""

from __future__ import annotations


class LogClock:
    """`time_ms` is the latest time that an entry carried, in ms since the cluster began.

    * `stamps`: how many entries have told it of a time, which is of no concern to any of them.
    """

    def __init__(self, time_ms: int) -> None:
        self.time_ms = time_ms
        self.stamps = 0

    def move_to(self, time_ms: int) -> None:
        """An entry that carries this time is applied; that of a leader that lags is passed over."""
        self.time_ms = max(self.time_ms, time_ms)
        self.stamps += 1
