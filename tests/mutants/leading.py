"""Wrong versions of leadership: pre-votes, quorums, reads, handing over, damage, room.

Law: each is one plausible mistake, named by what it does wrong. Where only a scripted
test can notice, because no run of a whole node comes to show it, it says which.
"""

from __future__ import annotations

from .mutant import Mutant

LEADING = (
    Mutant(
        "a pre-candidate stands without a majority",
        "Election._count_vote",
        "not self._log.configuration.has_majority(self.votes)",
        "(self._standing.role is not Role.PRE_CANDIDATE"
        " and not self._log.configuration.has_majority(self.votes))",
    ),
    Mutant(
        "a pre-vote is given while a leader is heard",
        "Election.on_pre_vote.is_led",
        "self._standing.role is Role.LEADER or self._follower.hears_leader\n",
        "self._standing.role is Role.LEADER\n",
        test="tests/raft/test_leadership.py"
        "::test_every_word_of_the_leader_counts_and_not_only_its_first",
    ),
    Mutant(
        "who heard of a term beyond belief stands without asking for ever after",
        "Election._on_silence",
        "            self._is_out_of_reach = False\n            self._become_candidate()",
        "            self._become_candidate()",
    ),
    Mutant(
        "a leader counts as heard at the first contact only",
        "Follower.hear",
        "        self._heard_ms = standing.now_ms\n        self._timer.restart()\n",
        "            self._heard_ms = standing.now_ms\n        self._timer.restart()\n",
    ),
    Mutant(
        "heartbeats are so rare that only their followers' patience keeps a leader",
        "Leadership.tick",
        "            self._heir_was_told = False\n"
        "            self._heartbeat_deadline_ms = now_ms + ",
        "            self._heir_was_told = False\n"
        "            self._heartbeat_deadline_ms = now_ms + 4 * ",
    ),
    Mutant(
        "a pre-vote is given to a shorter log",
        "Election.on_pre_vote.granted",
        "        granted = self._may_vote and not is_led and not self._log.is_ahead_of(message)\n",
        "        granted = self._may_vote and not is_led\n",
        test="tests/raft/test_leadership.py::test_a_pre_vote_needs_a_log_at_least_as_up_to_date",
    ),
    Mutant(
        "a pre-vote of a lower term gets no answer, so the longer log never learns the term",
        "Outbox.reject_stale",
        "        if isinstance(request, PreVote | RequestVote):\n            self.reply",
        "        if isinstance(request, RequestVote):\n            self.reply",
        test="tests/raft/test_leadership.py"
        "::test_a_pre_vote_of_a_lower_term_is_refused_with_the_newer_one",
    ),
    Mutant(
        "a leader that nobody answers leads on",
        "Raft.tick",
        "        if self.leadership.has_lost_majority(now_ms):\n",
        "        if False:\n",
    ),
    Mutant(
        "one follower that answers keeps a leader",
        "Leadership._heard_ms",
        "self._log.configuration.reached_by_majority(heard_ms)",
        "max(heard_ms[peer] for peer in self._progress)",
        test="tests/raft/test_leadership.py"
        "::test_a_leader_that_no_majority_answers_steps_down_within_an_election_timeout",
    ),
    Mutant(
        "a leader that stood still goes on as if nothing were",
        "Raft.wake",
        "        elif silent_ms > self._settings.election_timeout_max_ms and ",
        "        elif silent_ms < 0 and ",
        test="tests/raft/test_leadership.py"
        "::test_a_leader_that_stood_still_leads_no_more_before_it_hears_anything",
    ),
    Mutant(
        "the heir is told to stand before it has caught up",
        "Leadership._heir_is_ready",
        "            and self._progress[self.heir].match_index == self._log.last_index\n",
        "",
        test="tests/raft/test_handing_over.py::test_an_heir_that_lags_gets_its_entries_first",
    ),
    Mutant(
        "leadership goes to a follower that is gone, if it was as close",
        "Leadership._heirs",
        "key=lambda peer: (self._progress[peer].match_index, self._progress[peer].heard_ms),",
        "key=lambda peer: self._progress[peer].match_index,",
        test="tests/raft/test_handing_over.py"
        "::test_of_equally_close_followers_the_one_that_answered_last_is_chosen",
    ),
    Mutant(
        "leadership is handed to a follower that was silent for long",
        "Leadership._heirs.answering",
        "            and progress.heard_ms >= since_ms\n            and peer not",
        "            and peer not",
    ),
    Mutant(
        "leadership is handed to a follower whose link is down",
        "Leadership._heirs.answering",
        "            and peer not in self._unreachable\n",
        "",
        test="tests/raft/test_handing_over.py::test_nobody_without_a_link_is_chosen",
    ),
    Mutant(
        "a follower without room is no heir though it lacks nothing",
        "Leadership._heirs",
        "                or self._progress[peer].match_index == self._log.last_index\n"
        "            ),\n",
        "            ),\n",
        test="tests/raft/test_handing_over.py"
        "::test_an_heir_without_room_that_lacks_nothing_is_chosen",
    ),
    Mutant(
        "an heir that is gone has its time all the same",
        "Leadership.tick",
        "            or self.heir in self._unreachable\n",
        "",
        test="tests/raft/test_handing_over.py::test_an_heir_whose_link_breaks_is_not_waited_for",
    ),
    Mutant(
        "leadership is handed over where no majority could elect",
        "Leadership._heirs",
        "        if not self._log.configuration.has_majority({self._id, *answering}):\n",
        "        if not answering:\n",
        test="tests/raft/test_handing_over.py"
        "::test_an_heir_that_no_majority_could_elect_is_not_chosen",
    ),
    Mutant(
        "commands are taken while leadership moves",
        "Raft.takes_commands",
        "        return self.leadership is not None and self.leadership.heir is None",
        "        return self.leadership is not None",
        test="tests/raft/test_handing_over.py::test_a_leader_that_hands_over_takes_no_commands",
    ),
    Mutant(
        "a follower answers reads as of what it knows to be committed",
        "Follower.ask_read_index",
        "self._outbox.ask_read_index(self.leader_id, self._standing.current_term, read_id)\n",
        "read = ReadReady(self._standing.id, read_id, self._log.commit_index)\n"
        "        self._ready_reads.append(read)\n",
    ),
    Mutant(
        "a follower is told an index that no majority confirmed",
        "Raft._on_read_index",
        "            self.leadership.add_read(message.sender, message.read_id)\n",
        "            read = ReadReady(message.sender, message.read_id, self.commit_index)\n"
        "            self._outbox.tell_read_index(read, self.current_term)\n",
        test="tests/raft/test_reads.py"
        "::test_a_leader_tells_a_follower_no_index_before_a_majority_confirmed_it",
    ),
    Mutant(
        "any node's word on a read index is believed",
        "Follower.on_read_index_reply",
        "        if message.sender == self.leader_id:\n",
        "        if True:\n",
        test="tests/raft/test_reads.py::test_a_follower_believes_only_its_leader",
    ),
    Mutant(
        "a leader reads in one turn all that a follower lacks",
        "Leadership._catch_up",
        "        while waiting and work_left > 0:\n",
        "        while waiting:\n",
        test="tests/raft/test_catch_up.py"
        "::test_a_turn_reads_a_bounded_number_of_entries_for_who_is_far_behind",
    ),
    Mutant(
        "a leader reads entries for a link that does not take them",
        "Leadership.messages",
        "            if peer in crowded:\n                continue\n",
        "",
        test="tests/raft/test_catch_up.py"
        "::test_a_crowded_follower_gets_heartbeats_and_costs_no_read",
    ),
    Mutant(
        "a link gets all at once that a turn took",
        "Leadership.messages",
        "            while work_left > 0 and (work := self._send_entries(out, peer)):\n",
        "            while work := self._send_entries(out, peer):\n",
        test="tests/raft/test_catch_up.py"
        "::test_of_what_is_new_a_turn_sends_no_more_than_a_link_can_hold",
    ),
    Mutant(
        "a leader sleeps though something new is left that a link had no room for",
        "Leadership.messages",
        "for peer in followers if peer not in crowded)",
        "for peer in behind)",
        test="tests/raft/test_catch_up.py"
        "::test_of_what_is_new_a_turn_sends_no_more_than_a_link_can_hold",
    ),
    Mutant(
        "a leader forgets what its last turn left to do",
        "Leadership.messages",
        "any(self._can_send(peer) for peer in followers if peer not in crowded)",
        "False",
        test="tests/raft/test_catch_up.py::test_what_a_turn_left_is_the_next_one_s",
    ),
    Mutant(
        "a node acknowledges entries that it has lost",
        "Outbox.accept_append",
        "min(last_taken, log.vouched_index)",
        "last_taken",
    ),
    Mutant(
        "a lost entry is replaced by any of its index",
        "RaftLog.repair",
        "        if is_missed and self.holds(entry.index, entry.term) and ",
        "        if is_missed and ",
        test="tests/raft/test_repair.py::test_an_entry_of_another_term_repairs_nothing",
    ),
    Mutant(
        "a node that lost entries stands for election",
        "Election._may_stand",
        "        if log.damaged or ",
        "        if ",
        test="tests/raft/test_repair.py::test_it_never_stands_for_election",
    ),
    Mutant(
        "a node that lost an entry gives what stands in its place",
        "RaftLog.sound_runs",
        "        for damaged_first, damaged_last in self.damaged.runs(start):\n",
        "        for damaged_first, damaged_last in list[tuple[int, int]]():\n",
        test="tests/raft/test_repair.py::test_who_has_lost_it_too_says_so",
    ),
    Mutant(
        "a peer that does not answer keeps others from giving",
        "Repair._ask",
        "            sweep.gives = False\n        sweep.claim = _NOTHING\n",
        "            return\n        sweep.claim = _NOTHING\n",
        test="tests/raft/test_repair.py"
        "::test_it_asks_every_peer_for_the_very_entries_and_says_so_once",
    ),
    Mutant(
        "lost entries are asked for again while they are on their way to the disk",
        "Repair._may_ask",
        "bool(log.damaged) and not log.is_repairing and ",
        "bool(log.damaged) and ",
        test="tests/raft/test_repair.py::test_different_peers_are_asked_for_different_entries",
    ),
    Mutant(
        "questions for lost entries pile up at a giver that stood still",
        "Repair.give",
        "        self._questions[request.sender] = request\n",
        "        self._questions[len(self._questions)] = request\n",
        test="tests/raft/test_repair.py"
        "::test_a_turn_answers_one_question_and_of_each_peer_the_latest",
    ),
    Mutant(
        "a follower without room takes entries",
        "Follower.on_append_entries.entries",
        "        entries = log.part_that_fits(message.entries)\n",
        "        entries = message.entries\n",
        test="tests/raft/test_room.py::test_a_follower_without_room_leaves_entries_out_and_says_so",
    ),
    Mutant(
        "followers look at a threshold only",
        "EntryRoom.fitting",
        "                taken += needed[position]\n",
        "",
        test="tests/raft/test_room.py"
        "::test_it_takes_the_entries_that_fit_and_waits_for_room_for_the_next",
    ),
    Mutant(
        "repairs do not ask for room",
        "RaftLog.repair",
        " and self.room.take_repair(entry):\n",
        ":\n",
        test="tests/raft/test_room.py::test_repairs_wait_until_they_fit",
    ),
    Mutant(
        "what a follower has no room for is sent again and again",
        "EntryRoom.has_room",
        "- self.taken_bytes > self._needed_bytes\n",
        "- self.taken_bytes > 0\n",
        test="tests/raft/test_room.py"
        "::test_it_takes_the_entries_that_fit_and_waits_for_room_for_the_next",
    ),
    Mutant(
        "leadership goes to whoever takes entries",
        "Leadership.roomier",
        "                if self._progress[peer].has_headroom\n",
        "                if self._progress[peer].has_room\n",
        test="tests/server/test_room.py"
        "::test_leadership_does_not_go_to_and_fro_between_nodes_that_are_short",
    ),
    Mutant(
        "who only rejected counts as one with headroom",
        "Leadership.roomier",
        "                and self._progress[peer].match_index\n",
        "",
        test="tests/raft/test_room.py",
    ),
    Mutant(
        "who has no room for a no-op stands",
        "Election._may_stand",
        "(log.room.takes_noops and self._may_vote)",
        "self._may_vote",
        test="tests/raft/test_room.py::test_who_could_not_open_a_term_does_not_stand",
    ),
    Mutant(
        "entries that were left out for want of room are vouched for",
        "Follower.on_append_entries.last_taken",
        "message.prev_log_index + len(entries)",
        "message.last_entry_index",
    ),
    Mutant(
        "a follower that has room again is sent nothing",
        "Progress.told_room",
        "        self.has_room = has_room\n",
        "        self.has_room = has_room and self.has_room\n",
    ),
    Mutant(
        "entries that were repaired are told of again and again",
        "Repair.persisted",
        "            self._told_ms, self._untold = self._now_ms, 0\n",
        "            self._told_ms = self._now_ms\n",
        test="tests/raft/test_repair.py"
        "::test_a_repair_that_takes_long_is_told_now_and_then_each_entry_once",
    ),
    Mutant(
        "who may not stand names a leader that fell silent",
        "Election._on_silence",
        "            self._follower.forget_leader()\n",
        "",
        test="tests/raft/test_repair.py"
        "::test_it_gives_up_a_leader_that_falls_silent_though_it_does_not_stand",
    ),
)
