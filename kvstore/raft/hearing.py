"""Who is listened to: which messages, before terms are compared, and of which directories.

Law: what is refused here changes no term, no vote and no timer.
"""

from __future__ import annotations

from kvstore.raft.log import RaftLog
from kvstore.raft.messages import TERM_LEAP_MAX, AppendEntries, Message
from kvstore.raft.types import Membership


def reason_to_ignore(message: Message, ours: Membership, log: RaftLog) -> str | None:
    """Why a message is none for this node, None if it comes from a peer that counts.

    A leader's AppendEntries needs no judging: were the admission of another directory
    committed, this one could lead no later term; as it is not, it may be truncated.
    """
    if message.cluster_id != ours.cluster_id:
        return f"it belongs to cluster {message.cluster_id!r}, this is {ours.cluster_id!r}"
    if message.recipient != ours.node_id:
        return f"it is for node {message.recipient}"
    if message.sender == ours.node_id or message.sender not in log.configuration.voters:
        return f"its sender, node {message.sender}, is not a peer of this node"
    index = log.admissions.replaced_at(message.sender, message.admitted_at)
    if index is not None and not isinstance(message, AppendEntries):
        return f"log entry {index} admits another directory of node {message.sender}"
    return None


def seems_out_of_reach(
    message: Message, doubt: str | None, seemed_so: bool, is_voter: bool
) -> bool:
    """Whether the others' term may be one that is beyond belief, after this message.

    A voter remembers it until it stands. A directory that waits to be admitted takes it from a
    leader alone, and forgets it when anybody's term can be believed: should it follow a forged
    term far above the others, they would not believe its own.
    """
    if is_voter:
        return seemed_so or doubt is not None
    return doubt is not None and (seemed_so or isinstance(message, AppendEntries))


def reason_to_doubt(message: Message, current_term: int) -> str | None:
    """Why no honest peer could be in that term yet, None if it could."""
    if message.term > current_term + TERM_LEAP_MAX:
        return f"term {message.term} is too far above {current_term} to be true"
    return None
