"""Who is listened to: which messages, before terms are compared, and which directories.

Law: what is refused here changes no term, no vote and no timer.
"""

from __future__ import annotations

from kvstore.raft.messages import TERM_LEAP_MAX, Message
from kvstore.raft.types import Membership


def reason_to_ignore(message: Message, ours: Membership) -> str | None:
    """Why a message is none for this node, None if it comes from a peer."""
    if message.cluster_id != ours.cluster_id:
        return f"it belongs to cluster {message.cluster_id!r}, this is {ours.cluster_id!r}"
    if message.recipient != ours.node_id:
        return f"it is for node {message.recipient}"
    if message.sender == ours.node_id or message.sender not in ours.members:
        return f"its sender, node {message.sender}, is not a peer of this node"
    return None


def reason_to_doubt(message: Message, current_term: int) -> str | None:
    """Why no honest peer could be in that term yet, None if it could."""
    if message.term > current_term + TERM_LEAP_MAX:
        return f"term {message.term} is too far above {current_term} to be true"
    return None


def admission_data(node_id: int, incarnation: str) -> bytes:
    """Data of the entry by which a new directory of a node is admitted."""
    return f"{node_id} {incarnation}".encode()
