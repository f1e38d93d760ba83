"""Wrong versions of what becomes durable later: updates under way, and what rests on them."""

from __future__ import annotations

from .mutant import Mutant

UPDATES = "tests/raft/test_updates.py"
_LOGS = "tests/sim/test_log_checkers.py"

UPDATING = (
    Mutant(
        "what was truncated while it was written counts",
        "RaftLog.truncate",
        "            self._under_way.cut(self.last_index)\n",
        "",
        test=f"{UPDATES}::test_what_was_truncated_while_it_was_written_does_not_count",
    ),
    Mutant(
        "only what is durable is truncated",
        "RaftLog.truncate",
        "        if from_index <= self.submitted_index:\n",
        "        if from_index <= self.durable_index:\n",
        test=f"{UPDATES}::test_what_was_truncated_whole_while_it_was_written_does_not_count",
    ),
    Mutant(
        "a truncation is handed to the disk again and again",
        "RaftLog.submit",
        "        self._truncate_from = self._new_start = self._new_base = None\n",
        "        self._new_start = self._new_base = None\n",
        test=f"{UPDATES}::test_a_truncation_is_handed_to_the_disk_once",
    ),
    Mutant(
        "a repair is handed to the disk again and again",
        "Repairs.take_new",
        "        self._new.clear()\n",
        "",
        test=f"{UPDATES}::test_a_repair_is_handed_over_once_and_counts_when_it_is_durable",
    ),
    Mutant(
        "an update counts with all that come after it",
        "RaftLog.mark_durable",
        "            self.durable_index = one.last_index\n",
        "            self.durable_index = self.submitted_index\n",
    ),
    Mutant(
        "a vote that is under way counts",
        "Raft.persisted",
        "        if self._election.persisted(self.durable_hard_state):\n",
        "        if self._election.persisted(self._submitted_hard_state):\n",
        test=f"{UPDATES}::test_a_vote_for_an_earlier_term_wins_no_later_one",
    ),
    Mutant(
        "what is said rests on the update before",
        "Raft.take_effects",
        "        self._outbox.rest_on(self.log.submitted_number)\n",
        "        self._outbox.rest_on(self.log.submitted_number - 1)\n",
    ),
    Mutant(
        "what brings nothing new rests on nothing",
        "Raft.take_effects",
        "        self._outbox.rest_on(self.log.submitted_number)\n",
        "        self._outbox.rest_on(effects.update.number)\n",
        test=f"{UPDATES}::test_what_is_said_in_a_term_waits_until_that_is_durable",
    ),
    Mutant(
        "a directory speaks as one that votes after its admission was taken back",
        "Outbox.take",
        " and m.admitted_at <= self.admitted_at]",
        "]",
        test="tests/raft/test_rejoin.py"
        "::test_nobody_hears_of_an_admission_that_was_taken_back_in_the_same_turn",
    ),
    Mutant(
        "the prospect of a vote waits for the disk, whoever is heard meanwhile",
        "Outbox.take",
        "        if hears_leader:\n",
        "        if False:\n",
        test=f"{UPDATES}::test_the_prospect_of_a_vote_is_over_when_a_leader_is_heard",
    ),
    Mutant(
        "a hard state is handed to the disk until it is durable",
        "Raft.take_effects.is_new",
        "        is_new = hard_state != self._submitted_hard_state\n",
        "        is_new = hard_state != self.durable_hard_state\n",
        test=f"{UPDATES}::test_a_vote_that_is_under_way_is_not_handed_over_again",
    ),
    Mutant(
        "what is under way is applied",
        "RaftLog.readable",
        "        stop = min(last, self.durable_index) + 1\n",
        "        stop = min(last, self.submitted_index) + 1\n",
        test=f"{UPDATES}::test_nothing_is_applied_that_is_only_under_way",
    ),
    Mutant(
        "room is given back for updates that are under way",
        "EntryRoom.submit",
        "        self._submitted_bytes = self.taken_bytes\n        return submitted",
        "        return submitted",
        test="tests/raft/test_accounts.py"
        "::test_room_for_entries_is_what_was_offered_less_what_was_taken",
    ),
    Mutant(
        "an update at a time is taken note of",
        "RaftLog.mark_durable",
        "        while one :=",
        "        if one :=",
        test=f"{UPDATES}::test_several_updates_become_durable_at_once",
    ),
    Mutant(
        "an update gives back the room of all that are under way",
        "EntryRoom.durable",
        "        self._submitted_bytes -= submitted_bytes\n",
        "        self._submitted_bytes = 0\n",
        test="tests/raft/test_accounts.py"
        "::test_room_for_entries_is_what_was_offered_less_what_was_taken",
    ),
    Mutant(
        "a leader whose disk hangs leads on",
        "Raft.tick",
        "        if written_ms > self._settings",
        "        if False and written_ms > self._settings",
        test=f"{UPDATES}::test_a_leader_whose_disk_hangs_for_longer_than_elections_take_steps_down",
    ),
    Mutant(
        "who stands does not wait for its own vote",
        "Election.tick",
        "        if self._log.is_writing:\n",
        "        if False:\n",
        test=f"{UPDATES}::test_who_stands_waits_for_its_own_vote_and_then_for_those_of_others",
    ),
    Mutant(
        "who stands waits for others while its own vote is written",
        "Election.persisted",
        "            self._timer.start(standing.now_ms)\n",
        "            pass\n",
        test=f"{UPDATES}::test_who_stands_waits_for_its_own_vote_and_then_for_those_of_others",
    ),
    Mutant(
        "what waits for a disk that hangs has no bound",
        "Outbox.__init__",
        "deque(maxlen=_TURNS_MAX)",
        "deque()",
        test=f"{UPDATES}::test_what_is_said_for_a_disk_that_hangs_is_bounded",
    ),
    Mutant(
        "a node sleeps though its writer has got further",
        "Node.is_busy",
        "            or self._writer.durable_number != raft.durable_number\n",
        "",
        test="tests/server/test_busy.py::test_a_node_goes_on_when_its_writer_has",
    ),
    Mutant(
        "a node takes turn after turn for an entry that it cannot read",
        "Node.is_busy.has_more",
        "raft.log.applicable_index",
        "min(raft.log.commit_index, raft.log.durable_index)",
        test="tests/server/test_busy.py"
        "::test_a_node_that_lost_a_committed_entry_rests_while_nobody_gives_it",
    ),
    Mutant(
        "who judges what is durable passes what the disk lacks",
        "Durability.turned",
        "term != raft.log.term(index)",
        "term not in (None, raft.log.term(index))",
        test=f"{_LOGS}::test_an_entry_that_is_taken_for_durable_and_is_not_is_found",
    ),
    Mutant(
        "who judges what is durable passes another entry",
        "Durability.turned",
        "term != raft.log.term(index)",
        "term is None",
        test=f"{_LOGS}::test_an_entry_that_is_taken_for_durable_and_is_not_is_found",
    ),
    Mutant(
        "who judges what is durable passes the first entry of a log",
        "Durability.turned",
        "index > first",
        "index > first + 1",
        test=f"{_LOGS}::test_an_entry_that_is_taken_for_durable_and_is_not_is_found",
    ),
    Mutant(
        "who judges what is durable passes a later term",
        "Durability.turned",
        "taken.current_term > held.current_term or ",
        "",
        test=f"{_LOGS}::test_a_hard_state_that_is_taken_for_durable_and_is_not_is_found",
    ),
    Mutant(
        "who judges what is durable passes a later admission",
        "Durability.turned",
        " or taken.admitted_at > held.admitted_at",
        "",
        test=f"{_LOGS}::test_a_hard_state_that_is_taken_for_durable_and_is_not_is_found",
    ),
    Mutant(
        "who judges what is durable passes a vote of the term",
        "Durability.turned",
        "taken.current_term == held.current_term and",
        "taken.current_term > held.current_term and",
        test=f"{_LOGS}::test_a_hard_state_that_is_taken_for_durable_and_is_not_is_found",
    ),
    Mutant(
        "who judges what is durable wants the vote of an earlier term",
        "Durability.turned",
        "taken.current_term == held.current_term and",
        "taken.current_term <= held.current_term and",
        test=f"{_LOGS}::test_what_is_taken_for_durable_is_on_the_disk_which_may_be_ahead",
    ),
    Mutant(
        "who hears a node vouch passes another entry than its disk holds",
        "PersistThenSpeak.speaks",
        "            self._check_entry(host, message.match_index)\n",
        "",
        test=f"{_LOGS}::test_a_node_vouches_for_no_other_entry_than_its_disk_holds",
    ),
    Mutant(
        "who hears a node vouch passes the first entry of its log",
        "PersistThenSpeak._check_entry",
        "index > terms.start",
        "index > terms.start + 1",
        test=f"{_LOGS}::test_a_node_vouches_for_no_other_entry_than_its_disk_holds",
    ),
)
