"""Wrong versions of what a node does whose data cannot be trusted, or not be read."""

from __future__ import annotations

from .mutant import Mutant

_REBUILDING = "tests/storage/test_rebuilding.py"
_OWN = "tests/server/test_own_divergence.py"
_DIVERGENCE = "tests/storage/test_divergence.py"

DIVERGING = (
    Mutant(
        "a lone node waits for a snapshot that nobody gives",
        "source_of_data",
        '    return None if is_alone else "a snapshot of the leader\'s"\n',
        '    return "a snapshot of the leader\'s"\n',
        test=f"{_REBUILDING}::test_a_lone_node_whose_log_was_shortened_touches_nothing",
    ),
    Mutant(
        "a learner is taken for one that gives snapshots",
        "source_of_data",
        "known.voters_besides(node_id)",
        "known.members_besides(node_id)",
        test=f"{_REBUILDING}::test_a_lone_node_whose_log_was_shortened_touches_nothing",
    ),
    Mutant(
        "a lone node builds its data anew from a log with holes",
        "source_of_data",
        '        return None if is_alone and found.damaged else "the log"\n',
        '        return "the log"\n',
        test=f"{_REBUILDING}::test_a_lone_node_whose_log_lost_entries_touches_nothing",
    ),
    Mutant(
        "an empty state is made though nothing tells the data",
        "directory._open_state",
        "    elif source is None:\n",
        "    elif False:\n",
        test=f"{_REBUILDING}::test_a_lone_node_whose_log_was_shortened_touches_nothing",
    ),
    Mutant(
        "the only data are set aside for one key of them",
        "give_up_state",
        "    if source is None:\n",
        "    if not source and not found.start.index:\n",
        test=f"{_REBUILDING}::test_a_damaged_key_of_a_lone_node_leaves_all_others_to_be_read",
    ),
    Mutant(
        "a read that waits is answered though the data differ",
        "Node.state_differs",
        "            self._answers += self._reads.refuse_all(self.divergence.refusal)\n",
        "            pass\n",
        test=f"{_OWN}::test_from_then_on_it_answers_nothing_and_a_snapshot_ends_that",
    ),
    Mutant(
        "reads are taken though the data differ",
        "Node.submit_query",
        "        if self.divergence.known is not None:\n",
        "        if False:\n",
        test=f"{_OWN}::test_from_then_on_it_answers_nothing_and_a_snapshot_ends_that",
    ),
    Mutant(
        "whoever reads what was applied reads data that differ",
        "OwnDivergence.__init__",
        "            raft.lose_base(state_store.applied().last_applied)\n",
        "            pass\n",
        test=f"{_OWN}::test_it_is_known_and_said_once_in_each_life",
    ),
    Mutant(
        "a leader whose data differ takes writes",
        "Node.submit_command",
        " or self.divergence.known is not None:\n",
        ":\n",
        test=f"{_OWN}::test_a_leader_hands_over_and_is_rebuilt_by_its_heir",
    ),
    Mutant(
        "a leader whose data differ leads on",
        "Leadership.is_over",
        "(log.lacks_base or is_out)",
        "is_out",
    ),
    Mutant(
        "who asked for votes before it knew that its data differ is elected",
        "Election._count_vote",
        "self._log.lacks_base or not",
        "not",
        test=f"{_OWN}::test_who_asks_for_votes_when_it_becomes_known_is_not_elected",
    ),
    Mutant(
        "a snapshot of data that differ that is whole is given away",
        "Raft.lose_base",
        "        self.sending.source = None\n",
        "",
        test=f"{_OWN}::test_a_leader_sends_nothing_more_of_its_data",
    ),
    Mutant(
        "a snapshot of data that differ is written to its end",
        "Spooling.tick",
        " and not raft.log.lacks_base\n",
        "\n",
        test=f"{_OWN}::test_a_leader_sends_nothing_more_of_its_data",
    ),
    Mutant(
        "a snapshot that reaches less far than what was read takes the place of data that differ",
        "RaftLog.needs_snapshot",
        "max(self.start.index, self.applied_index, 1)",
        "max(self.start.index, 1)",
        test=f"{_OWN}::test_a_snapshot_reaches_as_far_as_what_was_applied",
    ),
    Mutant(
        "that data differ is forgotten by a restart",
        "OwnDivergence._go_on",
        "            store.record_divergence(divergence)\n",
        "            pass\n",
        test=f"{_OWN}::test_it_is_known_and_said_once_in_each_life",
    ),
    Mutant(
        "a full disk is written to, to say that data differ",
        "OwnDivergence._go_on",
        " and left_bytes >= _RECORD_BYTES",
        "",
        test=f"{_OWN}::test_where_there_is_no_room_it_answers_nothing_all_the_same",
    ),
    Mutant(
        "data that differ are committed to",
        "Checkpoints._has_more",
        " and self._state_store.divergence is None",
        "",
        test=f"{_OWN}::test_nothing_is_committed_to_data_that_differ",
    ),
    Mutant(
        "a lone node stops answering for good",
        "OwnDivergence.begin",
        "        if not raft.log.configuration.voters_besides(raft.id):\n",
        "        if False:\n",
        test=f"{_OWN}::test_a_lone_node_says_so_and_goes_on",
    ),
    Mutant(
        "a node that was rebuilt holds its data to differ for ever",
        "OwnDivergence.wake",
        "        self.known = None\n",
        "",
    ),
    Mutant(
        "what was not committed is committed with the divergence",
        "LmdbState.record_divergence",
        "        self._txn.abort()\n        self._begin()\n",
        "",
        test=f"{_DIVERGENCE}::test_it_outlasts_a_restart_and_what_was_not_committed_does_not",
    ),
    Mutant(
        "a state that differed is thrown away when it is replaced",
        "LmdbState.change_over",
        "differs=self.divergence is not None",
        "differs=False",
        test=f"{_DIVERGENCE}::test_one_is_kept_the_last",
    ),
    Mutant(
        "a start throws away a state that differed",
        "finish_change_over",
        "differs=_differs(state, map_bytes)",
        "differs=False",
        test=f"{_DIVERGENCE}"
        "::test_from_then_on_the_next_start_has_the_snapshot_and_keeps_what_it_replaced",
    ),
    Mutant(
        "a state that differed may be nowhere after a power cut",
        "put_in_place",
        "                sync_directory(state.parent)\n",
        "                pass\n",
        test="tests/storage/test_power_cuts.py::test_what_was_promised_outlasts_every_power_cut"
        "[state_that_differs_is_replaced_twice]",
    ),
    Mutant(
        "a damaged divergence is taken for none",
        "decode_divergence",
        "    return records.decode_named(records.DIVERGENCE, value, Divergence)\n",
        "    try:\n        return records.decode_named(records.DIVERGENCE, value, Divergence)\n"
        "    except DamagedError:\n        return None\n",
        test=f"{_DIVERGENCE}::test_a_damaged_divergence_is_damage_and_never_none",
    ),
    Mutant(
        "who is named by a comparison goes on as if nothing were",
        "Node.tick",
        "            self.state_differs(divergence)\n",
        "            pass\n",
        test=f"{_OWN}::test_who_is_named_by_a_comparison_is_rebuilt_and_the_next_one_finds_nothing",
    ),
    Mutant(
        "a leader leaves a cluster in which nobody has the data to lead",
        "_with_majority",
        "        if set(answering) <= known.without_data:\n",
        "        if False:\n",
        test="tests/server/test_member_changes.py::test_somebody_is_left_who_has_the_data_to_lead",
    ),
    Mutant(
        "a leader does not look who waits for a snapshot before it leaves",
        "changes._known",
        "        here.raft.sending.receivers.keys(),\n",
        "",
        test=f"{_OWN}::test_a_leader_does_not_leave_it_alone",
    ),
    Mutant(
        "a recovery says nothing of data that are known to be wrong",
        "prospect_of",
        "0 if divergence is None else divergence.index",
        "0",
        test="tests/cli/test_recover.py"
        "::test_data_that_differ_from_those_of_the_others_are_told_of_and_kept_aside",
    ),
    Mutant(
        "who joined and knows no members yet is taken to be alone",
        "source_of_data",
        "bool(known.members) and not",
        "not",
        test=f"{_REBUILDING}::test_a_node_of_several_whose_log_was_shortened_waits_for_a_snapshot",
    ),
    Mutant(
        "that data differ is said once and never again",
        "OwnDivergence.begin",
        "self.known, self._is_said = divergence, False",
        "self.known = divergence",
        test=f"{_OWN}::test_whose_data_differ_again_says_so_again",
    ),
    Mutant(
        "what the record of a divergence forgets takes its room",
        "OwnDivergence._go_on",
        "store.room_bytes() + store.owed_bytes()",
        "store.room_bytes()",
        test=f"{_OWN}::test_the_room_of_what_the_record_forgets_is_room_for_it",
    ),
)
