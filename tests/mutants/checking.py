"""Wrong versions of the digests by which replicas are compared.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

DIGESTS = "tests/storage/test_state_digest.py"
VERDICTS = "tests/raft/test_comparing.py"
NODES = "tests/server/test_checking.py"

CHECKING = (
    Mutant(
        "a digest does not tell where a key ends",
        "Digesting.go_on",
        "(_LENGTHS.pack(len(stored), len(value)), stored, value)",
        "(stored, value)",
        test=f"{DIGESTS}::test_where_a_key_ends_is_a_part_of_it",
    ),
    Mutant(
        "a digest tells only what the last slice held",
        "Digesting.go_on",
        "self._hash.update(b",
        "hashlib.blake2b(b",
        test=f"{DIGESTS}::test_whatever_differs_makes_another_digest",
    ),
    Mutant(
        "a digest that is done goes on to pin its commit",
        "Digesting.go_on",
        "            reading.close()\n",
        "",
        test=f"{DIGESTS}::test_a_slice_takes_no_more_than_it_may_and_the_last_one_closes_the_reading",
    ),
    Mutant(
        "what nodes tell each other leaves out the revision",
        "StateDigest.short",
        "_encode(self)",
        "self.digest",
        test=f"{DIGESTS}::test_what_nodes_tell_each_other_is_short_and_tells_all_of_it",
    ),
    Mutant(
        "most of those who answered are taken for most",
        "verdict_of",
        "count >= majority",
        "2 * count > len(has)",
        test=f"{VERDICTS}::test_a_node_is_named_only_if_most_voters_agree_against_it",
    ),
    Mutant(
        "half of the voters are taken for most",
        "verdict_of",
        "count >= majority",
        "count >= majority - 1",
        test=f"{VERDICTS}::test_a_node_is_named_only_if_most_voters_agree_against_it",
    ),
    Mutant(
        "learners count",
        "verdict_of",
        "for node, digest in has.items() if node in voters)",
        "for node, digest in has.items())",
        test=f"{VERDICTS}::test_learners_are_compared_and_do_not_count",
    ),
    Mutant(
        "who takes no part differs",
        "verdict_of",
        "for node, digest in digests.items() if digest}",
        "for node, digest in digests.items()}",
        test=f"{VERDICTS}::test_a_node_is_named_only_if_most_voters_agree_against_it",
    ),
    Mutant(
        "another directory votes in the name of a voter",
        "Comparing.verdict",
        "one.is_voter and one.admitted_at == self._admitted_at[one.node_id]",
        "one.is_voter",
        test=f"{VERDICTS}::test_a_directory_that_does_not_vote_does_not_count",
    ),
    Mutant(
        "who has started again takes back what it said",
        "Comparing._take",
        "        if not self.digests.get(node_id):\n",
        "        if True:\n",
        test=f"{VERDICTS}::test_what_was_said_once_holds",
    ),
    Mutant(
        "an old leader's question is answered in a new term",
        "StateTalk.answer",
        " and question.term == term",
        "",
        test=f"{VERDICTS}::test_a_question_of_an_older_term_gets_no_answer",
    ),
    Mutant(
        "a digest is of the last checkpoint, whenever that was",
        "OwnDigest.begin",
        "self._state_store.applied().last_applied != index:",
        "not index:",
        test=f"{NODES}::test_without_room_for_a_checkpoint_a_node_takes_no_part",
    ),
    Mutant(
        "no checkpoint is made for a digest",
        "OwnDigest.begin",
        "        self._checkpoints.make()\n",
        "",
        test=f"{NODES}::test_nodes_that_hold_the_same_agree_and_nobody_stops_for_it",
    ),
    Mutant(
        "a digest takes as long as it takes",
        "OwnDigest.tick",
        "is_overdue or ",
        "",
        test=f"{NODES}::test_what_takes_too_long_is_given_up",
    ),
    Mutant(
        "a digest is taken whole in one turn",
        "OwnDigest.tick",
        "go_on(_SLICE_BYTES)",
        "go_on(1 << 40)",
        test=f"{NODES}::test_what_takes_too_long_is_given_up",
    ),
    Mutant(
        "a digest goes on however far the file grows",
        "OwnDigest.tick",
        " or is_in_the_way",
        "",
        test=f"{NODES}::test_a_digest_is_given_up_that_makes_the_file_grow_too_far",
    ),
    Mutant(
        "a digest is kept though the data are others by now",
        "Installing._change_over",
        "        self._on_installed()\n",
        "",
        test=f"{NODES}::test_who_gets_a_snapshot_has_no_digest_any_more",
    ),
    Mutant(
        "the verdict is told once",
        "Checking._has_to_ask",
        "        return bool(comparing.unaware(peers))\n",
        "        return bool(peers and not self._is_settled)\n",
        test=f"{NODES}::test_a_node_that_differs_is_told_though_messages_get_lost",
    ),
    Mutant(
        "a leader does not look whether it differs",
        "Checking._compare",
        "            self._see(comparing.index, verdict.digest)\n",
        "            pass\n",
        test=f"{NODES}::test_a_leader_that_differs_hands_over_and_finds_itself",
    ),
    Mutant(
        "who differs is named again and again",
        "Checking._see",
        " != self.differs_at",
        "",
        test=f"{NODES}::test_a_leader_that_differs_is_named_once",
    ),
    Mutant(
        "a dispute is told before all have spoken",
        "Checking._final",
        "verdict.digest or self._is_settled",
        "verdict",
        test=f"{NODES}::test_a_dispute_is_told_only_when_nothing_more_is_to_come",
    ),
    Mutant(
        "a dispute is for ever",
        "Checking._tell",
        "            comparing.tell_again()\n",
        "            pass\n",
        test=f"{NODES}::test_a_dispute_ends_when_the_third_is_back",
    ),
    Mutant(
        "comparisons overtake each other",
        "Checking.begin",
        "        if index := self.index_under_way:\n",
        "        if index := 0:\n",
        test=f"{NODES}::test_one_at_a_time",
    ),
    Mutant(
        "the next comparison begins before the last one is told",
        "Checking._is_over",
        "not (verdict.is_known and comparing.unaware(listening))",
        "bool(verdict or listening)",
        test=f"{NODES}::test_the_next_comparison_waits_until_who_differs_knows",
    ),
    Mutant(
        "a new leader leaves a comparison to the last one",
        "Checking._follow",
        "        if index and is_new:\n",
        "        if index and is_new and index == self._proposed[0]:\n",
        test=f"{NODES}::test_a_new_leader_goes_on_with_what_the_last_one_began",
    ),
    Mutant(
        "who has not applied the entry yet says that it takes no part",
        "Checking._answer",
        "is_to_come or digest is None",
        "digest is None",
        test=f"{NODES}::test_a_question_of_what_is_not_applied_waits",
    ),
    Mutant(
        "who is down is waited for to the end",
        "Checking._has_all",
        "waited_ms > _GRACE_MS and not silent & self._raft.leadership.answering",
        "False",
        test=f"{NODES}::test_of_two_that_differ_nobody_is_named_and_all_are_told",
    ),
    Mutant(
        "replicas are compared when somebody asks, and never else",
        "Checking.tick",
        "        if self._is_due:\n            self.begin()\n",
        "",
        test=f"{NODES}::test_it_is_done_by_itself_every_so_often",
    ),
    Mutant(
        "an entry as of which states are compared may say anything",
        "messages._require_readable",
        "entry.kind is CHECK and entry.data",
        "entry.kind is CHECK and not entry",
        test="tests/raft/test_messages.py::test_an_entry_as_of_which_states_are_compared_is_empty",
    ),
    Mutant(
        "whoever is told of a majority takes itself for one that differs",
        "Checking._see",
        "own.digest not in (None, NONE, digest)",
        "own.digest not in (None, NONE)",
    ),
    Mutant(
        "who differs does not look whether it does",
        "Checking._see",
        "index == own.index != self.differs_at and",
        "index > own.index and",
    ),
    Mutant(
        "one voter is a majority",
        "verdict_of",
        "count >= majority",
        "count >= 1",
    ),
    Mutant(
        "a state is compared as it is a little later",
        "Applier._apply",
        "                self._own_digest.begin(entry.index)\n",
        "                self._own_digest.index = entry.index\n",
    ),
    Mutant(
        "a changed record is no other one to who judges",
        "SimulatedState.reading",
        "        self.changed_at.add(index)\n",
        "",
        test="tests/sim/test_comparisons.py::test_a_record_that_changes_is_found_wherever_it_is",
    ),
    Mutant(
        "who waits for a cluster to get well looks rarely",
        "calm.recover",
        "world.schedule.now_ms + _STEP_MS",
        "world.schedule.now_ms + 5 * _STEP_MS",
        test="tests/sim/test_calm.py::test_a_cluster_that_is_well_is_found_well_soon_at_any_moment",
    ),
    Mutant(
        "nobody looks at what a node applied as it ended",
        "Observer.ending",
        "seen is not None and",
        "seen is None and",
        test="tests/sim/test_observer.py"
        "::test_what_a_node_applied_and_kept_in_a_turn_that_never_ended_was_applied",
    ),
)
