"""Wrong versions of which directory of a node counts (decision 17).

Law: each is one plausible mistake, named by what it does wrong. Where only a scripted
test can notice, because no run of a whole node comes to show it, it says which.
"""

from __future__ import annotations

from .mutant import Mutant

OLD = "tests/raft/test_old_directories.py"
REJOIN = "tests/raft/test_rejoin.py"

REPLACED = (
    Mutant(
        "a directory that was not admitted votes",
        "Election.on_request_vote",
        "        if not self._counts:\n",
        "        if False:\n",
    ),
    Mutant(
        "a directory that was not admitted stands",
        "Election._may_stand",
        "        return self._counts and not self._log.damaged and ",
        "        return not self._log.damaged and ",
    ),
    Mutant(
        "what a directory holds that was not admitted counts",
        "Leadership.vouched",
        "            peer: 0 if progress.rejoining else progress.match_index\n",
        "            peer: progress.match_index\n",
    ),
    Mutant(
        "a new directory is taken to hold what the old one held",
        "Leadership.heard",
        "        if reply.rejoining != progress.rejoining:\n",
        "        if reply.rejoining and not progress.rejoining and not progress.match_index:\n",
        test=f"{REJOIN}::test_what_it_holds_does_not_commit_anything",
    ),
    Mutant(
        "a directory confirms reads before it is admitted",
        "Leadership.heard",
        "        if not reply.rejoining:\n",
        "        if True:\n",
        test=f"{REJOIN}::test_it_confirms_no_reads_and_keeps_no_leader",
    ),
    Mutant(
        "any directory is admitted under the name of another",
        "Raft.admit",
        " admission_of(entry) == (self.id, self._outbox.rejoining):\n",
        " admission_of(entry)[0] == self.id:\n",
    ),
    Mutant(
        "a directory that is admitted votes once more in the term of its admission",
        "Raft.admit",
        "            self.standing.voted_for = self.standing.leader_of_term\n",
        "",
        test=f"{REJOIN}::test_it_is_admitted_once_it_has_caught_up_and_then_votes",
    ),
    Mutant(
        "a directory votes once more in the term in which a later leader commits its admission",
        "Raft.admit",
        "            self.standing.voted_for = self.standing.leader_of_term\n",
        "            if entry.term == self.current_term:\n"
        "                self.standing.voted_for = self.standing.leader_of_term\n",
        test=f"{REJOIN}::test_its_vote_is_spent_in_the_term_of_whoever_committed_its_admission",
    ),
    Mutant(
        "the log does not bind whom a node believes",
        "reason_to_ignore",
        "    if index is not None and not isinstance(message, AppendEntries):\n",
        "    if index is not None and message.term < 0:\n",
        test=f"{OLD}::test_only_the_vote_of_the_directory_that_the_log_admits_counts",
    ),
    Mutant(
        "nobody's log tells that a directory was replaced",
        "Admissions.replaced_at",
        "        if not indexes or admitted_at == NOT_ADMITTED:\n",
        "        if not indexes or admitted_at < len(self._named):\n",
        test="tests/sim/test_old_directories.py"
        "::test_an_old_directory_is_refused_and_nothing_is_lost",
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
        "an admission in the log keeps a node from its leader",
        "reason_to_ignore",
        "    if index is not None and not isinstance(message, AppendEntries):\n",
        "    if index is not None:\n",
        test=f"{OLD}::test_who_leads_is_followed_whatever_an_admission_says",
    ),
    Mutant(
        "an admission is forgotten in a restart",
        "recovered",
        "            admissions.append(entry)\n",
        "            pass\n",
        test="tests/storage/test_log_store.py::test_admissions_that_can_be_read_are_found_at_start",
    ),
    Mutant(
        "an admission that was truncated binds",
        "RaftLog.truncate",
        "        self.admissions.truncate(from_index)\n",
        "",
        test=f"{OLD}::test_an_admission_that_is_truncated_binds_no_more",
    ),
    Mutant(
        "a damaged admission binds nobody when it is back",
        "RaftLog.repair",
        "            if entry.kind is ADMIT:\n"
        "                self.admissions.add(entry)\n            self._repairs",
        "            self._repairs",
        test=f"{OLD}::test_a_damaged_admission_binds_again_once_it_is_fetched",
    ),
    Mutant(
        "a directory that finds itself replaced votes and stands",
        "Election._counts",
        "standing.is_voter and not admissions.replaced_at(standing.id, standing.admitted_at)\n",
        "standing.is_voter\n",
        test=f"{OLD}::test_a_replaced_directory_neither_votes_nor_stands",
    ),
    Mutant(
        "a directory asks under the same name at every start",
        "Raft.__init__.name",
        'f"{rng.getrandbits(128):032x}"',
        'f"{self.id:032x}"',
        test=f"{OLD}::test_a_copy_that_still_waited_is_not_admitted_by_its_old_admission",
    ),
    Mutant(
        "a leader without room proposes admissions",
        "Leadership._admit",
        "        if self.heir is not None or not log.room.takes_noops:\n",
        "        if self.heir is not None:\n",
        test=REJOIN,
    ),
    Mutant(
        "an admission is proposed while leadership moves",
        "Leadership._admit",
        "        if self.heir is not None or not log.room.takes_noops:\n",
        "        if not log.room.takes_noops:\n",
        test=REJOIN,
    ),
    Mutant(
        "a name is proposed again and again",
        "Admissions.covers",
        "        return (node_id, name) in self._named.values() or bool(\n",
        "        return bool(\n",
        test=f"{OLD}::test_a_new_name_is_admitted_after_the_one_before_is_committed",
    ),
    Mutant(
        "a directory that was admitted speaks as the first of its node",
        "Raft.admit",
        "            self._outbox.admitted_at = entry.index\n",
        "            self._outbox.admitted_at = 0\n",
        test="tests/raft/test_updates.py"
        "::test_a_vote_speaks_for_the_directory_that_its_update_admits",
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
)
