"""Wrong versions of who gets a snapshot: what is asked for, what is taken, and what of the log.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

STREAMS = "tests/raft/test_receiving_snapshots.py"
NODES = "tests/server/test_receiving_snapshots.py"
INSTALLING = "tests/server/test_installing_snapshots.py"
STORES = "tests/storage/test_successor.py"

RECEIVING = (
    Mutant(
        "who lacks the data before its log stands for election",
        "Election._may_stand",
        " or log.lacks_base or not (",
        " or not (",
        test=f"{STREAMS}::test_a_vote_waits_for_no_data_but_who_lacks_it_does_not_stand",
    ),
    Mutant(
        "entries are applied before the data is in place on which they go on",
        "Raft.committed_entries",
        " or log.lacks_base:",
        ":",
        test=f"{STREAMS}::test_nothing_is_applied_between_the_log_and_the_data",
    ),
    Mutant(
        "a snapshot ends entries that this node has vouched for",
        "RaftLog.install",
        "start.index > self.last_index or self.term(start.index) != start.term",
        "start.index",
        test=f"{STREAMS}::test_entries_that_follow_the_last_one_of_the_snapshot_stay",
    ),
    Mutant(
        "entries stay behind a snapshot that they do not follow",
        "RaftLog.install",
        "start.index > self.last_index or self.term(start.index) != start.term",
        "start.index > self.last_index",
        test=f"{STREAMS}"
        "::test_a_log_that_does_not_hold_the_last_entry_of_the_snapshot_goes_as_a_whole",
    ),
    Mutant(
        "pieces of another snapshot are taken",
        "Receiving.on_piece",
        " or message.snapshot_id != name.id",
        "",
        test=f"{STREAMS}::test_what_is_not_the_piece_that_was_asked_for_is_dropped",
    ),
    Mutant(
        "a piece that is cut short is taken",
        "Receiving.on_piece",
        "        if len(message.data) == min(PIECE_BYTES, name.size_bytes - message.offset):\n",
        "        if message.data:\n",
        test=f"{STREAMS}::test_what_is_not_the_piece_that_was_asked_for_is_dropped",
    ),
    Mutant(
        "an offer that comes late ends the fetching of a newer snapshot",
        "Receiving.on_install_snapshot",
        "            if leader == self._leader and name.id < self.name.id:\n                return",
        "            if not name.index:\n                return",
        test=f"{STREAMS}::test_an_offer_that_is_late_ends_no_newer_one",
    ),
    Mutant(
        "another snapshot goes on where the one before stopped",
        "Receiving.on_install_snapshot",
        '            self.abandon("its leader has another one now")\n',
        "            self.name = name\n",
        test=f"{STREAMS}::test_another_leader_s_snapshot_begins_anew_and_the_same_one_goes_on",
    ),
    Mutant(
        "pieces are asked of who did not offer them",
        "Receiving.write_messages",
        " or self._leader != (term, leader)",
        "",
        test=f"{STREAMS}::test_pieces_are_asked_of_nobody_but_who_leads_and_offered_them",
    ),
    Mutant(
        "an entry that nobody has is asked for for ever",
        "Repair._note_lack",
        "            log.lost_index = first\n",
        "            pass\n",
        test=f"{STREAMS}"
        "::test_for_entries_that_the_leader_lacks_too_a_snapshot_is_asked_for_in_the_end",
    ),
    Mutant(
        "a snapshot is asked for in place of an entry that the leader gives in vain",
        "Repair._note_lack",
        "        if any(entry.index == first for entry in reply.entries):\n            return\n",
        "",
        test=f"{STREAMS}::test_for_an_entry_that_the_leader_gives_in_vain_no_snapshot_is_asked_for",
    ),
    Mutant(
        "a state takes another one's place before the log names it",
        "Installing._go_on",
        "self._change_over(incoming) if is_durable else []",
        "self._change_over(incoming)",
        test=f"{INSTALLING}::test_data_wait_for_the_log_however_long_that_takes",
    ),
    Mutant(
        "a state takes another one's place, and the log is never told",
        "Installing._finish",
        "        self._raft.install(incoming.name.start, header.configuration)\n",
        "",
        test=f"{NODES}::test_who_was_away_gets_a_snapshot_while_others_write",
    ),
    Mutant(
        "what came is taken for whole, whatever its digest",
        "Installing._finish",
        "        incoming.decoder.finish()\n",
        "",
        test=f"{NODES}::test_what_comes_is_checked_to_its_last_byte_and_made_anew_if_it_is_damaged",
    ),
    Mutant(
        "a write that a snapshot covers is said to have been rolled back",
        "Installing._change_over",
        "        return self._writes.forget(applied.last_applied)\n",
        "        return []\n",
        test=f"{INSTALLING}::test_of_a_write_that_the_snapshot_covers_the_outcome_is_unknown",
    ),
    Mutant(
        "a snapshot is fetched that might not fit",
        "Installing._lack",
        "< needed_bytes:",
        "< 0:",
        test=f"{NODES}::test_a_snapshot_that_might_not_fit_is_not_fetched",
    ),
    Mutant(
        "a snapshot is fetched that is larger than the map",
        "Installing._lack",
        " or size_bytes > store.capacity_bytes:",
        ":",
        test=f"{NODES}::test_a_snapshot_that_is_larger_than_the_map_is_not_fetched",
    ),
    Mutant(
        "what did not fit into the map is fetched again and again",
        "Installing.wake",
        "                self._too_large_bytes = self._receiving.name.size_bytes\n",
        "                pass\n",
        test=f"{NODES}::test_what_did_not_fit_into_the_map_is_not_tried_again",
    ),
    Mutant(
        "a node goes on though its data are neither here nor there",
        "Installing.wake",
        "            if self._is_named_by_log:\n                raise\n",
        "",
        test=f"{INSTALLING}::test_what_fails_once_the_log_is_told_ends_the_node",
    ),
    Mutant(
        "a node goes on with the half of a snapshot whose other half could not be written",
        "Receiving.put_off",
        "        self.taken_bytes = 0\n",
        "",
        test=f"{NODES}::test_who_cannot_write_what_comes_waits_and_tries_again_ever_less_often",
    ),
    Mutant(
        "a large file that is not wanted any more is freed at once",
        "remove_some",
        "            if left_bytes > 0:\n",
        "            if left_bytes < 0 < STEP_BYTES < left_bytes:\n",
        test=f"{STORES}::test_a_large_file_goes_a_step_at_a_time",
    ),
    Mutant(
        "a file is cut shorter beneath who inspects it",
        "LmdbState.change_over",
        "        if is_read:\n",
        "        if not self._path:\n",
        test=f"{STORES}::test_who_reads_a_state_whose_place_is_taken_reads_on",
    ),
    Mutant(
        "a state is begun while another one is still on its way out",
        "Installing._follow",
        "            and not self._has_leftover\n",
        "",
        test=f"{INSTALLING}"
        "::test_what_was_in_place_before_goes_in_steps_and_before_the_next_one_begins",
    ),
    Mutant(
        "what is left of a state stays until the next start",
        "Installing._change_over",
        "self._incoming, self._has_leftover = None, True",
        "self._incoming = None",
        test=f"{INSTALLING}"
        "::test_what_was_in_place_before_goes_in_steps_and_before_the_next_one_begins",
    ),
    Mutant(
        "a turn takes so many bytes of a snapshot, however many records they are",
        "Installing._take",
        " and len(pairs) < _TURN_RECORDS:",
        ":",
        test=f"{NODES}::test_no_turn_gets_longer_because_records_are_small",
    ),
    Mutant(
        "a snapshot is taken for whole before its last piece is",
        "Installing._go_on",
        "self._receiving.is_whole and not incoming.rest",
        "self._receiving.is_whole",
        test=f"{NODES}::test_no_turn_gets_longer_because_records_are_small",
    ),
    Mutant(
        "an inspection misses data that the next start puts in place",
        "_Reading._check_applied",
        "not (self._server_pid or self._is_to_change)",
        "not self._server_pid",
        test=f"{STORES}::test_an_inspection_tells_of_a_snapshot_that_is_being_installed",
    ),
    Mutant(
        "an inspection takes any state that is being built for what is missing",
        "_Reading._is_to_change",
        " and self._successor.last_applied == self._start.index",
        "",
        test=f"{STORES}::test_what_is_missing_is_a_finding_whatever_is_being_installed",
    ),
    Mutant(
        "a program takes data of a version that it does not speak",
        "Installing._check",
        "        self._cluster_version.check(header.applied.cluster_version)\n",
        "",
        test=f"{NODES}::test_a_program_that_is_too_old_for_a_snapshot_ends_itself",
    ),
    Mutant(
        "a snapshot of another entry than was offered is installed",
        "Installing._check",
        "(header.index, header.term) != (name.index, name.term)",
        "header.index != name.index",
        test=f"{NODES}::test_what_comes_is_checked_to_its_last_byte_and_made_anew_if_it_is_damaged",
    ),
    Mutant(
        "a snapshot is told to have taken a thousand times as long",
        "Receiving.installed",
        "(now_ms - self.began_ms) / 1_000",
        "now_ms - self.began_ms",
        test=f"{STREAMS}::test_how_long_a_snapshot_took_is_told_on_both_sides",
    ),
    Mutant(
        "the status tells since when a snapshot comes, and not for how long",
        "node_status._receiving",
        "    ms = node.now_ms - receiving.began_ms\n",
        "    ms = receiving.began_ms\n",
        test=f"{NODES}::test_how_far_it_has_come_is_shown_on_both_sides",
    ),
    Mutant(
        "a node that has the version by a snapshot refuses what needs it",
        "Installing._change_over",
        "        self._cluster_version.note()\n",
        "",
        test="tests/server/test_cluster_version.py"
        "::test_who_has_the_version_by_a_snapshot_takes_what_needs_it",
    ),
    Mutant(
        "a node waits for room for what a snapshot has brought",
        "Installing._change_over",
        "        self._room.forget_what_waits(applied.last_applied)\n",
        "",
        test=f"{INSTALLING}"
        "::test_who_waits_for_room_for_an_entry_waits_no_more_when_a_snapshot_brings_it",
    ),
    Mutant(
        "a follower does not know since when it fetches a snapshot",
        "Receiving.on_install_snapshot",
        "            self.name, self.began_ms = name, now_ms\n",
        "            self.name, self.began_ms = name, 0.0\n",
        test=f"{STREAMS}::test_how_long_a_snapshot_took_is_told_on_both_sides",
    ),
    Mutant(
        "a start takes a state for whole that was being built",
        "finish_change_over",
        "log.start.index > 0 and ",
        "",
        test="tests/storage/test_power_cuts.py"
        "::test_what_was_promised_outlasts_every_power_cut[snapshot_that_is_installed_twice]",
    ),
    Mutant(
        "a start leaves the state that its log names, and lacks its base",
        "finish_change_over",
        "            put_in_place(successor, state, differs=_differs(state, map_bytes))\n",
        "            pass\n",
        test=f"{STORES}::test_a_state_that_the_log_names_is_put_in_place_by_the_next_start",
    ),
    Mutant(
        "a start takes the state of another directory",
        "_is_as_of_start",
        "        return is_ours and ",
        "        return ",
        test=f"{STORES}::test_a_state_of_another_directory_is_not_taken",
    ),
    Mutant(
        "a snapshot that tells what a disk has lost is installed though more is applied",
        "Receiving._is_of_use",
        "            return name.index >= log.needs_snapshot\n        return",
        "            return name.index >= log.lost_index\n        return",
        test=f"{STREAMS}::test_a_snapshot_that_reaches_less_far_than_what_is_applied_is_of_no_use",
    ),
    Mutant(
        "who lost what it has applied asks for a snapshot that reaches less far",
        "RaftLog.needs_snapshot",
        "max(self.lost_index, self.applied_index) if",
        "self.lost_index if",
        test=f"{STREAMS}::test_a_snapshot_that_reaches_less_far_than_what_is_applied_is_of_no_use",
    ),
    Mutant(
        "a successor that is abandoned has no place beside what still lies there",
        "LmdbSuccessor.abandon",
        "            remove_all(aside)\n",
        "",
        test=f"{STORES}::test_one_is_abandoned_after_the_other",
    ),
    Mutant(
        "a snapshot is fetched into the room that is left to others",
        "Installing._lack",
        "_GROWTH * left_bytes + self._headroom_bytes",
        "_GROWTH * left_bytes",
        test=f"{NODES}::test_a_snapshot_is_not_fetched_into_the_room_that_is_left_to_others",
    ),
    Mutant(
        "what was fetched of a snapshot needs its room once more",
        "Installing._lack",
        "size_bytes - self._receiving.taken_bytes",
        "size_bytes",
        test=f"{NODES}::test_what_was_fetched_needs_no_more_room",
    ),
    Mutant(
        "what keeps a node from its next snapshot is no news",
        "Installing._follow",
        "            self._setback.clear()\n",
        "            pass\n",
        test=f"{NODES}::test_what_keeps_a_node_from_the_next_snapshot_is_told_too",
    ),
    Mutant(
        "a snapshot of another cluster is taken",
        "Installing._check",
        "        if header.cluster_id != self._cluster_id:\n",
        "        if False:\n",
        test=f"{NODES}::test_a_snapshot_of_another_cluster_is_not_taken",
    ),
)
