"""The messages that one node has to send, written out in full.

Law: what waits here rests on all that this node has handed to its disk by the end of the
turn in which it was written. It leaves when that is durable, and only while the term in
which it was written lasts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    CompareStates,
    CompareStatesReply,
    EntryRange,
    FetchEntries,
    FetchEntriesReply,
    FetchSnapshot,
    InstallSnapshot,
    Message,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    SnapshotPiece,
    TimeoutNow,
)
from kvstore.raft.reads import ReadReady
from kvstore.raft.types import Entry, Membership, SnapshotName

_TURNS_MAX: Final = 1_024
"""What a node says in so many turns waits for a disk that hangs."""

_M = TypeVar("_M")


class Outbox:
    """Writes messages for one node, and keeps those that promise something."""

    def __init__(self, membership: Membership, admitted_at: int) -> None:
        self._cluster_id = membership.cluster_id
        self._node_id = membership.node_id
        self._directory = membership.directory
        self.admitted_at = admitted_at
        """Of this node's directory, as its disk holds it by the time a message leaves."""
        self._new: list[Message] = []
        """Written in this turn."""
        self._waiting: deque[tuple[int, list[Message]]] = deque(maxlen=_TURNS_MAX)
        """(number of the update on which they rest, messages), in order; the oldest are lost if
        there are too many, as a network may lose any message."""

    def rest_on(self, number: int) -> None:
        """The turn ends: what was written in it waits for the update of this number."""
        if self._new:
            self._waiting.append((number, self._new))
            self._new = []

    def take(self, durable_number: int, term: int, *, hears_leader: bool) -> list[Message]:
        """What waited for updates up to this one, each message once.

        Messages of an earlier term are dropped: what they promised, the disk may
        no longer hold, and a network may lose any message. So are those that speak for a
        directory of which the admission was taken back meanwhile, and so is the prospect of a
        vote, from a node that `hears_leader` by now.
        """
        taken: list[Message] = []
        while self._waiting and self._waiting[0][0] <= durable_number:
            _, written = self._waiting.popleft()
            taken += [m for m in written if m.term == term and m.admitted_at <= self.admitted_at]
        if hears_leader:
            return [m for m in taken if not (isinstance(m, PreVoteReply) and m.vote_granted)]
        return taken

    @property
    def rejoining(self) -> str:
        """The name under which this directory waits to be admitted; empty if it does not."""
        return self._directory if self.admitted_at == NOT_ADMITTED else ""

    @property
    def has_new(self) -> bool:
        """Whether something was written since the last turn ended."""
        return bool(self._new)

    def _post(self, kind: Callable[..., Message], recipient: int, term: int, **said: Any) -> None:
        self._new.append(self._write(kind, recipient, term, **said))

    def _write(self, kind: Callable[..., _M], recipient: int, term: int, **said: Any) -> _M:
        return kind(
            cluster_id=self._cluster_id,
            sender=self._node_id,
            recipient=recipient,
            term=term,
            admitted_at=self.admitted_at,
            **said,
        )

    def reject_stale(self, request: Message, term: int, log: RaftLog) -> None:
        """Answer a request of a lower term with ours, which fences its sender (Raft §5.1)."""
        if isinstance(request, PreVote | RequestVote):
            self.reply_to_vote(request, term, granted=False)
        elif isinstance(request, AppendEntries):
            self.reject_append(request, term, log)
        elif isinstance(request, FetchEntries):
            self.give_entries(request, term, (), until=0)

    # --- Elections ------------------------------------------------------------------------

    def request_vote(
        self, kind: type[PreVote | RequestVote], peer: int, term: int, log: RaftLog
    ) -> None:
        """Ask for a vote, or whether there would be one, showing how complete the log is."""
        self._post(kind, peer, term, last_log_index=log.last_index, last_log_term=log.last_term)

    def reply_to_vote(self, request: PreVote | RequestVote, term: int, *, granted: bool) -> None:
        """Grant or refuse."""
        kind = PreVoteReply if isinstance(request, PreVote) else RequestVoteReply
        directory = self._directory
        self._post(kind, request.sender, term, vote_granted=granted, directory=directory)

    def timeout_now(self, heir: int, term: int) -> TimeoutNow:
        """Have the heir stand; it promises nothing and need not wait."""
        return self._write(TimeoutNow, heir, term)

    # --- Replication ----------------------------------------------------------------------

    def append_entries(
        self,
        peer: int,
        log: RaftLog,
        next_index: int,
        entries: Sequence[Entry],
        read_round: int,
    ) -> AppendEntries:
        """Entries from `next_index` on, or a heartbeat; it promises nothing and need not wait.

        Its term is that of the log's end, as a leader opens its term with an entry.
        """
        return AppendEntries(
            cluster_id=self._cluster_id,
            sender=self._node_id,
            recipient=peer,
            term=log.last_term,
            admitted_at=self.admitted_at,
            prev_log_index=next_index - 1,
            prev_log_term=log.term(next_index - 1),
            entries=tuple(entries),
            leader_commit=log.commit_index,
            read_round=read_round,
        )

    def accept_append(
        self, request: AppendEntries, term: int, log: RaftLog, *, last_taken: int
    ) -> None:
        """Vouch for the log up to what was taken of the request, and not past damage."""
        self._new.append(
            AppendEntriesReply(
                cluster_id=self._cluster_id,
                sender=self._node_id,
                recipient=request.sender,
                term=term,
                admitted_at=self.admitted_at,
                success=True,
                prev_log_index=request.prev_log_index,
                match_index=min(last_taken, log.vouched_index),
                read_round=request.read_round,
                has_room=log.room.has_room,
                has_headroom=log.room.has_headroom,
                rejoining=self.rejoining,
                needs_snapshot=log.needs_snapshot,
            )
        )

    def reject_append(self, request: AppendEntries, term: int, log: RaftLog) -> None:
        """Refuse, and tell where the logs part.

        A request of an earlier term gets no echo: its sender may lead `term` by the time
        the answer arrives, and the round would be taken for one of that leadership.
        """
        conflict_term, conflict_index = _conflict(request, log)
        self._post(
            AppendEntriesReply,
            request.sender,
            term,
            success=False,
            prev_log_index=request.prev_log_index,
            conflict_term=conflict_term,
            conflict_index=conflict_index,
            read_round=request.read_round if request.term == term else 0,
            rejoining=self.rejoining,
            needs_snapshot=log.needs_snapshot,
        )

    # --- Damaged entries ------------------------------------------------------------------

    def fetch_entries(self, peer: int, term: int, ranges: Sequence[EntryRange]) -> None:
        """Ask a peer for entries that this node's disk has lost."""
        self._post(FetchEntries, peer, term, ranges=tuple(ranges))

    def give_entries(
        self, request: FetchEntries, term: int, entries: Sequence[Entry], *, until: int
    ) -> None:
        """Give what there is of them up to index `until`."""
        self._post(FetchEntriesReply, request.sender, term, entries=tuple(entries), until=until)

    # --- Snapshots ------------------------------------------------------------------------

    def offer_snapshot(self, peer: int, term: int, name: SnapshotName) -> InstallSnapshot:
        """Offer a snapshot; it promises nothing of what is not durable, and need not wait."""
        return self._write(
            InstallSnapshot,
            peer,
            term,
            snapshot_id=name.id,
            last_included_index=name.index,
            last_included_term=name.term,
            size_bytes=name.size_bytes,
        )

    def give_piece(self, question: FetchSnapshot, term: int, data: bytes) -> SnapshotPiece:
        """Give a piece of a snapshot; it need not wait either."""
        return self._write(
            SnapshotPiece,
            question.sender,
            term,
            snapshot_id=question.snapshot_id,
            offset=question.offset,
            data=data,
        )

    def fetch_snapshot(
        self, leader: int, term: int, snapshot_id: int, *, offset: int, is_bad: bool = False
    ) -> None:
        """Ask for a piece of it, or say that it is no good."""
        said = {"snapshot_id": snapshot_id, "offset": offset, "is_bad": is_bad}
        self._post(FetchSnapshot, leader, term, **said)

    # --- States ---------------------------------------------------------------------------

    def compare_states(
        self, peer: int, term: int, index: int, *, digest: bytes, is_disputed: bool
    ) -> None:
        """Ask a peer for the digest of its state, or tell it what came of that."""
        said = {"index": index, "digest": digest, "is_disputed": is_disputed}
        self._post(CompareStates, peer, term, **said)

    def give_digest(self, question: CompareStates, digest: bytes) -> None:
        """Tell the digest of this node's state, which is as of an entry that is applied."""
        self._post(
            CompareStatesReply,
            question.sender,
            question.term,
            index=question.index,
            digest=digest,
            knows_verdict=question.is_verdict,
        )

    # --- Reads ----------------------------------------------------------------------------

    def ask_read_index(self, leader: int, term: int, read_id: int) -> None:
        """Ask the leader as of which index a read may be answered here."""
        self._post(ReadIndex, leader, term, read_id=read_id)

    def tell_read_index(self, read: ReadReady, term: int) -> None:
        """Tell a follower as of which index its read may be answered."""
        self._post(ReadIndexReply, read.reader, term, read_id=read.read_id, index=read.index)


def _conflict(request: AppendEntries, log: RaftLog) -> tuple[int, int]:
    """The term here at `prev_log_index` and the first index of it; (0, end) where the log ends.

    (0, first) where it begins only later: there is no other way back.
    """
    if request.prev_log_index > log.last_index:
        return 0, log.last_index + 1
    if request.prev_log_index <= log.start.index:
        return 0, log.start.index + 1
    term = log.term(request.prev_log_index)
    return term, log.first_index_of_term(term, request.prev_log_index)
