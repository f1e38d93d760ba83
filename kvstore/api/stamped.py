"""How commands stand in the log: as they came, or with the time, where their row says so.

Law: what needs the time carries it, and nothing else does. What each replica does at a time
follows from the log, so no replica reads a clock.

It must not know what the time means to a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from kvstore.api.base import Struct, union
from kvstore.api.leases import INTERNAL_ROWS, Pass, Renew
from kvstore.api.registry import COMMAND_ROWS, Command
from kvstore.api.writes import Write

if TYPE_CHECKING:
    Internal: TypeAlias = Renew | Pass
    Timed: TypeAlias = Command | Internal
else:
    Internal = Renew | Pass
    Timed = union(row.request for row in (*COMMAND_ROWS, *INTERNAL_ROWS) if row.needs_time)


class Stamped(Struct, frozen=True, tag="stamped"):
    """A command that needs the time, with it: the cluster's, in ms.

    The leader's node gives the time. No request carries one. Nodes write commands of their own as
    well, `Internal`, which are no requests.
    """

    time_ms: int
    command: Timed


if TYPE_CHECKING:
    Logged: TypeAlias = Write | Stamped
else:
    Logged = union((*(row.request for row in COMMAND_ROWS if not row.needs_time), Stamped))
