"""Wrong versions of compaction: too much goes from the front of a log, or too little, or too soon.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

_STORES = "tests/storage/test_compaction.py"
_CORE = "tests/raft/test_compaction.py"
_NODE = "tests/server/test_compaction.py"
_DISK = "tests/sim/test_disk.py"
_LOGS = "tests/sim/test_log_checkers.py"

DROPPING = (
    Mutant(
        "what is dropped from a log stays in its file",
        "LmdbLog._remove",
        "            self._has_dropped = True\n",
        "            pass\n",
        test=f"{_STORES}::test_what_lies_before_the_start_stays_where_only_votes_have_room",
    ),
    Mutant(
        "the entry after which a log begins stays in its file",
        "_drop",
        "key > last",
        "key >= last",
        test=f"{_STORES}::test_what_lies_before_the_start_stays_where_only_votes_have_room",
    ),
    Mutant(
        "one write removes all that lies before the start of a log",
        "_drop",
        "    for _ in range(_DROPPED_RECORDS):\n",
        "    while True:\n",
        test=f"{_STORES}::test_what_lies_before_the_start_goes_a_little_with_each_write",
    ),
    Mutant(
        "one write removes so many records, however large they are",
        "_drop",
        "left_bytes <= 0",
        "left_bytes < -1 << 40",
        test=f"{_STORES}::test_what_lies_before_the_start_goes_a_little_with_each_write",
    ),
    Mutant(
        "a start forgets what is still to be removed before the start of a log",
        "LmdbLog.__init__",
        "            self._has_dropped = True\n",
        "            self._has_dropped = False\n",
        test=f"{_STORES}::test_what_lies_before_the_start_goes_a_little_with_each_write",
    ),
    Mutant(
        "a start takes what lies before the start of a log for damage",
        "LmdbLog._scan",
        "outline.start.index + 1)",
        "0)",
        test=f"{_STORES}::test_what_lies_before_the_start_goes_a_little_with_each_write",
    ),
    Mutant(
        "a node that has room for votes only removes what lies before its log",
        "LmdbLog._remove",
        "self._has_dropped and self._file.room_bytes() > self.truncation_bytes",
        "self._has_dropped",
        test=f"{_STORES}::test_what_lies_before_the_start_stays_where_only_votes_have_room",
    ),
    Mutant(
        "the term of what is left begins where it began before",
        "Outline._begun_after",
        "        behind = self.ranges[self.ranges_before(first + 1) :]\n",
        "        behind = self.ranges[self.ranges_before(first) :]\n",
        test=f"{_STORES}::test_what_is_at_and_before_the_start_is_dropped_and_nothing_else",
    ),
    Mutant(
        "a log may begin after an entry of another term than it holds",
        "Outline._begun_after",
        " or self.term(start.index) != start.term:",
        ":",
        test=f"{_STORES}::test_a_start_that_the_log_does_not_hold_is_a_mistake_of_the_caller",
    ),
    Mutant(
        "a log that was emptied may begin before what it began after",
        "Outline._begun_after",
        "not self.count and start.index >= self.start.index",
        "not self.count",
        test=f"{_STORES}::test_the_start_never_goes_back",
    ),
    Mutant(
        "a log is dropped before its tail is truncated",
        "Outline.after",
        """        if update.truncate_from is not None:
            left = left._truncated(update.truncate_from)
        if update.start is not None:
            left = left._begun_after(update.start)
""",
        """        if update.start is not None:
            left = left._begun_after(update.start)
        if update.truncate_from is not None:
            left = left._truncated(update.truncate_from)
""",
        test=f"{_STORES}::test_a_log_that_is_emptied_may_begin_anywhere_behind",
    ),
    Mutant(
        "what is dropped counts as if it were there",
        "Sizes._forget",
        "        self.total_bytes -= sum(self._bytes[runs])\n",
        "",
        test=f"{_STORES}::test_what_records_take_is_known_by_runs_whatever_happens",
    ),
    Mutant(
        "of a run that is cut, all counts",
        "Sizes.truncate",
        "        if is_cut:\n",
        "        if is_cut and not self._firsts:\n",
        test=f"{_STORES}::test_what_records_take_is_known_by_runs_whatever_happens",
    ),
    Mutant(
        "each entry is a run of its own",
        "Sizes.append",
        "runs[-1] < self._run_bytes and",
        "not runs[-1] and",
        test=f"{_STORES}"
        "::test_what_is_kept_in_memory_of_a_log_follows_its_runs_and_not_what_was_dropped",
    ),
    Mutant(
        "a run more is dropped than leaves what is to be kept",
        "Sizes.droppable",
        "left < bytes_min",
        "left + size < bytes_min",
        test=f"{_STORES}::test_the_front_may_go_by_whole_runs_and_what_is_kept_stays",
    ),
    Mutant(
        "all that may be dropped goes at once",
        "Sizes.droppable",
        "self._bytes[:runs_max]",
        "self._bytes",
        test=f"{_STORES}::test_the_front_may_go_by_whole_runs_and_what_is_kept_stays",
    ),
    Mutant(
        "what is not committed is dropped",
        "RaftLog.compact",
        "min(self.commit_index, self.durable_index)",
        "self.durable_index",
        test=f"{_CORE}::test_what_is_not_committed_is_not_dropped",
    ),
    Mutant(
        "what is not durable here is dropped",
        "RaftLog.compact",
        "min(self.commit_index, self.durable_index)",
        "self.commit_index",
        test=f"{_CORE}::test_what_is_not_durable_here_is_not_dropped",
    ),
    Mutant(
        "a log begins after what its disk has lost",
        "RaftLog.compact",
        "require(index <= self.vouched_index,",
        "require(index <= self.last_index,",
        test=f"{_CORE}::test_nothing_is_dropped_behind_what_the_disk_has_lost",
    ),
    Mutant(
        "what is dropped stays in memory",
        "RaftLog._begin_after",
        "        del self._cache[:gone]\n",
        "        del self._cache[:0]\n",
        test=f"{_CORE}::test_the_cache_forgets_what_is_dropped_and_nothing_else",
    ),
    Mutant(
        "a leader drops what a member may lack",
        "Leadership.needed_index",
        "        return min(needed, default=self._log.last_index)\n",
        "        return max(needed, default=self._log.last_index)\n",
        test=f"{_CORE}::test_a_leader_keeps_what_a_member_may_lack",
    ),
    Mutant(
        "who is in the cluster is forgotten with what is dropped",
        "RaftLog.submit",
        "            configuration=self._new_base,\n",
        "            configuration=None,\n",
        test=f"{_CORE}::test_what_is_dropped_of_configurations_is_known_as_of_the_start",
    ),
    Mutant(
        "a leader offers a follower what it has dropped",
        "Raft.compact",
        "            self.leadership.log_was_compacted()\n",
        "            pass\n",
        test=f"{_CORE}::test_a_leader_whose_log_was_compacted_goes_back_no_farther_than_that",
    ),
    Mutant(
        "a read waits for an entry that is not committed, as what opened its term was dropped",
        "Leadership.add_read.index",
        "log.commit_index if self.has_committed else log.last_term_start",
        "max(log.commit_index, log.last_term_start)",
        test=f"{_CORE}"
        "::test_a_read_waits_for_nothing_that_is_not_committed_though_its_term_was_opened_before",
    ),
    Mutant(
        "a leader keeps what a member lacks that is away, however long",
        "Leadership.needed_index",
        "            and max(progress.asked_ms, progress.answered_ms) >= since_ms\n",
        "",
        test=f"{_CORE}::test_a_leader_does_not_keep_what_who_is_gone_may_lack",
    ),
    Mutant(
        "a leader waits for no learner",
        "Leadership.needed_index",
        "max(progress.asked_ms, progress.answered_ms)",
        "progress.heard_ms",
        test=f"{_CORE}::test_a_learner_is_waited_for_as_long_as_it_answers",
    ),
    Mutant(
        "a leader keeps what a member lacks that takes no entries",
        "Leadership.needed_index",
        "            if progress.has_room\n            and",
        "            if",
        test=f"{_CORE}::test_who_has_no_room_for_entries_is_not_waited_for",
    ),
    Mutant(
        "a leader drops what follows the snapshot that it sends",
        "Leadership.needed_index",
        "            needed.append(behind)\n",
        "            pass\n",
        test=f"{_CORE}::test_who_needs_a_snapshot_is_waited_for_with_what_follows_it",
    ),
    Mutant(
        "a node drops what its disk has lost",
        "Raft.compactable_index",
        "log.durable_index, log.vouched_index)",
        "log.durable_index)",
        test=f"{_CORE}::test_a_node_that_lost_an_entry_drops_nothing_behind_it",
    ),
    Mutant(
        "a node drops what no checkpoint has made durable",
        "Compaction._droppable",
        "min(last_index, self._state_store.applied().last_applied)",
        "last_index",
    ),
    Mutant(
        "a node drops what the core says is needed",
        "Compaction._spare_index",
        "self._raft.droppable_index",
        "self._raft.compactable_index",
        test=f"{_NODE}::test_what_a_follower_lacks_that_answers_stays",
    ),
    Mutant(
        "a node keeps nothing of its log that it could drop",
        "Compaction._droppable",
        "sizes.droppable(durable_index, bytes_min,",
        "sizes.droppable(durable_index, 0,",
        test=f"{_NODE}::test_a_log_keeps_what_is_to_be_kept_and_little_more",
    ),
    Mutant(
        "a node drops at once whatever it can",
        "RUNS_PER_TURN",
        "= 8",
        "= 1 << 30",
        test=f"{_NODE}::test_no_turn_drops_more_than_a_little",
    ),
    Mutant(
        "a node tells each time that its log begins later",
        "Compaction.tick",
        "        self._has_told = True\n",
        "        self._has_told = False\n",
        test=f"{_NODE}::test_it_is_told_once_and_shown",
    ),
    Mutant(
        "a node names what it dropped last as what its log begins with",
        "Compaction.tick",
        "index + 1, self._kept_bytes",
        "index, self._kept_bytes",
        test=f"{_NODE}::test_it_is_told_once_and_shown",
    ),
    Mutant(
        "a node drops its log though only votes have room",
        "Compaction._has_room",
        "> self._log_store.truncation_bytes",
        ">= 0",
        test=f"{_NODE}::test_nothing_is_dropped_where_only_votes_have_room",
    ),
    Mutant(
        "whoever is sent the log holds all of it",
        "Compaction._withheld_index",
        "elif self._log_store.sizes.total_bytes <= self._held_bytes:",
        "elif self._log_store.sizes.total_bytes:",
        test=f"{_NODE}::test_what_is_held_for_who_answers_slowly_has_a_bound_in_bytes",
    ),
    Mutant(
        "the log is held for others though clients are refused for want of its room",
        "Compaction._withheld_index",
        "if self._is_short:",
        "if self._is_short and not self._held_bytes:",
        test=f"{_NODE}::test_where_clients_are_refused_for_want_of_room_no_log_is_held_for_others",
    ),
    Mutant(
        "less log is held than a snapshot would take",
        "Compaction._snapshot_bytes",
        "max(sent_bytes, self._state_store.data_bytes())",
        "sent_bytes",
        test=f"{_NODE}::test_as_much_log_is_held_as_a_snapshot_would_take",
    ),
    Mutant(
        "after a snapshot that was too old the next one is written at once",
        "Spooling._look_at",
        "self._put_off(fault, now_ms) if fault and",
        "[] if fault and",
        test=f"{_NODE}"
        "::test_what_is_held_for_who_fetches_a_snapshot_has_a_bound_and_the_next_one_waits",
    ),
    Mutant(
        "a snapshot is written to its end though it is too old by now",
        "Spooling._reason_to_give_up",
        "self._is_too_old(writing.index)",
        "self._is_too_old(1 << 62)",
        test="tests/server/test_sending_snapshots.py"
        "::test_a_file_that_is_too_old_before_it_is_whole_is_given_up",
    ),
    Mutant(
        "more of a log is kept than its map holds",
        "settings.check",
        "settings.log_kept_bytes > kept_bytes_max",
        "settings.log_kept_bytes < 0",
        test="tests/config/test_settings.py"
        "::test_a_log_that_keeps_too_little_or_more_than_its_map_holds_is_refused",
    ),
    Mutant(
        "a simulated write that is lost has dropped what it dropped",
        "SimulatedLog.lose_unsynced",
        "[*before.dropped, *left,",
        "[*left,",
        test=f"{_DISK}::test_a_lost_write_brings_back_what_it_had_dropped",
    ),
    Mutant(
        "a simulated disk has what was dropped from it",
        "SimulatedLog.synced",
        "            self.terms.drop(update.start.index)\n",
        "",
        test=f"{_DISK}::test_a_lost_write_brings_back_what_it_had_dropped",
    ),
    Mutant(
        "who judges what is dropped does not look at the state",
        "Dropping._check_start",
        "        if applied < start.index:\n",
        "        if applied < 0:\n",
        test=f"{_LOGS}::test_what_no_checkpoint_has_made_durable_must_not_be_dropped",
    ),
    Mutant(
        "who judges logs takes it that the first entry follows what the world began with",
        "LogMatching.synced",
        "host.disk.log.start.term if is_first",
        "self.start.term if is_first",
        test=f"{_LOGS}::test_an_entry_follows_the_same_one_whether_that_was_dropped_or_not",
    ),
    Mutant(
        "who judges what disks keep takes what was dropped for lost",
        "Retention._look_at",
        "index > terms.start and",
        "index > self.start.index and",
        test=f"{_LOGS}::test_what_is_durable_in_the_state_may_be_dropped_and_followed",
    ),
    Mutant(
        "simulated damage strikes what is dropped meanwhile",
        "SimulatedLog.lose_term",
        "if self.outline.holds(index)",
        "if index <= self.last_index",
        test=f"{_DISK}::test_damage_during_a_write_spares_what_that_drops",
    ),
    Mutant(
        "the index of a configuration moves with the log's start",
        "RaftLog.compact",
        "*self.configurations.held_at(index)",
        "index, self.configurations.as_of(index)",
        test="tests/raft/test_compaction.py::test_a_configuration_keeps_its_index_when_its_entry_is_dropped",
    ),
)
