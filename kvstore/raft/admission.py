"""Which messages a node listens to at all, before terms are compared.

Law: what is refused here changes no term, no vote and no timer.
"""

from __future__ import annotations

from kvstore.raft.messages import TERM_LEAP_MAX, Message
from kvstore.raft.types import Membership


def reason_to_ignore(message: Message, ours: Membership, current_term: int) -> str | None:
    """Why a message is none for this node, None if it is one."""
    if message.cluster_id != ours.cluster_id:
        return f"it belongs to cluster {message.cluster_id!r}, this is {ours.cluster_id!r}"
    if message.recipient != ours.node_id:
        return f"it is for node {message.recipient}"
    if is_beyond_belief(message, current_term):
        return f"term {message.term} is too far above {current_term} to be true"
    if message.sender == ours.node_id or message.sender not in ours.members:
        return f"its sender, node {message.sender}, is not a peer of this node"
    return None


def is_beyond_belief(message: Message, current_term: int) -> bool:
    """Whether no honest node could be in that term yet."""
    return message.term > current_term + TERM_LEAP_MAX
