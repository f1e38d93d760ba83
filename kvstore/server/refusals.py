"""What clients are told when a node does not carry out what they asked.

Law: each says what is known of the outcome and what to do. Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from kvstore import api
from kvstore.server.room import Refusal


def invalid(message: str) -> api.Failure:
    """The request cannot be carried out by anybody."""
    return api.Failure(api.FailureCode.INVALID, message)


def not_leader(leader: int, address: str) -> api.Failure:
    """Nothing was changed; the leader is there."""
    text = f"not leader, try node {leader} at {address}"
    return api.Failure(api.FailureCode.NOT_LEADER, text, address)


def no_leader(message: str) -> api.Failure:
    """Nothing was changed; another time, or another node, may do."""
    return api.Failure(api.FailureCode.NO_LEADER, message)


def not_taken_over(heir: int) -> api.Failure:
    """A handover is given up; who was told to stand, and hears it late, does so yet."""
    return api.Failure(
        api.FailureCode.UNKNOWN,
        f"outcome unknown: node {heir} did not take over in time, and may do so late; see with "
        "`kvstore status` who leads, and whether it is up, before you try again",
    )


def no_such_node(heir: int, members: Collection[int]) -> api.Failure:
    """A handover to nobody."""
    known = ", ".join(map(str, sorted(members)))
    return invalid(f"there is no node {heir}: the members are {known}")


def has_moved(leader: int, term: int, request: api.HandOver) -> api.Failure:
    """The leader that was to hand over leads no more, and another than the heir does.

    Asked for the same once more, this one says the same.
    """
    return invalid(
        f"node {leader} leads term {term} by now, as leadership has moved since term "
        f"{request.term}, in which it was to move to node {request.heir}; if it still should, ask "
        "this leader"
    )


def cannot_take_over(heir: int | None) -> api.Failure:
    """Nobody is told to stand who is known not to be able to."""
    who = "no other node can" if heir is None else f"node {heir} cannot"
    return api.Failure(
        api.FailureCode.NO_HEIR,
        f"{who} take over now: an heir must answer, count, and have room for what it lacks, and a "
        "majority must answer; see with `kvstore status` who does, and try again",
    )


def change_is_under_way(index: int) -> api.Failure:
    """One at a time."""
    return api.Failure(
        api.FailureCode.NO_CHANGE,
        f"another change of members is under way (log entry {index}): try again when a majority "
        "has it",
    )


def members_have_changed(index: int) -> api.Failure:
    """They are others than those that the client has seen, and not as it wants them."""
    return invalid(
        f"the members have changed meanwhile (log entry {index}), so nothing was done: look again, "
        "with `kvstore member list`"
    )


def cannot_change(why: str, *, may_pass: bool) -> api.Failure:
    """A rule of `member_changes.py` is against it."""
    return api.Failure(api.FailureCode.NO_CHANGE, why) if may_pass else invalid(why)


def no_space(node_id: int, refusal: Refusal) -> api.Failure:
    """A disk, or the map of a store, is too full for a write."""
    if refusal.waiting_index:
        why = waits_for_room(node_id, refusal.waiting_index)
        return api.Failure(api.FailureCode.NO_SPACE, f"{why}; nothing was changed")
    return api.Failure(
        api.FailureCode.NO_SPACE,
        f"this write needs up to {_size(refusal.needed_bytes + 1023)}, node {node_id} has "
        f"{_size(refusal.left_bytes)} of room left and keeps {_size(refusal.floor_bytes)}; nothing "
        "was changed: write or delete less at once, make room on the node's disk, or start it "
        "again with larger --log-map-bytes and --state-map-bytes",
    )


def compacted(revision: int, floor: int) -> api.Failure:
    """What was at a revision is not kept any more."""
    return api.Failure(
        api.FailureCode.COMPACTED,
        f"revision {revision} is not kept any more: begin at {floor}, or read what is there now",
        compacted=floor,
    )


def too_many_watches(where: str, limit: int) -> api.Failure:
    """Another connection, or another node, may have a place."""
    return api.Failure(
        api.FailureCode.BUSY,
        f"{where} has {limit} watches, which are all it may have: try another one",
    )


def waits_for_room(node_id: int, index: int) -> str:
    """Why a node does not come further than it is."""
    return (
        f"node {node_id} has no room to apply log entry {index}: make room on its disk, or start "
        "it again with a larger --state-map-bytes"
    )


def write_is_overdue(node_id: int, waiting_index: int) -> api.Failure:
    """A write was not applied in time, for want of a majority or of room."""
    if not waiting_index:
        return UNKNOWN
    return api.Failure(
        api.FailureCode.UNKNOWN,
        f"outcome unknown: {waits_for_room(node_id, waiting_index)}; the write may or may not "
        "take effect, so read the key before you try again",
    )


def read_is_overdue(node_id: int, waiting_index: int) -> api.Failure:
    """A read was not answered in time, for want of a majority or of room."""
    if not waiting_index:
        return NO_MAJORITY
    return no_leader(f"{waits_for_room(node_id, waiting_index)}; or ask another node")


def cannot_stand(node_id: int, index: int, term: int) -> api.Failure:
    """No leader is known, and this node cannot become one."""
    return no_leader(
        f"no leader is known, and node {node_id} cannot stand: log entry {index} of term {term} is "
        "damaged on its disk, and no node that is up can give it back; start the other nodes"
    )


def _size(size_bytes: int) -> str:
    """In whole KiB or MiB, and never more than it is."""
    return f"{size_bytes >> 10} KiB" if size_bytes < 64 << 20 else f"{size_bytes >> 20} MiB"


def needs_version(needed: int, has: int) -> api.Failure:
    """A command that not every node knows yet."""
    return invalid(
        f"this needs version {needed} of the protocol, and the cluster has {has} until every node "
        "is up and runs a release that speaks it: finish the upgrade first"
    )


def busy_with_backups(count: int) -> api.Failure:
    """Each keeps the file of the data from shrinking."""
    return api.Failure(
        api.FailureCode.BUSY,
        f"this node gives {count} backups already, the most at once; try again when one has ended, "
        "or ask another node",
    )


def no_such_backup(number: int) -> api.Failure:
    """It was given up, or the node has started again."""
    return invalid(
        f"this node gives no backup {number} (any more): nobody asked for more of it in time, it "
        "took too long for what it gave, or the node was down meanwhile; begin a new one"
    )


def backup_was_ended(why: str) -> api.Failure:
    """What it read was in the way of those who write."""
    return invalid(
        f"the backup was ended: {why}; take it again where it is fetched faster, of a follower, or "
        "when less is written"
    )


def not_the_next_piece(asked: int, next_offset: int) -> api.Failure:
    """Pieces are given in order, and the last one again."""
    return invalid(f"the backup goes on at offset {next_offset}, not at {asked}")


def of_another_cluster(own: str, asked: str) -> api.Failure:
    """The client believes to ask a node of the cluster `asked`."""
    return invalid(
        f"this node belongs to cluster {own}, the request is for {asked}; correct the addresses"
    )


def of_an_older_term(term: int, min_term: int) -> api.Failure:
    """The client knows of a newer term than this node."""
    return api.Failure(
        api.FailureCode.STALE,
        f"this node is in term {term}, the request asks for at least {min_term}; try another node",
    )


UNKNOWN: Final = api.Failure(
    api.FailureCode.UNKNOWN,
    "outcome unknown: no majority confirmed the write in time; it may or may not take effect, "
    "so read the key before you try again",
)


def state_differs(node_id: int, index: int) -> api.Failure:
    """Its data are not to be trusted."""
    return api.Failure(
        api.FailureCode.BUSY,
        f"the data of node {node_id} differ from the majority's as of log entry {index}, so it "
        "answers nothing until it has a snapshot of its leader's; ask another node",
    )


NO_DATA: Final = api.Failure(
    api.FailureCode.BUSY,
    "this node waits for a snapshot of its leader's, and has no data of its own; ask another node",
)
STOPPED_UNKNOWN: Final = api.Failure(
    api.FailureCode.UNKNOWN,
    "outcome unknown: this node is shutting down; the write may or may not take effect, "
    "so read the key before you try again",
)
CHANGE_UNKNOWN: Final = api.Failure(
    api.FailureCode.UNKNOWN,
    "outcome unknown: no majority confirmed the change of members in time; it may or may not take "
    "effect, so look with `kvstore member list` before you try again",
)
KNOWS_NO_MEMBERS: Final = no_leader("this node has joined and knows no members yet; try another")
CANNOT_CHECK: Final = no_leader(
    "this leader has committed nothing yet, or has no room; see `kvstore status`, and try again"
)
STOPPED: Final = no_leader("this node is shutting down; try another node")
NO_MAJORITY: Final = no_leader("no majority confirmed the leader in time; try again")
LONE: Final = invalid("there is no other node")
TOO_MANY_CLIENTS: Final = invalid("max number of clients reached")
"""As Redis says it, which clients know."""
BUSY_INPUT: Final = api.Failure(
    api.FailureCode.BUSY,
    "too many unfinished requests are held for all clients; nothing was changed, try again",
)
BUSY_OUTPUT: Final = api.Failure(
    api.FailureCode.BUSY,
    "replies that clients have not read fill the memory for them; nothing was changed, try again",
)
BUSY: Final = api.Failure(
    api.FailureCode.BUSY, "too many writes wait for a majority; nothing was changed, try again"
)

NO_LEADER_TO_WATCH: Final = no_leader(
    "this node knows of no leader, so it may not learn of changes: try another one"
)
WATCHES_ALONE: Final = invalid(
    "this connection watches, so it takes nothing else: use another one for that"
)
NO_WATCHES_HERE: Final = invalid("nothing can be watched on this connection")
