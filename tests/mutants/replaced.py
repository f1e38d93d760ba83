"""Wrong versions of which directory of a node counts (decision 17).

Law: each is one plausible mistake, named by what it does wrong. Where only a scripted
test can notice, because no run of a whole node comes to show it, it says which.
"""

from __future__ import annotations

from .mutant import Mutant

OLD = "tests/raft/test_old_directories.py"
REJOIN = "tests/raft/test_rejoin.py"
COUNT = "tests/raft/test_configuration.py"
ACCOUNTS = "tests/raft/test_accounts.py"

REPLACED = (
    Mutant(
        "who was removed stands and votes when that is committed",
        "Election._may_vote",
        "        return ended_at is None\n",
        "        return True\n",
        test=f"{OLD}::test_a_replaced_directory_neither_votes_nor_stands_once_that_is_committed",
    ),
    Mutant(
        "who is removed neither stands nor votes though that may never be committed",
        "Election._may_vote.ended_at",
        ", log.commit_index)",
        ")",
        test=f"{OLD}::test_who_was_made_a_learner_or_removed_may_stand_until_that_is_committed",
    ),
    Mutant(
        "a learner does not stand though nobody else can win",
        "Election._may_stand",
        "            member is None or not member.is_voter or member.votes_as(",
        "            member is None or member.votes_as(",
        test=f"{OLD}::test_a_learner_with_the_newest_log_may_be_the_only_one_that_can_win",
    ),
    Mutant(
        "a directory stands though another votes for its node",
        "Election._may_stand",
        " or member.votes_as(standing.directory)\n",
        " or True\n",
        test=f"{OLD}::test_it_does_not_stand_while_another_directory_votes_for_its_node",
    ),
    Mutant(
        "a vote counts whichever directory gave it",
        "Election.on_vote_reply",
        "        if member is None or not member.votes_as(message.directory):\n",
        "        if member is None:\n",
        test=f"{OLD}::test_only_the_vote_of_the_directory_that_the_log_admits_counts",
    ),
    Mutant(
        "a directory's votes do not name it",
        "Outbox.reply_to_vote.directory",
        "self._directory",
        '""',
        test=f"{REJOIN}::test_its_votes_say_of_which_directory_they_are",
    ),
    Mutant(
        "what a directory holds counts that does not vote",
        "Leadership.vouched",
        "            peer: progress.match_index if self._counts(peer) else 0\n",
        "            peer: progress.match_index\n",
        test=f"{REJOIN}"
        "::test_what_it_holds_commits_nothing_while_its_node_still_votes_by_the_lost_one",
    ),
    Mutant(
        "a new directory is taken to hold what the old one held",
        "Leadership.heard",
        "        if directory != progress.directory:\n",
        "        if directory != progress.directory and not progress.match_index:\n",
        test=f"{REJOIN}::test_it_begins_anew_whatever_its_old_directory_held",
    ),
    Mutant(
        "a directory confirms reads before it votes",
        "Leadership.heard",
        "        if self._counts(reply.sender):\n",
        "        if True:\n",
        test=f"{REJOIN}::test_it_confirms_no_reads_while_its_node_still_votes_by_the_lost_one",
    ),
    Mutant(
        "a directory counts only once it knows that it votes",
        "Leadership._counts",
        "member.votes_as(self._progress[peer].directory)",
        "member.votes_as(self._progress[peer].directory) and not member.directory",
        test=f"{REJOIN}::test_its_vote_counts_as_soon_as_a_leader_has_made_it_a_voter",
    ),
    Mutant(
        "a lost directory is replaced by its new one in one change",
        "promotion_of",
        " or member.is_voter or not",
        " or not",
        test=f"{REJOIN}::test_it_is_made_a_learner_and_votes_once_it_has_caught_up",
    ),
    Mutant(
        "a member is made a learner though too few are left that answer",
        "demotion_for",
        "without if without.has_majority(answering) else None\n",
        "without\n",
        test=f"{REJOIN}::test_a_lost_directory_is_no_reason_to_leave_too_few_that_answer",
    ),
    Mutant(
        "a leader changes members before it has committed an entry of its term",
        "reason_to_wait",
        "    if not has_committed:\n",
        "    if not log.last_index:\n",
        test=f"{REJOIN}::test_nothing_is_changed_before_an_entry_of_the_leader_s_term_is_committed",
    ),
    Mutant(
        "two changes of members are under way at once",
        "reason_to_wait",
        "    if log.configurations.in_force_at > log.commit_index:\n",
        "    if log.configurations.in_force_at > log.last_index:\n",
        test=f"{REJOIN}::test_one_change_is_under_way_at_a_time",
    ),
    Mutant(
        "members change while leadership moves",
        "reason_to_wait",
        "    if is_handing_over:\n",
        "    if is_handing_over and not log.last_index:\n",
        test=f"{REJOIN}::test_nothing_is_changed_while_leadership_moves",
    ),
    Mutant(
        "a leader without room changes members",
        "reason_to_wait",
        "    if not log.room.takes_noops:\n",
        "    if not log.last_index:\n",
        test=f"{REJOIN}::test_a_leader_without_room_changes_nothing",
    ),
    Mutant(
        "a configuration is in force only once it is committed",
        "RaftLog._configure",
        "        self.configuration = self.configurations.in_force\n",
        "        self.configuration = self.configurations.as_of(self.commit_index)\n",
        test=f"{REJOIN}::test_its_vote_counts_as_soon_as_a_leader_has_made_it_a_voter",
    ),
    Mutant(
        "a configuration that was truncated stays in force",
        "RaftLog.truncate",
        "        self.configurations.truncate(from_index)\n",
        "",
        test=f"{OLD}::test_an_admission_that_is_truncated_binds_no_more",
    ),
    Mutant(
        "a damaged configuration is not in force when it is back",
        "RaftLog.repair",
        "            if entry.kind is CONFIGURE:\n"
        "                self._configure(entry)\n            self._repairs",
        "            self._repairs",
        test=ACCOUNTS,
    ),
    Mutant(
        "a configuration is forgotten in a restart",
        "recovered",
        "            configurations.append(entry)\n",
        "            pass\n",
        test="tests/storage/test_log_store.py"
        "::test_configurations_that_can_be_read_are_found_at_start",
    ),
    Mutant(
        "an admission that was truncated lasts",
        "Configurations.admission_of",
        "        return known if known <= self._held[0][0] else NOT_ADMITTED\n",
        "        return known\n",
        test=f"{REJOIN}"
        "::test_an_admission_makes_it_a_voter_from_the_append_on_and_only_as_long_as_it_is_there",
    ),
    Mutant(
        "a directory is admitted by the entry for another",
        "Configurations.admission_of",
        "member.votes_as(directory)",
        "member.is_voter",
        test=f"{REJOIN}::test_the_admission_of_an_earlier_directory_admits_no_later_one",
    ),
    Mutant(
        "a removed node is heard",
        "reason_to_ignore",
        "    if index is not None and not isinstance(message, AppendEntries):\n",
        "    if index is not None and message.term < 0:\n",
        test=f"{OLD}::test_a_candidate_of_a_replaced_directory_gets_no_vote_and_moves_no_term",
    ),
    Mutant(
        "strangers are heard whatever they know",
        "reason_to_ignore",
        "    if sender == ours.node_id or log.configurations.rules_out(sender, admitted_at):\n",
        "    if sender == ours.node_id:\n",
        test="tests/raft/test_faults.py::test_messages_of_strangers_change_nothing",
    ),
    Mutant(
        "who holds a doomed entry is deaf to the only candidate that can win",
        "reason_to_ignore.index",
        ", log.commit_index)",
        ")",
        test=f"{OLD}::test_whose_end_is_not_committed_is_heard_as_a_candidate",
    ),
    Mutant(
        "a stranger that may know more is not heard",
        "Configurations.rules_out",
        "        return admitted_at <= self.in_force_at and all(\n",
        "        return all(\n",
        test=f"{OLD}::test_a_stranger_may_know_a_newer_configuration",
    ),
    Mutant(
        "a link that is up is not held against the log",
        "IncomingLink._take",
        "        if replaced is None:\n            context.node.receive(message)\n",
        "        if True:\n            context.node.receive(message)\n",
        test="tests/server/test_incoming_links.py"
        "::test_a_directory_that_is_replaced_while_its_link_is_up_is_hung_up_on",
    ),
    Mutant(
        "a configuration in the log keeps a node from its leader",
        "reason_to_ignore",
        "    if index is not None and not isinstance(message, AppendEntries):\n",
        "    if index is not None:\n",
        test=f"{OLD}::test_a_leader_that_is_removed_is_followed_until_it_has_handed_over",
    ),
    Mutant(
        "a copy of a directory that waited is taken for a new one",
        "_continues",
        "theirs.admitted_at == NOT_ADMITTED and theirs.incarnation != known.incarnation\n",
        "theirs.admitted_at == NOT_ADMITTED\n",
        test="tests/server/test_acquaintances.py"
        "::test_a_copy_of_one_that_still_waited_must_show_what_was_seen_of_it",
    ),
    Mutant(
        "a hello is not held against the log",
        "Acquaintances.reason_to_refuse",
        "        if replaced := self.reason_to_hang_up(theirs.node_id, theirs.admitted_at):\n",
        "        if replaced := self.reason_to_hang_up(theirs.node_id, -1):\n",
        test="tests/server/test_acquaintances.py"
        "::test_who_never_met_the_new_directory_refuses_the_old_one_by_its_log",
    ),
    Mutant(
        "a leader that is removed leads on",
        "Leadership.is_over",
        "            self._id not in log.configuration.voters\n",
        "            self._id not in log.configuration.voters and not log.last_index\n",
        test=f"{COUNT}::test_a_leader_that_is_removed_leads_until_that_is_committed_and_hands_over",
    ),
    Mutant(
        "a leader that is removed is gone before that is committed",
        "Leadership.is_over",
        "            and log.configurations.in_force_at <= log.commit_index\n",
        "",
        test=f"{COUNT}::test_a_leader_that_is_removed_leads_until_that_is_committed_and_hands_over",
    ),
    Mutant(
        "a learner is promoted however much it lacks",
        "promotion_of",
        "    if log.last_index - progress.match_index > LAG_MAX or ",
        "    if ",
        test=f"{COUNT}::test_a_learner_that_lags_is_not_promoted",
    ),
    Mutant(
        "a learner is promoted that needs a snapshot, as it lacks few entries",
        "promotion_of",
        "progress.match_index >= log.start.index",
        "not progress.needs_older",
        test=f"{COUNT}"
        "::test_a_learner_that_lacks_what_is_before_the_log_is_not_promoted_however_short_that_is",
    ),
    Mutant(
        "two voters change at once",
        "propose",
        "configuration.voting_directories) <= 1,\n",
        "configuration.voting_directories) <= 2,\n",
        test=f"{COUNT}::test_of_two_voters_no_more_than_one_comes_or_goes",
    ),
)
