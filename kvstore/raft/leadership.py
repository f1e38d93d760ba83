"""What only a leader has, from the moment it wins to the moment it steps down.

Law: nothing here survives the role, and nothing here decides a term or a vote. It
knows how far each follower has come, what to send it next, whether a majority still
answers, which reads that majority confirms, and to whom the leadership is being handed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence, Set
from typing import Final

from kvstore.raft import changes
from kvstore.raft.configuration import Configuration, PerPeer
from kvstore.raft.events import DirectoryLost, Event, HandingOver, HandoverFailed, NeedsOlder
from kvstore.raft.log import RaftLog
from kvstore.raft.messages import AppendEntriesReply, Message
from kvstore.raft.outbox import Outbox
from kvstore.raft.progress import Progress
from kvstore.raft.reads import PendingReads, ReadReady
from kvstore.raft.safety import require
from kvstore.raft.snapshots import Sending
from kvstore.raft.standing import Standing
from kvstore.raft.types import Entry, EntryKind, RaftSettings
from kvstore.raft.versions import version_data

_ENTRY_WORK: Final = 128
_READ_WORK: Final = 1_408
"""Work on one entry besides that on its data, in bytes whose handling takes as long; reading
it from the disk comes on top."""
_NEW_WORK_MAX: Final = 8 << 20
"""For one follower in one turn: a link need not hold more, which leaves no sooner by that."""


class Leadership:
    """The volatile state on leaders (Raft Figure 2) of one node in one term.

    * `reads`: what waits for a majority to confirm this leadership.
    * `heir`: the follower that is to lead next; None most of the time.
    * A turn's work for followers that lack more than what is new has a bound over all of
      them: `has_more` says that it ended there.
    """

    def __init__(
        self,
        standing: Standing,
        log: RaftLog,
        outbox: Outbox,
        sending: Sending,
        settings: RaftSettings,
        events: list[Event],
    ) -> None:
        """`events` is where it says what happened."""
        node_id, now_ms = standing.id, standing.now_ms
        sending.begin()
        self._sending = sending
        self.reads = PendingReads(node_id)
        self.heir: int | None = None
        self.has_more = False
        self._id = node_id
        self._log = log
        self._outbox = outbox
        self._settings = settings
        self._events = events
        self._offered_index = log.last_index
        """The end of the log when messages were last written: what is behind it is new."""
        self._next_behind: tuple[int, ...] = ()
        """Whose turn it is, among those that the last turn's bound left waiting."""
        self._now_ms = now_ms
        self._followers = PerPeer(node_id, log.configuration, self._new_follower)
        self._counted = log.configuration
        """By which it was counted who has answered, last."""
        self._lost_ms = -math.inf
        """No majority will have answered for too long then: who answers since puts it off."""
        self._unreachable: Set[int] = frozenset()
        self._heartbeat_deadline_ms = now_ms + settings.heartbeat_interval_ms
        self._heartbeat_is_due = False
        self._handover_deadline_ms = 0.0
        self._heir_was_told = False
        self._version = 0
        """Of the cluster, as proposed last."""

    # --- Time -----------------------------------------------------------------------------

    def tick(self, now_ms: float, unreachable: Set[int]) -> None:
        """Note that a heartbeat is due, or that the heir has had its time, or is gone.

        `unreachable`: followers to which there is no link, as far as the driver knows.
        """
        self._now_ms, self._unreachable = now_ms, unreachable
        if now_ms >= self._heartbeat_deadline_ms:
            self._heartbeat_is_due = True
            self._heir_was_told = False
            self._heartbeat_deadline_ms = now_ms + self._settings.heartbeat_interval_ms
        if self.heir is not None and (
            now_ms >= self._handover_deadline_ms
            or self.heir in self._unreachable
            or self.heir not in self._progress
        ):
            self._events.append(HandoverFailed(self._log.last_term, self.heir))
            self.heir = None

    @property
    def due_ms(self) -> float:
        """When `tick` has something to note, or no majority has answered for too long."""
        lost_ms = self._lost_after(self._heartbeat_deadline_ms)
        due_ms = min(self._heartbeat_deadline_ms, lost_ms)
        return due_ms if self.heir is None else min(due_ms, self._handover_deadline_ms)

    def has_lost_majority(self, now_ms: float) -> bool:
        """Whether none, this node included, has answered for the longest election timeout."""
        return now_ms >= self._lost_after(now_ms)

    def _lost_after(self, now_ms: float) -> float:
        """When that is so if nobody answers any more; another time after `now_ms`, if after that.

        It is counted again only where the last count does not tell.
        """
        configuration = self._log.configuration
        if self._lost_ms <= now_ms or self._counted is not configuration:
            self._counted = configuration
            self._lost_ms = self._heard_ms(math.inf) + self._settings.election_timeout_max_ms
        return self._lost_ms

    def silent_ms(self, now_ms: float) -> float:
        """For how long no majority, this node included, has answered (thesis §6.2)."""
        return now_ms - self._heard_ms(now_ms)

    def _heard_ms(self, own_ms: float) -> float:
        """When a majority had answered last, if this node answers itself at `own_ms`."""
        heard_ms = {peer: progress.heard_ms for peer, progress in self._progress.items()}
        heard_ms[self._id] = own_ms
        return self._log.configuration.reached_by_majority(heard_ms)

    # --- Followers ------------------------------------------------------------------------

    def heard(self, reply: AppendEntriesReply, now_ms: float) -> None:
        """A follower answered an AppendEntries of this term.

        A rejection confirms as well: it is the log that differs, not the leader. Whose
        directory does not vote confirms nothing; another directory begins with nothing.
        """
        progress = self._progress.get(reply.sender)
        if progress is None:  # it is a member no more, or was never one here
            return
        directory = self._directory_of(reply)
        if directory != progress.directory:
            progress = self._new_progress(progress.heard_ms, directory)
            self._progress[reply.sender] = progress
        progress.answered_ms = now_ms
        if self._counts(reply.sender):
            progress.heard_ms = now_ms
            self.reads.confirmed(reply.sender, reply.read_round)
        if not reply.success:
            needed_older = progress.needs_older
            progress.rejected(reply.prev_log_index, self._next_index_after(reply))
            if progress.needs_older and not needed_older:
                first_index = self._log.start.index + 1
                self._events.append(NeedsOlder(self._log.last_term, reply.sender, first_index))
        elif reply.match_index <= self._log.last_index:
            progress.accepted(reply.match_index)
            progress.told_room(reply.has_room, reply.has_headroom)
        dropped_index = self._log.start.index if progress.needs_older else 0
        self._sending.heard(reply.sender, max(reply.needs_snapshot, dropped_index), now_ms)
        self.advance_commit_index()
        if reply.rejoining and self.reason_to_wait is None:
            self._change_for(reply.sender)

    def _directory_of(self, reply: AppendEntriesReply) -> str:
        """The name of the directory that answers, as far as this leader's log knows it."""
        member = self._log.configuration.member(reply.sender)
        if not reply.rejoining and member is not None and member.admitted_at == reply.admitted_at:
            return member.directory
        return reply.rejoining or f"admitted at {reply.admitted_at}"

    def _counts(self, peer: int) -> bool:
        """Whether the directory with which a peer answers is the one that votes."""
        member = self._log.configuration.member(peer)
        return member is not None and member.votes_as(self._progress[peer].directory)

    def _next_index_after(self, rejection: AppendEntriesReply) -> int:
        """Back up by a whole term at a time (Raft §5.3, last paragraphs)."""
        if rejection.conflict_term > 0:
            last = self._log.last_index_of_term(rejection.conflict_term)
            if last is not None:
                return last + 1
        return rejection.conflict_index

    @property
    def has_peers(self) -> bool:
        """Whether anybody else could lead."""
        return bool(self._log.configuration.voters_besides(self._id))

    @property
    def _progress(self) -> dict[int, Progress]:
        """Of each follower in the configuration in force, learners too."""
        return self._followers.of(self._log.configuration)

    def _new_follower(self, peer: int) -> Progress:
        """The election that was just won counts as an answer; so does coming to be a member."""
        member = self._log.configuration.member(peer)
        return self._new_progress(self._now_ms, "" if member is None else member.directory)

    def _new_progress(self, heard_ms: float, directory: str) -> Progress:
        inflight_max = self._settings.inflight_messages_max
        log = self._log
        first_index = log.start.index + 1
        return Progress(log.last_index + 1, inflight_max, heard_ms, directory, first_index)

    @property
    def match_index(self) -> dict[int, int]:
        """Per node, the last index known to be on its disk."""
        known = {peer: progress.match_index for peer, progress in self._progress.items()}
        return {self._id: self._log.durable_index, **known}

    @property
    def vouched(self) -> dict[int, int]:
        """The last index for which each node vouches: 0 for one that does not count."""
        vouched = {
            peer: progress.match_index if self._counts(peer) else 0
            for peer, progress in self._progress.items()
        }
        vouched[self._id] = self._log.durable_index
        return vouched

    @property
    def needed_index(self) -> int:
        """What is behind this index is sent to some member, or will be, from the log.

        Who has not answered for so long that it would have stood, or takes no entries for want of
        room, gets a snapshot if it must. Learners are waited for as well.
        """
        since_ms = self._now_ms - self._settings.election_timeout_max_ms
        needed = [
            progress.match_index
            for peer, progress in self._progress.items()
            if progress.has_room
            and max(progress.asked_ms, progress.answered_ms) >= since_ms
            and peer not in self._sending.receivers
        ]
        if (behind := self._sending.retained_index) is not None:
            needed.append(behind)
        return min(needed, default=self._log.last_index)

    def log_was_compacted(self) -> None:
        """The log begins later than it did."""
        for progress in self._progress.values():
            progress.log_begins_at(self._log.start.index + 1)

    def advance_commit_index(self) -> None:
        """Commit what a majority holds, counting only entries of this term (Raft §5.4.2)."""
        log = self._log
        if log.commit_index == log.last_index:
            return
        index = log.configuration.reached_by_majority(self.vouched)
        if index > log.commit_index and log.term(index) == log.last_term:
            log.commit(index)

    @property
    def has_committed(self) -> bool:
        """Whether something of its own term is committed, so that it knows what is (Raft §8)."""
        return self._log.term(self._log.commit_index) == self._log.last_term

    @property
    def reason_to_wait(self) -> str | None:
        """Why it changes no configuration for now; None if it may."""
        is_handing_over = self.heir is not None
        return changes.reason_to_wait(
            self._log, has_committed=self.has_committed, is_handing_over=is_handing_over
        )

    @property
    def is_over(self) -> bool:
        """Whether nobody is to lead yet, and this node must not go on: it has no data to answer
        with, or it is committed that it does not vote.
        """
        log = self._log
        is_out = (
            self._id not in log.configuration.voters
            and self.has_committed
            and log.configurations.in_force_at <= log.commit_index
        )
        return self.heir is None and (log.lacks_base or is_out)

    @property
    def answering(self) -> frozenset[int]:
        """The members that have answered within an election timeout, this node too."""
        since_ms = self._now_ms - self._settings.election_timeout_min_ms
        peers = self._progress.items()
        return frozenset({self._id, *(p for p, known in peers if known.answered_ms >= since_ms)})

    def promotion_of(self, peer: int) -> Configuration | None:
        """The configuration in which a learner that answers votes; None while it lags."""
        return changes.promotion_of(self._log, peer, self._progress[peer])

    def _change_for(self, peer: int) -> None:
        """A directory that waits was heard: have it vote, or no other of its node do."""
        configuration = changes.promotion_of(self._log, peer, self._progress[peer])
        if configuration is None:
            answering = {one for one in self.answering if one == self._id or self._counts(one)}
            directory = self._progress[peer].directory
            configuration = changes.demotion_for(self._log, peer, directory, answering)
            if configuration is not None:
                self._events.append(DirectoryLost(self._log.last_term, peer))
        if configuration is not None:
            changes.propose(self._log, configuration)
            # It answers, by the directory that votes now.
            self._progress[peer].heard_ms = self._now_ms

    def raise_version(self, version: int) -> None:
        """Propose that the cluster has `version`: once, and not while another node is to lead."""
        if version <= self._version or self.heir is not None or not self._log.room.takes_noops:
            return
        self._version = version
        self._log.add(self._log.last_term, EntryKind.VERSION, version_data(version))

    # --- Reads (Raft §8) ------------------------------------------------------------------

    def add_read(self, reader: int, read_id: int) -> None:
        """A read has arrived: it may be answered as of what is, or of what opened the term."""
        log = self._log
        index = log.commit_index if self.has_committed else log.last_term_start
        self.reads.add(ReadReady(reader, read_id, index))

    def release_reads(self) -> list[ReadReady]:
        """Own reads that a majority has confirmed; those of followers are answered."""
        released = self.reads.release(self._log.configuration)
        for read in released:
            if read.reader != self._id:
                self._outbox.tell_read_index(read, self._log.last_term)
        return [read for read in released if read.reader == self._id]

    # --- Handing over (thesis §3.10) ------------------------------------------------------

    def hand_over(self, heir: int | None, now_ms: float) -> int | None:
        """Lead no longer than until `heir`, or the closest follower, has caught up and stands.

        Who that is; None if nobody, or not this one, could.
        """
        chosen = next((peer for peer in self._heirs if heir in (None, peer)), None)
        if chosen is not None:
            self.heir = chosen
            self._heir_was_told = False
            self._handover_deadline_ms = now_ms + self._settings.election_timeout_max_ms
            self._events.append(HandingOver(self._log.last_term, chosen))
        return chosen

    @property
    def _heirs(self) -> list[int]:
        """Who could take over, soonest first: by their entries, and by who answered last.

        None where no majority could elect it. Who has no room for the entries that it lacks
        never comes so far, and who waits for a snapshot may be long about it.
        """
        since_ms = self._now_ms - self._settings.election_timeout_min_ms
        answering = [
            peer
            for peer, progress in self._progress.items()
            if self._counts(peer)
            and progress.heard_ms >= since_ms
            and peer not in self._unreachable
        ]
        if not self._log.configuration.has_majority({self._id, *answering}):
            return []
        able = [peer for peer in answering if peer not in self._sending.receivers]
        return sorted(
            (
                peer
                for peer in able
                if self._progress[peer].has_room
                or self._progress[peer].match_index == self._log.last_index
            ),
            key=lambda peer: (self._progress[peer].match_index, self._progress[peer].heard_ms),
            reverse=True,
        )

    def roomier(self, since_ms: float) -> int | None:
        """The first of the heirs that said since then that it has headroom, if any did."""
        return next(
            (
                peer
                for peer in self._heirs
                if self._progress[peer].has_headroom
                and self._progress[peer].match_index
                and self._progress[peer].heard_ms > since_ms
            ),
            None,
        )

    # --- Messages out ---------------------------------------------------------------------

    def messages(self, crowded: Set[int]) -> list[Message]:
        """New entries for each follower that can take them, older ones as far as a turn goes.

        The others get a heartbeat if it is due, or if reads wait for a round that opens here.
        `crowded`: followers whose links are down, or full: what is written for them is lost,
        or only waits.
        """
        heartbeat, self._heartbeat_is_due = self._heartbeat_is_due, False
        speaks_to_all = self.reads.open_round() or heartbeat
        followers = self._progress
        if heartbeat:
            for progress in followers.values():
                progress.heartbeat_due()
        out: list[Message] = []
        behind: list[int] = []
        last_index = self._log.last_index
        for peer, progress in followers.items():
            if peer in crowded:
                continue
            if progress.next_index <= self._offered_index:
                behind.append(peer)
                continue
            work_left = _NEW_WORK_MAX
            while work_left > 0 and (work := self._send_entries(out, peer)):
                work_left -= work
        bulk = self._catch_up(behind)
        self.has_more = any(self._can_send(peer) for peer in followers if peer not in crowded)
        self._offered_index = last_index
        if speaks_to_all:
            spoken_to = {message.recipient for message in (*out, *bulk)}
            out += [
                self._append(peer, progress.next_index, [])
                for peer, progress in followers.items()
                if peer not in spoken_to
            ]
        if self.heir is not None and self._heir_is_ready:
            out.append(self._outbox.timeout_now(self.heir, self._log.last_term))
            self._heir_was_told = True
        pieces = self._sending.messages(crowded, self._now_ms, offers=heartbeat)
        return out + bulk + pieces

    def _catch_up(self, behind: Sequence[int]) -> list[Message]:
        """A message for each in turn, until the turn's work is done.

        What is new comes on top, as far as others get it, or load left them behind for ever.
        """
        out: list[Message] = []
        if not behind:
            self._next_behind = ()
            return out
        waited = [peer for peer in self._next_behind if peer in behind]
        waiting = deque([*waited, *(peer for peer in behind if peer not in waited)])
        work_left = self._settings.catch_up_work_max + min(self._new_work, _NEW_WORK_MAX)
        while waiting and work_left > 0:
            peer = waiting.popleft()
            if work := self._send_entries(out, peer):
                work_left -= work
                waiting.append(peer)
        self._next_behind = tuple(waiting)
        return out

    @property
    def _new_work(self) -> int:
        """What sending the new entries to one follower takes."""
        sizes = self._log.sizes_in_memory(self._offered_index + 1)
        return sum(sizes) + _ENTRY_WORK * len(sizes)

    def _can_send(self, peer: int) -> bool:
        progress = self._progress[peer]
        return progress.next_index <= self._log.last_index and progress.can_send_entries

    def _send_entries(self, out: list[Message], peer: int) -> int:
        """One message with entries, if it may leave; the work that it was, 0 for none."""
        if not self._can_send(peer):
            return 0
        progress, log, settings = self._progress[peer], self._log, self._settings
        start = progress.next_index
        entry_work = _ENTRY_WORK + (0 if log.is_in_memory(start) else _READ_WORK)
        stop = min(log.last_index + 1, start + settings.append_entries_max)
        entries = log.slice(start, stop, settings.append_bytes_max)
        out.append(self._append(peer, start, entries))
        progress.sent_entries(entries[-1].index)
        return sum([len(entry.data) for entry in entries]) + entry_work * len(entries)

    def _append(self, peer: int, next_index: int, entries: Sequence[Entry]) -> Message:
        return self._outbox.append_entries(
            peer, self._log, next_index, entries, self.reads.newest_round
        )

    @property
    def _heir_is_ready(self) -> bool:
        """Whether the heir is still to be told, and lacks no entry."""
        return (
            self.heir is not None
            and not self._heir_was_told
            and self.heir in self._progress
            and self._progress[self.heir].match_index == self._log.last_index
        )

    def check(self) -> None:
        """That its accounts of followers and reads hold."""
        for progress in self._progress.values():
            progress.check(self._log.last_index)
        self.reads.check()
        require(self.heir in (None, *self._progress), "the heir is no follower")
