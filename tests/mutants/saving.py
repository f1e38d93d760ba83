"""Wrong versions of what is read of a state while it goes on, and of what is saved of it.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

READING = "tests/storage/test_reading.py"
SNAPSHOTS = "tests/storage/test_snapshots.py"
BACKUPS = "tests/server/test_backups.py"
COMMANDS = "tests/cli/test_backups.py"
COMPACTING = "tests/storage/test_compacting.py"
RECOVERY = "tests/recovery/test_recovery.py"
RESTORING = "tests/storage/test_restoring.py"

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
        "room -= PAIR_BYTES + len(pair[0])",
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
        "        if trailer.keys != self._tally.keys:\n",
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
        test=f"{SNAPSHOTS}::test_a_file_that_is_finished_outlasts_a_power_cut"
        "_and_one_that_is_not_is_the_one_before",
    ),
    Mutant(
        "the name of a file that is finished is not synced",
        "WholeFile.finish",
        "        sync_directory(self.path.parent)\n",
        "",
        test=f"{SNAPSHOTS}::test_a_file_that_is_finished_outlasts_a_power_cut"
        "_and_one_that_is_not_is_the_one_before",
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
        "a backup that broke off is kept",
        "_save_to_file",
        "    finally:\n        file.abandon()\n",
        "    finally:\n        file.finish()\n",
        test=f"{COMMANDS}::test_a_backup_that_breaks_off_leaves_no_file_and_keeps_the_old_one",
    ),
    Mutant(
        "a restored cluster goes on with the revisions of the old one",
        "_bumped",
        "    return revision + bump\n",
        "    return revision\n",
        test=f"{RESTORING}::test_a_directory_holds_what_the_snapshot_does_but_for_sessions",
    ),
    Mutant(
        "sessions outlast a restore",
        "restoring._fill",
        "                if stored.startswith(records.KEY_PREFIX):\n",
        "                if stored:\n",
        test=f"{RESTORING}::test_a_directory_holds_what_the_snapshot_does_but_for_sessions",
    ),
    Mutant(
        "a restored log begins with the first entry of all",
        "restore_snapshot",
        "            start = LogStart(header.index, header.term)\n",
        "            start = LogStart()\n",
        test=f"{RESTORING}::test_a_directory_holds_what_the_snapshot_does_but_for_sessions",
    ),
    Mutant(
        "a directory that there is is restored over",
        "restore_snapshot",
        "            directory.refuse_existing(data_dir)\n",
        "",
        test=f"{RESTORING}::test_a_directory_that_a_node_has_is_refused_untouched",
    ),
    Mutant(
        "a damaged snapshot leaves a part of a directory",
        "directory.create",
        "    except BaseException:\n        _remove_unfinished(data_dir)\n        raise\n",
        "    except BaseException:\n        raise\n",
        test=f"{RESTORING}::test_a_damaged_snapshot_leaves_nothing",
    ),
    Mutant(
        "a directory is there before its data is",
        "directory.create",
        "        make_state(data_dir / STATE)\n",
        "        os.rename(data_dir / UNFINISHED, data_dir / RAFT)\n"
        "        make_state(data_dir / STATE)\n"
        "        os.rename(data_dir / RAFT, data_dir / UNFINISHED)\n",
        test=f"{RESTORING}::"
        "test_a_kill_or_a_power_cut_at_any_step_leaves_the_whole_directory_or_none",
    ),
    Mutant(
        "any cluster's directory is good where none is named",
        "_check_identity",
        'stored.cluster_id.startswith(f"{asked.cluster_id}-")',
        "stored.cluster_id",
        test="tests/storage/test_directory.py",
    ),
    Mutant(
        "a compacted file takes the place of the old one after that is gone",
        "compacting._compact",
        "        (target / lmdb_files.DATA_FILE).rename(old)\n",
        "        old.unlink()\n        (target / lmdb_files.DATA_FILE).rename(old)\n",
        test=f"{COMPACTING}::test_a_kill_or_a_power_cut_at_any_step_leaves_all_that_was_there",
    ),
    Mutant(
        "the name of a compacted file is not synced",
        "compacting._compact",
        "        sync_directory(environment)\n",
        "",
        test=f"{COMPACTING}::test_a_kill_or_a_power_cut_at_any_step_leaves_all_that_was_there",
    ),
    Mutant(
        "only one meta page of a compacted file leads to its own records",
        "lmdb_compact._sign",
        "range(META_PAGES)",
        "range(1)",
        test=f"{COMPACTING}::test_a_compacted_directory_holds_the_same_in_less_room",
    ),
    Mutant(
        "a directory is compacted under a server",
        "compact_directory",
        "    with held(data_dir):\n",
        "    if data_dir:\n",
        test=f"{COMPACTING}::test_a_directory_in_use_is_refused",
    ),
    Mutant(
        "a copy that was not finished stays",
        "compacting._compact",
        "    finally:\n        _remove(target)\n",
        "    finally:\n        pass\n",
        test=f"{COMPACTING}::test_a_compacted_directory_holds_the_same_in_less_room",
    ),
    Mutant(
        "a recovery cuts what is not known to be committed",
        "Survivor.entries_after",
        "        while index < self.last_index:\n",
        "        while index < self.state.applied().last_applied:\n",
        test=f"{RECOVERY}::test_all_entries_that_are_held_are_kept_and_the_log_begins_anew",
    ),
    Mutant(
        "a recovery applies again what was applied",
        "recovery._applied",
        "survivor.entries_after(applied.last_applied)",
        "survivor.entries_after(survivor.found.start.index)",
    ),
    Mutant(
        "a recovery takes what only this directory holds for nothing",
        "recovery._applied",
        "        if entry.kind is EntryKind.COMMAND:\n",
        "        if entry.kind is EntryKind.COMMAND and entry.index == applied.last_applied:\n",
    ),
    Mutant(
        "a recovery cuts the log where the data ends",
        "Survivor.__init__",
        "damaged[0] - 1 if damaged else found.last_index\n",
        "damaged[0] - 1 if damaged else applied\n",
    ),
    Mutant(
        "a recovered cluster goes on in the term of its last entry",
        "recovery.recover",
        "max(survivor.found.hard_state.current_term, survivor.last_term) + TERM_BUMP\n",
        "survivor.last_term\n",
    ),
    Mutant(
        "a recovered log begins in another term",
        "Survivor.last_term",
        "ranges[bisect_right(ranges, self.last_index, key=_first_index) - 1].term",
        "ranges[0].term",
    ),
    Mutant(
        "a recovered cluster goes on in the old term",
        "recovery.recover",
        "survivor.last_term) + TERM_BUMP\n",
        "survivor.last_term)\n",
        test=f"{RECOVERY}::test_term_and_revision_are_beyond_all_of_before",
    ),
    Mutant(
        "a recovered cluster goes on with the revisions of the old one",
        "recovery.recover",
        "machine.revision + REVISION_BUMP",
        "machine.revision",
        test=f"{RECOVERY}::test_term_and_revision_are_beyond_all_of_before",
    ),
    Mutant(
        "a recovered cluster has forgotten its version",
        "recovery._applied",
        "            machine.adopt(version_of(entry))\n",
        "            version_of(entry)\n",
        test=f"{RECOVERY}::test_a_version_of_the_cluster_that_is_held_is_kept",
    ),
    Mutant(
        "nobody is told that the directory to be recovered was never admitted",
        "prospect_of",
        "is_voter=found.hard_state.is_voter",
        "is_voter=True",
        test="tests/cli/test_recover.py"
        "::test_of_a_directory_that_was_never_admitted_it_is_said_that_it_may_lack_much",
    ),
    Mutant(
        "a recovered cluster has the name of the old one",
        "recovery.recover",
        "_another_name(old.cluster_id, chance)",
        "old.cluster_id",
        test=f"{RECOVERY}::test_it_is_another_cluster_and_another_directory",
    ),
    Mutant(
        "a recovered cluster still counts the lost nodes",
        "recovery._alone",
        "            return Configuration.of_founders({node_id: member.address})\n",
        "            return configuration\n",
        test=f"{RECOVERY}::test_all_entries_that_are_held_are_kept_and_the_log_begins_anew",
    ),
    Mutant(
        "a recovered directory lacks a place for what is known of peers",
        "SurvivingDirectory.replace",
        "        PeersFile.create(new / PEERS, identity.incarnation)\n",
        "",
        test=f"{RECOVERY}::test_all_entries_that_are_held_are_kept_and_the_log_begins_anew",
    ),
    Mutant(
        "a recovery reads on behind a damaged entry",
        "Survivor.__init__",
        "damaged[0] - 1 if damaged else found.last_index",
        "found.last_index",
        test=f"{RECOVERY}::test_entries_behind_a_damaged_one_are_lost_and_counted",
    ),
    Mutant(
        "damage among what is applied costs entries",
        "Survivor.__init__",
        "[index for index in found.damaged if index > applied]",
        "[index for index in found.damaged if index]",
        test=f"{RECOVERY}::test_damage_among_what_is_applied_costs_nothing",
    ),
    Mutant(
        "the name that decides a recovery is not synced",
        "recovered_log.decide",
        "    sync_directory(data_dir)\n",
        "",
        test=f"{RECOVERY}::"
        "test_a_kill_or_a_power_cut_at_any_step_leaves_the_old_directory_or_the_new_one",
    ),
    Mutant(
        "a start does not finish a recovery",
        "_settle_names",
        "    recovered_log.finish(data_dir, data_dir / RAFT)\n",
        "",
        test=f"{RECOVERY}::test_the_one_rename_decides",
    ),
)
