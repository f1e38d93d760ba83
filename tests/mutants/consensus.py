"""Wrong versions of terms, elections, replication and commitment.

Law: each is one plausible mistake, named by what it does wrong. Where only a scripted
test can notice, because no run of a whole node comes to show it, it says which.
"""

from __future__ import annotations

from .mutant import Mutant

LOG_START = "tests/raft/test_log_start.py"

CONSENSUS = (
    Mutant(
        "a higher term is not adopted",
        "Raft.step",
        "            self._become_follower(message.term)\n        elif",
        "            pass\n        elif",
    ),
    Mutant(
        "a lower term is processed",
        "Raft.step",
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n"
        "            return\n",
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n",
    ),
    Mutant(
        "a lower term gets no answer, so its leader is never fenced",
        "Outbox.reject_stale",
        "        elif isinstance(request, AppendEntries):\n            self.reject_append",
        "        elif isinstance(request, RequestVote):\n            self.reject_append",
        test="tests/raft/test_terms.py::test_every_role_rejects_an_append_of_a_lower_term",
    ),
    Mutant(
        "replies to votes of an old term count",
        "Raft.step",
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n"
        "            return\n",
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n"
        "            if not isinstance(message, RequestVoteReply):\n                return\n",
        test="tests/raft/test_terms.py",
    ),
    Mutant(
        "replies to appends of an old term count",
        "Raft.step",
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n"
        "            return\n",
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n"
        "            if not isinstance(message, AppendEntriesReply):\n                return\n",
        test="tests/raft/test_terms.py::test_every_role_drops_a_reply_of_a_lower_term",
    ),
    Mutant(
        "the vote is kept into a new term",
        "Standing.enter",
        "        self.voted_for = vote\n",
        "        self.voted_for = self.voted_for if vote is None else vote\n",
    ),
    Mutant(
        "the vote is cleared by a step-down within a term",
        "Follower.become",
        "        if term > standing.current_term:\n            standing.enter(term)\n",
        "        standing.enter(term)\n",
    ),
    Mutant(
        "a candidate keeps its term",
        "Election._become_candidate",
        "standing.enter(standing.current_term + 1, vote",
        "standing.enter(standing.current_term, vote",
    ),
    Mutant(
        "a second vote in one term",
        "Election.on_request_vote",
        "elif voted_for not in (None, message.sender):",
        "elif message.sender == self._standing.id:",
    ),
    Mutant(
        "a vote for a candidate whose log is behind",
        "Election.on_request_vote",
        "        elif self._log.is_ahead_of(message):",
        "        elif message.last_log_index < 0:",
        test="tests/raft/test_elections.py::test_a_vote_needs_a_log_at_least_as_up_to_date",
    ),
    Mutant(
        "logs are compared by length alone",
        "RaftLog.is_ahead_of",
        "        return (self.last_term, self.last_index) > theirs",
        "        return self.last_index > theirs[1]",
        test="tests/raft/test_elections.py::test_a_vote_needs_a_log_at_least_as_up_to_date",
    ),
    Mutant(
        "the vote is not persisted",
        "Raft.take_effects.hard_state",
        "        hard_state = self.standing.hard_state\n",
        "        hard_state = type(self.standing.hard_state)(\n"
        "            self.current_term, self.durable_hard_state.voted_for, self.admitted_at\n"
        "        )\n",
    ),
    Mutant(
        "the term is persisted only with a vote",
        "Raft.take_effects.is_new",
        "        is_new = hard_state != self._submitted_hard_state\n",
        "        is_new = (\n"
        "            hard_state != self._submitted_hard_state and self.voted_for is not None\n"
        "        )\n",
    ),
    Mutant(
        "a vote that was refused counts",
        "Election.on_vote_reply",
        " is not asked_as or not message.vote_granted:",
        " is not asked_as:",
    ),
    Mutant(
        "half of the votes is enough",
        "Configuration.majority",
        "        return len(self.voters) // 2 + 1",
        "        return (len(self.voters) + 1) // 2",
        test="tests/raft/test_elections.py"
        "::test_a_candidate_with_a_majority_of_votes_becomes_leader",
    ),
    Mutant(
        "one vote less than a majority is enough",
        "Configuration.has_majority",
        ">= self.majority",
        ">= self.majority - 1",
    ),
    Mutant(
        "an outsider's vote counts",
        "Configuration.has_majority",
        "len(self.voters & supporters)",
        "len(supporters)",
        test="tests/raft/test_configuration.py",
    ),
    Mutant(
        "a leader counts its followers as it found them",
        "PerPeer.of",
        "        if configuration is not self._configuration:\n",
        "        if False:\n",
        test="tests/raft/test_configuration.py",
    ),
    Mutant(
        "votes of an earlier candidacy are kept",
        "Election._ask_for_votes",
        "        self.votes = set()\n",
        "",
    ),
    Mutant(
        "a new leader opens its term with no entry",
        "Raft._become_leader",
        "        self.log.add(self.current_term, EntryKind.NOOP, str(self.id).encode())\n",
        "",
    ),
    Mutant(
        "blind truncation",
        "RaftLog.take",
        "            if self.holds(entry.index, entry.term):\n",
        "            if entry.index == 0:\n",
    ),
    Mutant(
        "a conflicting entry stays",
        "RaftLog.take",
        "            if self.holds(entry.index, entry.term):\n",
        "            if entry.index <= self.last_index:\n",
    ),
    Mutant(
        "prev_log_term is not compared",
        "Follower.on_append_entries",
        "        if not log.holds(message.prev_log_index, message.prev_log_term):",
        "        if message.prev_log_index > log.last_index:",
    ),
    Mutant(
        "a follower vouches for its whole log",
        "Follower.on_append_entries",
        "term, log, last_taken=last_taken)",
        "term, log, last_taken=log.last_index)",
    ),
    Mutant(
        "a follower commits past what the leader vouched for",
        "Follower.on_append_entries",
        "min(message.leader_commit, last_taken)",
        "min(message.leader_commit, log.last_index)",
    ),
    Mutant(
        "the commit index follows every leader, back as well",
        "RaftLog.commit",
        "max(self.commit_index, index)",
        "index",
    ),
    Mutant(
        "a rejection of the past moves next_index back",
        "Progress.rejected",
        "        if prev_log_index <= self.match_index or prev_log_index >= self.next_index:\n"
        "            return\n",
        "",
        test="tests/raft/test_faults.py::test_a_delayed_reject_sends_nothing_twice",
    ),
    Mutant(
        "match_index goes back",
        "Progress.accepted",
        "        self.match_index = max(self.match_index, match_index)",
        "        self.match_index = match_index",
        test="tests/raft/test_faults.py::test_a_delayed_success_does_not_move_match_index_back",
    ),
    Mutant(
        "a rejection does not back up",
        "Progress.rejected",
        "self.next_index = max(self._first_that_may_lack, min(next_index, prev_log_index))\n",
        "pass\n",
    ),
    Mutant(
        "a truncation leaves the terms of what it removed",
        "Terms.truncate",
        "        while self._starts and self._starts[-1] >= from_index:",
        "        while self._starts and self._starts[-1] > from_index:",
        test="tests/raft/test_log.py::test_a_truncation_keeps_the_terms_before_it",
    ),
    Mutant(
        "a truncation does not reach the disk",
        "RaftLog.truncate",
        "            self._truncate_from = from_index\n",
        "",
    ),
    Mutant(
        "what comes before the log is compared",
        "RaftLog.holds",
        "            return True\n",
        "            return False\n",
        test=LOG_START,
    ),
    Mutant(
        "a log that begins in the term of its start knows no terms",
        "RaftLog._note",
        "        if entry.term != self._terms.last:\n",
        "        if entry.term != self.last_term:\n",
        test=LOG_START,
    ),
    Mutant(
        "what is before its log a follower vouches for one by one",
        "Follower.on_append_entries.last_taken",
        "max(message.prev_log_index + len(entries), log.start.index)",
        "message.prev_log_index + len(entries)",
        test=LOG_START,
    ),
    Mutant(
        "a leader goes back to where its log does not reach",
        "Progress._first_that_may_lack",
        "max(self.match_index + 1, self._first_index)",
        "self.match_index + 1",
        test=LOG_START,
    ),
    Mutant(
        "who needs what is before the log is sent entries again and again",
        "Progress.can_send_entries",
        "not self.has_room or self.needs_older",
        "not self.has_room",
        test=LOG_START,
    ),
    Mutant(
        "who needed what is before the log never gets entries again",
        "Progress.accepted",
        "        self.needs_older = False\n",
        "",
        test=LOG_START,
    ),
    Mutant(
        "where a log begins is not on record",
        "Outline.extent",
        "len(self.ranges), self.start)",
        "len(self.ranges))",
        test="tests/storage/test_log_start.py",
    ),
    Mutant(
        "an outline that lacks its first entries passes for whole",
        "Outline.check",
        "(position == 0 and one.first_index != next_index)",
        "False",
        test="tests/storage/test_log_start.py",
    ),
    Mutant(
        "a log in which what comes before it is newer than the hard state passes for whole",
        "Outline.check",
        "        last_term = max(last_term, start.term)\n",
        "",
        test="tests/storage/test_log_start.py",
    ),
    Mutant(
        "entries of an old term are committed by counting",
        "Leadership.advance_commit_index",
        "if index > log.commit_index and log.term(index) == log.last_term:",
        "if index > log.commit_index:",
        test="tests/raft/test_commitment.py"
        "::test_entries_of_old_terms_are_not_committed_by_counting",
    ),
    Mutant(
        "a minority commits",
        "Configuration.reached_by_majority",
        "        return ordered[self.majority - 1]",
        "        return ordered[self.majority - 2]",
    ),
    Mutant(
        "the leader counts its own entries before its fsync",
        "Leadership.vouched",
        "self._log.durable_index",
        "self._log.last_index",
        test="tests/raft/test_durability.py::test_the_own_entries_count_only_once_they_are_durable",
    ),
    Mutant(
        "what is not durable here is applied",
        "RaftLog.readable",
        "        stop = min(last, self.durable_index) + 1\n",
        "        stop = last + 1\n",
        test="tests/raft/test_durability.py"
        "::test_a_leader_commits_without_its_own_disk_but_applies_only_what_it_holds",
    ),
    Mutant(
        "a new leader reads before its no-op is committed",
        "Raft.ready_reads",
        "self.leadership.reads and self.leadership.has_committed:\n            ready",
        "self.leadership.reads:\n            ready",
        test="tests/raft/test_reads.py"
        "::test_a_new_leader_answers_no_read_before_its_no_op_is_committed",
    ),
    Mutant(
        "a leader reads without asking a majority",
        "PendingReads.release",
        "        while self._waiting and self._waiting[0][0] <= confirmed:",
        "        while self._waiting:",
        test="tests/sim/test_plans.py::test_a_bug_that_was_found_once_is_gone",
    ),
    Mutant(
        "a confirmation from before the read counts",
        "PendingReads.add",
        "        self._waiting.append((self.newest_round + 1, read))",
        "        self._waiting.append((self.newest_round, read))",
        test="tests/raft/test_reads.py"
        "::test_a_read_is_answered_once_and_not_below_the_commit_index",
    ),
    Mutant(
        "a read is answered as of nothing",
        "Leadership.add_read.index",
        "        index = log.commit_index if self.has_committed else log.last_term_start",
        "        index = 0",
        test="tests/raft/test_reads.py"
        "::test_a_read_is_answered_once_and_not_below_the_commit_index",
    ),
    Mutant(
        "only the first entry of a batch may admit somebody",
        "RaftLog.append",
        "                self._note(entry)\n                last_term = entry.term\n",
        "                if entry.kind is COMMAND or entry is entries[0]:\n"
        "                    self._note(entry)\n                last_term = entry.term\n",
        test="tests/raft/test_batches.py::test_a_batch_leaves_the_log_as_its_entries_one_by_one",
    ),
    Mutant(
        "entries that are here already take room once more",
        "RaftLog.part_that_fits",
        "entries[: held + self.room.fitting(entries[held:])]",
        "entries[: max(held, self.room.fitting(entries))]",
        test="tests/raft/test_batches.py"
        "::test_a_batch_is_taken_up_to_the_first_entry_that_does_not_fit",
    ),
)
