"""Wrong versions of snapshots by stream: who gets one, what is asked for, and what of the log."""

from __future__ import annotations

from .mutant import Mutant

SNAPSHOTS = "tests/raft/test_snapshots.py"
BACKUPS = "tests/server/test_backups.py"
WHOLE_NODES = "tests/server/test_snapshots.py"
STORES = "tests/storage/test_successor.py"

SENDING = (
    Mutant(
        "leadership is handed to a follower that waits for a snapshot",
        "Leadership._heirs.able",
        " if peer not in self._sending.receivers",
        "",
        test=f"{SNAPSHOTS}::test_leadership_is_not_handed_to_who_waits_for_a_snapshot",
    ),
    Mutant(
        "who lacks the data before its log stands for election",
        "Election._may_stand",
        " or log.lacks_base or not (",
        " or not (",
        test=f"{SNAPSHOTS}::test_a_vote_waits_for_no_data_but_who_lacks_it_does_not_stand",
    ),
    Mutant(
        "entries are applied before the data is in place on which they go on",
        "Raft.committed_entries",
        " or log.lacks_base:",
        ":",
        test=f"{SNAPSHOTS}::test_nothing_is_applied_between_the_log_and_the_data",
    ),
    Mutant(
        "a snapshot ends entries that this node has vouched for",
        "RaftLog.install",
        "start.index > self.last_index or self.term(start.index) != start.term",
        "start.index",
        test=f"{SNAPSHOTS}::test_entries_that_follow_the_last_one_of_the_snapshot_stay",
    ),
    Mutant(
        "entries stay behind a snapshot that they do not follow",
        "RaftLog.install",
        "start.index > self.last_index or self.term(start.index) != start.term",
        "start.index > self.last_index",
        test=f"{SNAPSHOTS}"
        "::test_a_log_that_does_not_hold_the_last_entry_of_the_snapshot_goes_as_a_whole",
    ),
    Mutant(
        "pieces of another snapshot are taken",
        "Receiving.on_piece",
        " or message.snapshot_id != name.id",
        "",
        test=f"{SNAPSHOTS}::test_what_is_not_the_piece_that_was_asked_for_is_dropped",
    ),
    Mutant(
        "a piece that is cut short is taken",
        "Receiving.on_piece",
        "        if len(message.data) == min(PIECE_BYTES, name.size_bytes - message.offset):\n",
        "        if message.data:\n",
        test=f"{SNAPSHOTS}::test_what_is_not_the_piece_that_was_asked_for_is_dropped",
    ),
    Mutant(
        "an offer that comes late ends the fetching of a newer snapshot",
        "Receiving.on_install_snapshot",
        "            if leader == self._leader and name.id < self.name.id:\n                return",
        "            if not name.index:\n                return",
        test=f"{SNAPSHOTS}::test_an_offer_that_is_late_ends_no_newer_one",
    ),
    Mutant(
        "another snapshot goes on where the one before stopped",
        "Receiving.on_install_snapshot",
        '            self.abandon("its leader has another one now")\n',
        "            self.name = name\n",
        test=f"{SNAPSHOTS}::test_another_leader_s_snapshot_begins_anew_and_the_same_one_goes_on",
    ),
    Mutant(
        "a snapshot is offered that does not reach the leader's log",
        "Sending._serves.least",
        "max(needed_index, self._log.start.index)",
        "needed_index",
        test=f"{SNAPSHOTS}::test_a_snapshot_behind_which_the_log_has_a_hole_is_not_offered",
    ),
    Mutant(
        "a piece that was asked for twice is sent twice",
        "Sending.on_fetch_snapshot",
        " and message.offset not in asked",
        "",
        test=f"{SNAPSHOTS}::test_a_turn_sends_so_many_pieces_and_no_follower_waits_for_another",
    ),
    Mutant(
        "a turn sends whatever was asked for",
        "Sending.messages",
        " or sent == _TURN_PIECES",
        "",
        test=f"{SNAPSHOTS}::test_a_turn_sends_so_many_pieces_and_no_follower_waits_for_another",
    ),
    Mutant(
        "pieces are asked of who did not offer them",
        "Receiving.write_messages",
        " or self._leader != (term, leader)",
        "",
        test=f"{SNAPSHOTS}::test_pieces_are_asked_of_nobody_but_who_leads_and_offered_them",
    ),
    Mutant(
        "an entry that nobody has is asked for for ever",
        "Repair._lacks",
        "            log.lost_index = first\n",
        "            pass\n",
        test=f"{SNAPSHOTS}"
        "::test_for_entries_that_the_leader_lacks_too_a_snapshot_is_asked_for_in_the_end",
    ),
    Mutant(
        "entries are kept for who fetches nothing",
        "Sending.retained_index",
        "is not None and self._active:",
        "is not None and self.receivers:",
        test=f"{SNAPSHOTS}"
        "::test_nothing_is_kept_for_who_answers_and_fetches_nothing_but_it_is_tried_again",
    ),
    Mutant(
        "entries are kept for half a minute for who fetches a snapshot",
        "Sending.on_fetch_snapshot",
        "        receiver.active_ms = now_ms\n",
        "",
        test=f"{SNAPSHOTS}"
        "::test_what_follows_a_snapshot_is_kept_for_who_fetches_it_however_long_that_takes",
    ),
    Mutant(
        "who fetched nothing once is given up for ever",
        "Sending.heard",
        "                receiver.active_ms = now_ms\n",
        "                pass\n",
        test=f"{SNAPSHOTS}"
        "::test_nothing_is_kept_for_who_answers_and_fetches_nothing_but_it_is_tried_again",
    ),
    Mutant(
        "a file stays behind which the log does not go on",
        "Spooling._fault_of",
        '(_TOO_OLD if self._is_too_old(file.name.index) else "")',
        '""',
        test=f"{WHOLE_NODES}::test_a_file_behind_which_the_log_does_not_go_on_is_given_up",
    ),
    Mutant(
        "a state takes another one's place before the log names it",
        "Installing._go_on",
        "self._change_over(incoming) if is_durable else []",
        "self._change_over(incoming)",
        test=f"{WHOLE_NODES}::test_data_wait_for_the_log_however_long_that_takes",
    ),
    Mutant(
        "a state takes another one's place, and the log is never told",
        "Installing._finish",
        "        self._raft.install(incoming.name.start, header.configuration)\n",
        "",
        test=f"{WHOLE_NODES}::test_who_was_away_gets_a_snapshot_while_others_write",
    ),
    Mutant(
        "what came is taken for whole, whatever its digest",
        "Installing._finish",
        "        incoming.decoder.finish()\n",
        "",
        test=f"{WHOLE_NODES}"
        "::test_what_comes_is_checked_to_its_last_byte_and_made_anew_if_it_is_damaged",
    ),
    Mutant(
        "a write that a snapshot covers is said to have been rolled back",
        "Installing._change_over",
        "        return self._writes.forget(applied.last_applied)\n",
        "        return []\n",
        test=f"{WHOLE_NODES}::test_of_a_write_that_the_snapshot_covers_the_outcome_is_unknown",
    ),
    Mutant(
        "a leader that stands back goes on writing its snapshot, and reading its state",
        "Spooling.tick",
        " if leads else self._give_up()",
        "",
        test=f"{WHOLE_NODES}::test_a_leader_that_stops_writing_its_file_reads_no_more",
    ),
    Mutant(
        "a snapshot is written that might not fit",
        "Spooling._begin",
        "< needed_bytes:",
        "< 0:",
        test=f"{WHOLE_NODES}::test_a_snapshot_that_might_not_fit_is_not_written",
    ),
    Mutant(
        "a snapshot takes the last room of its leader while it is written",
        "Spooling._reason_to_give_up",
        "if left_bytes < self._reserve_bytes else",
        "if left_bytes < -1 else",
        test=f"{WHOLE_NODES}"
        "::test_a_file_that_takes_too_much_while_it_is_written_is_given_up_and_tried_again",
    ),
    Mutant(
        "a snapshot is written however far the data's file grows for its sake",
        "Spooling._reason_to_give_up",
        "self._pinning.fault_of(writing.stream.pinned_bytes)",
        "self._pinning.fault_of(0)",
        test=f"{WHOLE_NODES}"
        "::test_a_file_that_takes_too_much_while_it_is_written_is_given_up_and_tried_again",
    ),
    Mutant(
        "a backup goes on however far the data's file grows for its sake",
        "Pinning.fault_of",
        "if pinned_bytes > self._pinned_bytes_max:",
        "if pinned_bytes > 1 << 60:",
        test=f"{BACKUPS}::test_a_backup_ends_that_makes_the_file_grow_too_far_and_says_why",
    ),
    Mutant(
        "a backup takes the room of clients",
        "Pinning.fault_of",
        "is_close and",
        "False and",
        test=f"{BACKUPS}::test_a_backup_ends_before_clients_are_refused_for_the_room_that_it_takes",
    ),
    Mutant(
        "of a full disk no backup can be taken",
        "Pinning.fault_of",
        " and pinned_bytes > _PIN_BYTES_MIN",
        "",
        test=f"{BACKUPS}::test_a_backup_ends_before_clients_are_refused_for_the_room_that_it_takes",
    ),
    Mutant(
        "what is added while somebody reads counts as kept for the reading",
        "LmdbState._grown_beyond_data",
        " - added_bytes",
        "",
        test="tests/storage/test_reuse.py"
        "::test_what_a_reading_keeps_from_being_used_again_is_known",
    ),
    Mutant(
        "each backup that was ended is remembered for ever",
        "Backups.tick",
        "while len(self._ended) > self._limits.backups_max:",
        "while len(self._ended) > 1 << 20:",
        test=f"{BACKUPS}::test_of_backups_that_were_ended_only_the_last_ones_are_remembered",
    ),
    Mutant(
        "a snapshot is fetched that might not fit",
        "Installing._lack",
        "< needed_bytes:",
        "< 0:",
        test=f"{WHOLE_NODES}::test_a_snapshot_that_might_not_fit_is_not_fetched",
    ),
    Mutant(
        "a snapshot is fetched that is larger than the map",
        "Installing._lack",
        " or size_bytes > store.capacity_bytes:",
        ":",
        test=f"{WHOLE_NODES}::test_a_snapshot_that_is_larger_than_the_map_is_not_fetched",
    ),
    Mutant(
        "what did not fit into the map is fetched again and again",
        "Installing.wake",
        "                self._too_large_bytes = self._receiving.name.size_bytes\n",
        "                pass\n",
        test=f"{WHOLE_NODES}::test_what_did_not_fit_into_the_map_is_not_tried_again",
    ),
    Mutant(
        "a node goes on though its data are neither here nor there",
        "Installing.wake",
        "            if self._is_named_by_log:\n                raise\n",
        "",
        test=f"{WHOLE_NODES}::test_what_fails_once_the_log_is_told_ends_the_node",
    ),
    Mutant(
        "a node goes on with the half of a snapshot whose other half could not be written",
        "Receiving.put_off",
        "        self.taken_bytes = 0\n",
        "",
        test=f"{WHOLE_NODES}"
        "::test_who_cannot_write_what_comes_waits_and_tries_again_ever_less_often",
    ),
    Mutant(
        "what fails is tried again at once",
        "Setback.add",
        "now_ms + self._wait_ms",
        "now_ms",
        test=f"{WHOLE_NODES}"
        "::test_who_cannot_write_what_comes_waits_and_tries_again_ever_less_often",
    ),
    Mutant(
        "a snapshot that was found damaged is written anew at once",
        "Spooling._fault_of",
        '"a node found the last one damaged"',
        '""',
        test=f"{WHOLE_NODES}::test_for_who_finds_every_snapshot_damaged_ever_fewer_are_written",
    ),
    Mutant(
        "a leader that cannot open its state for a snapshot keeps the file open",
        "Spooling._open",
        "            spool.close()\n",
        "            pass\n",
        test=f"{WHOLE_NODES}::test_a_leader_that_cannot_write_a_snapshot_leads_on_and_tries_again",
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
        test=f"{WHOLE_NODES}"
        "::test_what_was_in_place_before_goes_in_steps_and_before_the_next_one_begins",
    ),
    Mutant(
        "what is left of a state stays until the next start",
        "Installing._change_over",
        "self._incoming, self._has_leftover = None, True",
        "self._incoming = None",
        test=f"{WHOLE_NODES}"
        "::test_what_was_in_place_before_goes_in_steps_and_before_the_next_one_begins",
    ),
    Mutant(
        "a turn takes so many bytes of a snapshot, however many records they are",
        "Installing._take",
        " and len(pairs) < _TURN_RECORDS:",
        ":",
        test=f"{WHOLE_NODES}::test_no_turn_gets_longer_because_records_are_small",
    ),
    Mutant(
        "a turn writes so many bytes of a snapshot, however many records they are",
        "_Writing.next_slice",
        " and stream.done < records",
        "",
        test=f"{WHOLE_NODES}::test_no_turn_gets_longer_because_records_are_small",
    ),
    Mutant(
        "a snapshot is taken for whole before its last piece is",
        "Installing._go_on",
        "self._receiving.is_whole and not incoming.rest",
        "self._receiving.is_whole",
        test=f"{WHOLE_NODES}::test_no_turn_gets_longer_because_records_are_small",
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
        test=f"{WHOLE_NODES}::test_a_program_that_is_too_old_for_a_snapshot_ends_itself",
    ),
    Mutant(
        "a snapshot of another entry than was offered is installed",
        "Installing._check",
        "(header.index, header.term) != (name.index, name.term)",
        "header.index != name.index",
        test=f"{WHOLE_NODES}"
        "::test_what_comes_is_checked_to_its_last_byte_and_made_anew_if_it_is_damaged",
    ),
    Mutant(
        "a snapshot is told to have taken a thousand times as long",
        "Receiving.installed",
        "(now_ms - self.began_ms) / 1_000",
        "now_ms - self.began_ms",
        test=f"{SNAPSHOTS}::test_how_long_a_snapshot_took_is_told_on_both_sides",
    ),
    Mutant(
        "who goes on by the log is said to go on by the snapshot that it began to fetch",
        "Sending._is_done",
        " and receiver.sent_bytes == name.size_bytes:",
        ":",
        test=f"{SNAPSHOTS}::test_how_long_a_snapshot_took_is_told_on_both_sides",
    ),
    Mutant(
        "a snapshot is whole of which the disk took a part",
        "SpoolFile.write",
        "            while left:\n                left = left[os.write(self._fd, left) :]\n",
        "            os.write(self._fd, left)\n",
        test=f"{STORES}::test_a_spool_of_which_the_disk_takes_only_a_part_is_told",
    ),
    Mutant(
        "the status tells since when a snapshot comes, and not for how long",
        "node_status._receiving",
        "    ms = node.now_ms - receiving.began_ms\n",
        "    ms = receiving.began_ms\n",
        test=f"{WHOLE_NODES}::test_how_far_it_has_come_is_shown_on_both_sides",
    ),
    Mutant(
        "what came of the snapshot before counts as a part of the next one",
        "Sending.on_fetch_snapshot",
        "receiver.began_ms, receiver.sent_bytes = name, now_ms, 0",
        "receiver.began_ms = name, now_ms",
        test=f"{SNAPSHOTS}::test_how_far_another_snapshot_has_come_counts_from_its_beginning",
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
        test=f"{WHOLE_NODES}"
        "::test_who_waits_for_room_for_an_entry_waits_no_more_when_a_snapshot_brings_it",
    ),
    Mutant(
        "the file before keeps its room when another is written",
        "Spooling._begin",
        "        self._drop_file()\n",
        "",
        test=f"{WHOLE_NODES}::test_a_file_that_does_not_reach_far_enough_makes_way_for_another",
    ),
    Mutant(
        "a leader tells what keeps it from a snapshot that nobody needs any more",
        "Spooling.tick",
        "            self._setback.clear()\n",
        "            pass\n",
        test=f"{WHOLE_NODES}::test_a_snapshot_that_might_not_fit_is_not_written",
    ),
    Mutant(
        "a follower does not know since when it fetches a snapshot",
        "Receiving.on_install_snapshot",
        "            self.name, self.began_ms = name, now_ms\n",
        "            self.name, self.began_ms = name, 0.0\n",
        test=f"{SNAPSHOTS}::test_how_long_a_snapshot_took_is_told_on_both_sides",
    ),
    Mutant(
        "a start takes a state for whole that was being built",
        "finish_change_over",
        "log.start.index > 0 and ",
        "",
        test="tests/storage/test_power_cuts.py::test_what_was_promised_outlasts_every_power_cut"
        "[snapshot_that_is_installed_twice]",
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
        test="tests/raft/test_snapshots.py"
        "::test_a_snapshot_that_reaches_less_far_than_what_is_applied_is_of_no_use",
    ),
    Mutant(
        "who lost what it has applied asks for a snapshot that reaches less far",
        "RaftLog.needs_snapshot",
        "max(self.lost_index, self.applied_index) if",
        "self.lost_index if",
        test="tests/raft/test_snapshots.py"
        "::test_a_snapshot_that_reaches_less_far_than_what_is_applied_is_of_no_use",
    ),
    Mutant(
        "what once failed for long is tried rarely for ever",
        "Setback.clear",
        "-math.inf, _FIRST_MS",
        "-math.inf, self._wait_ms",
        test="tests/server/test_setback.py"
        "::test_what_has_succeeded_is_tried_again_as_soon_as_if_it_had_never_failed",
    ),
    Mutant(
        "a snapshot is begun in the room that is left to others",
        "Spooling._begin",
        "store.data_bytes() + self._reserve_bytes",
        "store.data_bytes()",
        test=f"{WHOLE_NODES}"
        "::test_a_snapshot_is_not_begun_that_would_leave_others_less_than_is_theirs",
    ),
    Mutant(
        "a successor that is abandoned has no place beside what still lies there",
        "LmdbSuccessor.abandon",
        "            remove_all(aside)\n",
        "",
        test=f"{STORES}::test_one_is_abandoned_after_the_other",
    ),
)
