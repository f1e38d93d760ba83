"""Wrong versions of what is read of a state while it goes on, and of what is saved of it.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

READING = "tests/storage/test_reading.py"
SNAPSHOTS = "tests/storage/test_snapshots.py"
BACKUPS = "tests/server/test_backups.py"
COMMANDS = "tests/cli/test_backups.py"
CLIENTS = "tests/client/test_backups.py"

SAVING = (
    Mutant(
        "a reading in memory sees what was not committed",
        "MemoryTable.committed",
        "{**self._values, **self._before}",
        "{**self._before, **self._values}",
        test=f"{READING}::test_what_was_not_committed_is_not_read",
    ),
    Mutant(
        "a reading of the key space goes through the transaction that writes",
        "LmdbState.reading",
        "            txn = self._env.begin()  #",
        "            txn = self._txn  #",
        test=f"{READING}::test_what_was_not_committed_is_not_read",
    ),
    Mutant(
        "a closed reading goes on to pin its commit",
        "LmdbState._end_reading",
        "        self._readings.pop(reading).abort()\n",
        "        self._readings[reading].id()\n",
        test=f"{READING}::test_the_file_grows_only_while_a_reading_is_open",
    ),
    Mutant(
        "a slice goes by bytes alone, however many records that is",
        "Reading.read",
        "room -= pair_bytes + len(pair[0])",
        "room -= len(pair[0])",
        test=f"{READING}::test_many_small_records_are_work_too",
    ),
    Mutant(
        "a reading goes on behind what could not be read",
        "Reading.read",
        "            self.close()\n            raise\n",
        "            return taken\n",
        test=f"{READING}::test_a_damaged_record_ends_a_reading_and_is_named",
    ),
    Mutant(
        "a snapshot is whole when its bytes are over",
        "SnapshotDecoder.finish",
        "        if self._failed or self.trailer is None:\n",
        "        if self._failed:\n",
        test=f"{SNAPSHOTS}::test_every_flipped_byte_and_every_cut_of_one_snapshot_is_noticed",
    ),
    Mutant(
        "the digest of a snapshot is not compared",
        "SnapshotDecoder._take_trailer",
        "        if trailer != self._tally.trailer():\n",
        "        if trailer.blocks != self._tally.blocks:\n",
        test=f"{SNAPSHOTS}::test_a_snapshot_with_parts_of_another_one_is_noticed",
    ),
    Mutant(
        "the head of a part is believed before it was checked",
        "SnapshotDecoder._take_frame",
        "        if length > FRAME_BYTES_MAX:\n",
        "        if length > 1 << 40:\n",
        test=f"{SNAPSHOTS}::test_a_part_that_says_it_is_huge_is_not_waited_for",
    ),
    Mutant(
        "a snapshot may be of no state that can be",
        "SnapshotDecoder._take_body",
        "            self._check_header(self.header)\n",
        "",
        test=f"{SNAPSHOTS}::test_a_header_that_can_be_of_no_state_is_damage_whatever_its_checksum",
    ),
    Mutant(
        "records of a snapshot may come in any order",
        "_Tally.add",
        "        if stored <= self._last:\n",
        "        if stored == self._last:\n",
        test=f"{SNAPSHOTS}::test_records_in_another_order_are_noticed_at_once",
    ),
    Mutant(
        "the record of a snapshot is not checked by its own checksum",
        "SnapshotDecoder._take_records",
        "                records.decode_value(stored, value)\n",
        "",
        test=f"{SNAPSHOTS}::test_a_record_that_was_damaged_before_it_was_checksummed_is_noticed",
    ),
    Mutant(
        "bytes behind a snapshot are passed over",
        "SnapshotDecoder._take",
        "        if rest and self.trailer is not None:\n",
        "        if rest and self.trailer is None and not data:\n",
        test=f"{SNAPSHOTS}::test_whatever_stands_behind_the_end_is_noticed",
    ),
    Mutant(
        "a file has its name before it is whole",
        "WholeFile.__init__",
        "        self._unfinished = path.parent / (path.name + UNFINISHED)\n",
        "        self._unfinished = path\n",
        test=f"{SNAPSHOTS}::test_a_file_that_is_abandoned_leaves_nothing_and_keeps_what_was_there",
    ),
    Mutant(
        "a file has its name before its bytes are on the disk",
        "WholeFile.finish",
        "                os.fsync(self._file.fileno())\n",
        "",
        test=f"{SNAPSHOTS}"
        "::test_a_file_that_is_finished_outlasts_a_power_cut_and_one_that_is_not_is_the_one_before",
    ),
    Mutant(
        "the name of a file that is finished is not synced",
        "WholeFile.finish",
        "        sync_directory(self.path.parent)\n",
        "",
        test=f"{SNAPSHOTS}"
        "::test_a_file_that_is_finished_outlasts_a_power_cut_and_one_that_is_not_is_the_one_before",
    ),
    Mutant(
        "two may write the same file",
        "WholeFile._take",
        "            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "",
        test=f"{SNAPSHOTS}::test_of_two_that_write_the_same_file_one_is_refused_and_harms_nothing",
    ),
    Mutant(
        "a backup with which nobody goes on is kept for ever",
        "Backups._is_overdue",
        "self._now_ms - backup.asked_ms > limits.backup_idle_ms",
        "False",
        test=f"{BACKUPS}::test_a_backup_that_nobody_goes_on_with_is_let_go",
    ),
    Mutant(
        "a backup may be fetched as slowly as one likes",
        "Backups._is_overdue",
        "        is_slow = self._now_ms - backup.began_ms > granted_ms\n",
        "        is_slow = False\n",
        test=f"{BACKUPS}::test_a_backup_that_is_fetched_too_slowly_is_let_go",
    ),
    Mutant(
        "a backup of much takes no longer than one of little",
        "Backups._is_overdue",
        "limits.backup_grace_ms + backup.offset * 1_000 / limits.backup_pace_bytes",
        "limits.backup_grace_ms",
        test=f"{BACKUPS}::test_who_fetches_at_a_good_pace_may_take_as_long_as_it_takes",
    ),
    Mutant(
        "a backup that is given up keeps its reading",
        "Backups.tick",
        "                backup.stream.close()\n",
        "",
        test=f"{BACKUPS}::test_a_backup_that_nobody_goes_on_with_is_let_go",
    ),
    Mutant(
        "any number of backups is given at once",
        "Backups._begin",
        "        if len(self) >= self._limits.backups_max and",
        "        if len(self) > self._limits.backups_max and",
        test=f"{BACKUPS}::test_a_node_gives_so_many_at_once_and_says_when_there_are_more",
    ),
    Mutant(
        "a backup that was given counts for one that is given",
        "Backups._forget_one_given",
        "if one.stream.is_over]\n",
        "if one.stream is None]\n",
        test=f"{BACKUPS}::test_a_backup_that_was_given_is_in_nobodys_way",
    ),
    Mutant(
        "a backup has what the last checkpoint had",
        "Backups._begin",
        "        self._checkpoints.make()\n",
        "",
        test=f"{BACKUPS}::test_a_backup_of_the_leader_has_all_that_it_has_acknowledged",
    ),
    Mutant(
        "a piece that is asked for again is the next one",
        "Backups.fetch",
        "        if last is not None and request.offset == last.offset:\n            return last\n",
        "        if last is not None and request.offset == last.offset:\n"
        "            return self._next(number, backup)\n",
        test=f"{BACKUPS}::test_the_last_piece_is_given_again_and_no_other",
    ),
    Mutant(
        "the backup that was given last makes way for another",
        "Backups._forget_one_given",
        "self._under_way[given[0]]",
        "self._under_way[given[-1]]",
        test=f"{BACKUPS}::test_of_backups_that_were_given_the_one_that_was_given_first_makes_way",
    ),
    Mutant(
        "many small records of a backup are no work",
        "Backups._next",
        " + stream.done - done",
        " + 0 * done",
        test=f"{BACKUPS}::test_many_small_records_cost_a_backup_more_than_their_bytes",
    ),
    Mutant(
        "a backup is kept though it is not whole",
        "backups._save",
        "    decoder.finish()\n",
        "",
        test=f"{COMMANDS}::test_bytes_that_are_no_whole_backup_get_no_name",
    ),
    Mutant(
        "who led long ago passes for a leader of whom to take a backup",
        "backup._by_knowledge",
        "one.leads and one.term == newest",
        "one.leads",
        test=f"{CLIENTS}::test_of_several_nodes_the_one_that_knows_most_gives_it",
    ),
    Mutant(
        "a backup is taken of the first node that answers",
        "backup.fetch",
        "_begin(_by_knowledge(nodes, ask), ask)",
        "_begin([_candidate(node, ask) for node in nodes], ask)",
        test=f"{CLIENTS}::test_of_several_nodes_the_one_that_knows_most_gives_it",
    ),
    Mutant(
        "a backup takes the place of a pipe",
        "WholeFile.__init__",
        "not path.is_file()",
        "path.is_dir()",
        test=f"{COMMANDS}::test_what_is_no_file_is_not_replaced_by_one",
    ),
    Mutant(
        "a backup takes the place of a link",
        "WholeFile.__init__",
        "Path(os.path.realpath(path))",
        "path",
        test=f"{COMMANDS}::test_behind_a_link_the_file_is_replaced",
    ),
    Mutant(
        "a backup that broke off is kept",
        "_save_to_file",
        "    finally:\n        file.abandon()\n",
        "    finally:\n        file.finish()\n",
        test=f"{COMMANDS}::test_a_backup_that_breaks_off_leaves_no_file_and_keeps_the_old_one",
    ),
    Mutant(
        "a node that has joined and knows nothing gives a backup of nothing",
        "Backups._begin",
        "        if not configuration.members:\n",
        "        if configuration is None:\n",
    ),
    Mutant(
        "a backup is said to be of the last term",
        "Backups._begin",
        "log.term(index), log.configurations.as_of(index)",
        "log.last_term, log.configurations.as_of(index)",
    ),
    Mutant(
        "a backup names the members of now",
        "Backups._begin",
        "log.configurations.as_of(index)",
        "log.configuration",
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
)
