"""Wrong versions of how a directory is made of what there is: restored, defragmented, recovered.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

COMMANDS = "tests/cli/test_backups.py"
DEFRAGMENTING = "tests/storage/test_defragmenting.py"
RECOVERY = "tests/recovery/test_recovery.py"
RESTORE = "tests/cli/test_restore.py"
DIRECTORIES = "tests/storage/test_restoring.py"

RESTORING = (
    Mutant(
        "a restored cluster's name says nothing of its revisions",
        "_cluster_of",
        "encode(origin))",
        "encode(origin[:2]))",
        test=f"{RESTORE}::test_a_slip_makes_a_stranger_and_no_member_that_differs_unseen",
    ),
    Mutant(
        "a restored cluster's name says nothing of its members",
        "_cluster_of",
        "encode(origin))",
        "encode(origin[::2]))",
        test=f"{RESTORE}::test_a_slip_makes_a_stranger_and_no_member_that_differs_unseen",
    ),
    Mutant(
        "an inspection looks at the log of the cluster that was recovered",
        "_Reading._raft",
        "in_force(self._directory, self._directory / RAFT)",
        "self._directory / RAFT",
        test=f"{RECOVERY}::test_the_one_rename_decides",
    ),
    Mutant(
        "a name grows with each recovery until it has no room",
        "successor_of",
        "        name = name[: mark.start()]\n",
        "        break\n",
        test="tests/test_cluster_names.py",
    ),
    Mutant(
        "a name that only begins alike is meant",
        "is_meant",
        'f"{re.escape(name)}({_MARK})*"',
        'f"{re.escape(name)}.*"',
        test="tests/storage/test_directory.py::test_a_name_that_only_begins_alike_is_another_one",
    ),
    Mutant(
        "a restored cluster tells the past of the old one as its own",
        "Applied.raised",
        "floor=revision,",
        "floor=self.revision,",
        test=f"{DIRECTORIES}::test_a_directory_holds_what_the_snapshot_does_but_for_sessions",
    ),
    Mutant(
        "a restored cluster goes on with the revisions of the old one",
        "Applied.raised",
        "revision = self.revision + bump\n",
        "revision = self.revision\n",
        test=f"{DIRECTORIES}::test_a_directory_holds_what_the_snapshot_does_but_for_sessions",
    ),
    Mutant(
        "the revision that is told of a restored directory is that of the old cluster",
        "restore.restore",
        '"revision": restored.revision,',
        '"revision": header.applied.revision,',
        test=f"{COMMANDS}::test_what_was_restored_is_told_with_the_revision_from_which_it_goes_on",
    ),
    Mutant(
        "sessions outlast a restore",
        "restoring._fill",
        " if ROW_OF[pair[0][:1]].outlives]",
        "]",
        test=f"{DIRECTORIES}::test_a_directory_holds_what_the_snapshot_does_but_for_sessions",
    ),
    Mutant(
        "a restored log begins with the first entry of all",
        "restore_snapshot",
        "            start = LogStart(header.index, header.term)\n",
        "            start = LogStart()\n",
        test=f"{DIRECTORIES}::test_a_directory_holds_what_the_snapshot_does_but_for_sessions",
    ),
    Mutant(
        "a directory that there is is restored over",
        "restore_snapshot",
        "            directory.refuse_existing(data_dir)\n",
        "",
        test=f"{DIRECTORIES}::test_a_directory_that_a_node_has_is_refused_untouched",
    ),
    Mutant(
        "a damaged snapshot leaves a part of a directory",
        "directory.create",
        "    except BaseException:\n        _remove_unfinished(data_dir)\n        raise\n",
        "    except BaseException:\n        raise\n",
        test=f"{DIRECTORIES}::test_a_damaged_snapshot_leaves_nothing",
    ),
    Mutant(
        "a directory is there before its data is",
        "directory.create",
        "        make_state(data_dir / STATE)\n",
        "        os.rename(data_dir / UNFINISHED, data_dir / RAFT)\n"
        "        make_state(data_dir / STATE)\n"
        "        os.rename(data_dir / RAFT, data_dir / UNFINISHED)\n",
        test=f"{DIRECTORIES}"
        "::test_a_kill_or_a_power_cut_at_any_step_leaves_the_whole_directory_or_none",
    ),
    Mutant(
        "any cluster's directory is good where none is named",
        "_check_identity",
        "cluster_names.is_meant(asked.cluster_id, stored.cluster_id)",
        "stored.cluster_id",
        test="tests/storage/test_directory.py",
    ),
    Mutant(
        "a defragmented file takes the place of the old one after that is gone",
        "defragmenting._defragment",
        "        (target / lmdb_files.DATA_FILE).rename(old)\n",
        "        old.unlink()\n        (target / lmdb_files.DATA_FILE).rename(old)\n",
        test=f"{DEFRAGMENTING}::test_a_kill_or_a_power_cut_at_any_step_leaves_all_that_was_there",
    ),
    Mutant(
        "the name of a defragmented file is not synced",
        "defragmenting._defragment",
        "        sync_directory(environment)\n",
        "",
        test=f"{DEFRAGMENTING}::test_a_kill_or_a_power_cut_at_any_step_leaves_all_that_was_there",
    ),
    Mutant(
        "only one meta page of a defragmented file leads to its own records",
        "lmdb_copy._sign",
        "range(META_PAGES)",
        "range(1)",
        test=f"{DEFRAGMENTING}::test_a_defragmented_directory_holds_the_same_in_less_room",
    ),
    Mutant(
        "what a defragmented file takes now is told as what it took before",
        "defrag.defrag",
        "{render.size(one.before_bytes)} before, ",
        "{render.size(one.after_bytes)} before, ",
        test=f"{COMMANDS}::test_what_defragmenting_gives_back_is_told",
    ),
    Mutant(
        "a directory is defragmented under a server",
        "defragment_directory",
        "    with held(data_dir):\n",
        "    if data_dir:\n",
        test=f"{DEFRAGMENTING}::test_a_directory_in_use_is_refused",
    ),
    Mutant(
        "a copy that was not finished stays",
        "defragmenting._defragment",
        "    finally:\n        _remove(target)\n",
        "    finally:\n        pass\n",
        test=f"{DEFRAGMENTING}::test_a_defragmented_directory_holds_the_same_in_less_room",
    ),
    Mutant(
        "a recovery leaves out what a damaged log has lost of the data",
        "recovering._open_state",
        "found.start.index or found.damaged",
        "found.start.index",
        test=f"{RECOVERY}::test_damaged_data_of_which_the_log_has_lost_some_are_refused_untouched",
    ),
    Mutant(
        "a recovery mends a log in its place before anybody has said so",
        "recovering._open_log",
        "save(raft, copy, map_bytes)\n        return LmdbLog(copy, map_bytes)",
        "__import__('kvstore.storage.lmdb_salvage', fromlist=['_']).salvage(raft, map_bytes)\n"
        "        return LmdbLog(raft, map_bytes)",
        test=f"{RECOVERY}::test_of_a_log_with_damaged_pages_what_is_sound_is_kept",
    ),
    Mutant(
        "a recovery leaves its copies of damaged stores behind",
        "remove_copies",
        "                shutil.rmtree(data_dir / name)\n",
        "                pass\n",
        test=f"{RECOVERY}::test_damaged_data_come_anew_from_a_log_that_tells_all_of_them",
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
        "machine.applied.raised(revision_bump)",
        "machine.applied",
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
        "successor_of(old.cluster_id, chance(16))",
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
        test=f"{RECOVERY}"
        "::test_a_kill_or_a_power_cut_at_any_step_leaves_the_old_directory_or_the_new_one",
    ),
    Mutant(
        "a start does not finish a recovery",
        "_settle_names",
        "    recovered_log.finish(data_dir, data_dir / RAFT)\n",
        "",
        test=f"{RECOVERY}::test_the_one_rename_decides",
    ),
)
