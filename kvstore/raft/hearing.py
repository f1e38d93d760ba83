"""Who is listened to: which messages, before terms are compared, and of which directories.

Law: what is refused here changes no term, no vote and no timer.
"""

from __future__ import annotations

from kvstore.raft.log import RaftLog
from kvstore.raft.messages import TERM_LEAP_MAX, AppendEntries, Message
from kvstore.raft.types import Membership


def reason_to_ignore(message: Message, ours: Membership, log: RaftLog) -> str | None:
    """Why a message is none for this node, None if it comes from a node that may count.

    A stranger may know a newer configuration, by which its directory was admitted: it is heard,
    and who counts its word does so by a configuration of its own (thesis §4.1).
    Whose directory votes no more by what is not committed may be the only one that can win.
    A leader that is removed leads until another one does.
    """
    if message.cluster_id != ours.cluster_id:
        return f"it belongs to cluster {message.cluster_id!r}, this is {ours.cluster_id!r}"
    if message.recipient != ours.node_id:
        return f"it is for node {message.recipient}"
    sender, admitted_at = message.sender, message.admitted_at
    if sender == ours.node_id or log.configurations.rules_out(sender, admitted_at):
        return f"its sender, node {message.sender}, is not a peer of this node"
    index = log.configurations.ended_at(sender, admitted_at, log.commit_index)
    if index is not None and not isinstance(message, AppendEntries):
        return f"by log entry {index} this directory of node {message.sender} votes no more"
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
