"""What happened to data that differ from others', as values; `events.py` says what an event is.

Law: one line when it is known, and at each start while it is so; one when it is over.
"""

from __future__ import annotations

import msgspec


class DataDiffer(msgspec.Struct, frozen=True):
    """This node's data are not those of a majority: it answers nothing with them any more."""

    term: int
    index: int

    def __str__(self) -> str:
        return (
            f"the data as of log entry {self.index} differ from the majority's: this node votes "
            "and takes entries, but neither leads nor answers, until it has a snapshot of its "
            "leader's"
        )


class LoneDataDiffer(msgspec.Struct, frozen=True):
    """The same of a node beside which nobody votes: nothing tells better data, so it goes on."""

    term: int
    index: int

    def __str__(self) -> str:
        return (
            f"the data as of log entry {self.index} are not what they should be, and no other node "
            "can give better ones: this one goes on; hold them against a backup"
        )


class DifferingDataReplaced(msgspec.Struct, frozen=True):
    """The data of a snapshot have taken the place of those that differed."""

    term: int
    index: int

    def __str__(self) -> str:
        return (
            f"the data that differed as of log entry {self.index} are replaced by a snapshot of "
            "the leader's; they are kept in state.differs, for who looks for the reason"
        )
