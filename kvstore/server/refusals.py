"""What clients are told when a node does not carry out what they asked.

Law: each says what is known of the outcome and what to do. Nothing here decides.
"""

from __future__ import annotations

from typing import Final

from kvstore import api


def invalid(message: str) -> api.Failure:
    """The request cannot be carried out by anybody."""
    return api.Failure(api.FailureCode.INVALID, message)


def no_leader(message: str) -> api.Failure:
    """Nothing was changed; another time, or another node, may do."""
    return api.Failure(api.FailureCode.NO_LEADER, message)


def not_taken_over(heir: int) -> api.Failure:
    """A handover failed."""
    return invalid(
        f"node {heir} did not take over in time; see with `kvstore status` whether it is up "
        "and how far it has come, and try again",
    )


def no_space(node_id: int, left_bytes: int, headroom_bytes: int) -> api.Failure:
    """A disk, or the map of a store, is nearly full."""
    return api.Failure(
        api.FailureCode.NO_SPACE,
        f"node {node_id} has {left_bytes >> 20} MiB of room left and keeps "
        f"{headroom_bytes >> 20} MiB for itself; nothing was changed: make room on its disk, or "
        "raise --log-map-bytes and --state-map-bytes",
    )


UNKNOWN: Final = api.Failure(
    api.FailureCode.UNKNOWN,
    "outcome unknown: no majority confirmed the write in time; it may or may not take effect, "
    "so read the key before you try again",
)
STOPPED_UNKNOWN: Final = api.Failure(
    api.FailureCode.UNKNOWN,
    "outcome unknown: this node is shutting down; the write may or may not take effect, "
    "so read the key before you try again",
)
STOPPED: Final = no_leader("this node is shutting down; try another node")
NO_MAJORITY: Final = no_leader("no majority confirmed the leader in time; try again")
NO_ROOM: Final = "ERR max number of clients reached"
"""As Redis says it, which clients know."""
BUSY_INPUT: Final = api.Failure(
    api.FailureCode.BUSY,
    "too many unfinished requests are held for all clients; nothing was changed, try again",
)
BUSY: Final = api.Failure(
    api.FailureCode.BUSY, "too many writes wait for a majority; nothing was changed, try again"
)
