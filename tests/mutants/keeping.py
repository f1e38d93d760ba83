"""Wrong versions of what the disk holds, and of what is read back from it.

Law: each is one plausible mistake, named by what it does wrong. Where only a scripted
test can notice, because no run of a whole node comes to show it, it says which.
"""

from __future__ import annotations

from .mutant import Mutant

COSTS = "tests/storage/test_cost.py"
PEERS = "tests/storage/test_peers_file.py"
REUSE = "tests/storage/test_reuse.py"

KEEPING = (
    Mutant(
        "a deletion copies one page",
        "_pages.leaves",
        "    leaves = min(puts + 2 * deletes, tree.leaf_pages) + new_leaves\n",
        "    leaves = min(1, tree.leaf_pages) + new_leaves\n",
        test=f"{COSTS}::test_what_has_a_footprint_takes_no_more_than_is_said_before",
    ),
    Mutant(
        "a long record takes its own bytes only",
        "entry_bytes",
        "    return _overflow_pages(_ENTRY_HEAD_BYTES + data_bytes,",
        "    return data_bytes or _overflow_pages(_ENTRY_HEAD_BYTES + data_bytes,",
        test=f"{COSTS}::test_entries_take_no_more_of_the_log_than_is_said_before",
    ),
    Mutant(
        "what is allocated ahead is allocated again only when it is used up",
        "DataFile.fill_up",
        "        if needed + self._reserve_bytes * 3 // 4 <= self._filled_bytes:\n",
        "        if needed <= self._filled_bytes:\n",
        test=f"{COSTS}::test_what_is_allocated_ahead_stays_ahead_of_what_is_written",
    ),
    Mutant(
        "the list of the pages that long records give back takes nothing",
        "listed_bytes.freed",
        "changes * longest, tree.overflow_pages + overflow)\n",
        "changes * longest, overflow)\n",
        test=f"{COSTS}::test_the_pages_that_long_records_give_back_are_listed_in_what_was_said",
    ),
    Mutant(
        "what the last commit freed counts as room for the next",
        "PageReader.free_pages",
        "            if transaction < freed_before:\n",
        "            if transaction < freed_before or looked == 0:\n",
        test=f"{REUSE}::test_the_free_pages_are_those_of_the_free_list",
    ),
    Mutant(
        "what is not allocated ahead has holes",
        "DataFile._allocate",
        "        with suppress(OSError):\n",
        "        if wanted <= self._bytes:\n            return\n        with suppress(OSError):\n",
        test="tests/storage/test_lmdb_files.py"
        "::test_a_file_has_no_holes_where_others_might_fill_the_disk",
    ),
    Mutant(
        "what was free while somebody read is believed until the next commit",
        "FreePages.reusable_bytes",
        "        if self._as_of != (as_of := (last, min([last, *self._read()]))):\n",
        "        as_of = (last, min([last, *self._read()]))\n        if self._as_of[0] != last:\n",
        test=f"{REUSE}::test_what_was_freed_since_somebody_began_to_read_does_not_count",
    ),
    Mutant(
        "what was freed since somebody reads counts as room",
        "FreePages.reusable_bytes",
        "min([last, *self._read()])",
        "last",
        test=f"{REUSE}::test_what_was_freed_since_somebody_began_to_read_does_not_count",
    ),
    Mutant(
        "the free list is read to its end, however long it is",
        "PageReader.free_pages",
        "if looked == records_max:",
        "if looked < 0:",
        test=f"{REUSE}::test_the_free_pages_are_those_of_the_free_list",
    ),
    Mutant(
        "what is free inside a file is no room",
        "DataFile.room_bytes",
        "free_bytes = self._free.reusable_bytes()",
        "free_bytes = 0",
        test=f"{REUSE}::test_a_log_that_once_was_long_has_the_room_of_its_free_pages",
    ),
    Mutant(
        "where each write takes new blocks, old ones count as room",
        "DataFile.room_bytes",
        "not self._copies and",
        "",
        test=f"{REUSE}::test_on_a_disk_that_is_full_a_file_has_what_is_free_inside",
    ),
    Mutant(
        "with nothing left to grow by, what is free inside counts all the same",
        "is_scarce",
        "GROWTH_BYTES_MIN <= growth_bytes",
        "0 <= growth_bytes",
        test=f"{REUSE}::test_where_a_file_can_hardly_grow_nothing_inside_counts",
    ),
    Mutant(
        "what is long is made durable in what is free inside",
        "LmdbState.room_bytes",
        "if needs_growth or",
        "if",
        test=f"{REUSE}::test_of_what_is_long_only_what_the_file_can_grow_by_is_left",
    ),
    Mutant(
        "what others take of the disk is taken of the map as well",
        "DataFile.growth_bytes",
        "self.map_left_bytes())",
        "self.map_left_bytes() - beside_bytes)",
        test=f"{COSTS}::test_what_others_take_of_the_disk_is_not_taken_of_the_map",
    ),
    Mutant(
        "a long write is taken where only short ones have room",
        "Room._left_after",
        "log.growth_bytes(owed_bytes) if is_long else log.room_bytes(owed_bytes)",
        "log.room_bytes(owed_bytes)",
        test="tests/server/test_room.py::test_what_is_long_is_refused_where_files_cannot_grow[log]",
    ),
    Mutant(
        "a long write is taken where only short ones can be applied",
        "Room._left_after",
        "state.growth_bytes(all_of_it) if is_long else state",
        "state",
        test="tests/server/test_room.py"
        "::test_what_is_long_is_refused_where_files_cannot_grow[state]",
    ),
    Mutant(
        "a long write is applied in what is free inside",
        "Room._lets_apply",
        "left = growth if is_long else",
        "left =",
        test="tests/server/test_room.py"
        "::test_what_is_long_waits_to_be_applied_until_the_file_can_grow",
    ),
    Mutant(
        "a follower takes long entries into what is free inside",
        "EntryRoom._left",
        "min(self._left_bytes, self._long_bytes) if is_long else",
        "",
        test="tests/raft/test_room.py::test_long_entries_wait_where_short_ones_have_room",
    ),
    Mutant(
        "readers of the log that died are never looked for",
        "LmdbLog._transaction",
        "            self._check_readers()\n",
        "",
        test="tests/storage/test_dead_readers.py",
    ),
    Mutant(
        "readers of the key space that died are never looked for",
        "LmdbState._commit",
        "            self._env.reader_check()\n",
        "",
        test="tests/storage/test_dead_readers.py",
    ),
    Mutant(
        "sessions are committed without the keys",
        "MemoryState._take_all_back",
        "        for table in self.tables:\n",
        "        for table in self.tables[:1]:\n",
    ),
    Mutant(
        "a commit of the log is not synced",
        "_open.env",
        "            sync=True,",
        "            sync=False,",
        test="tests/process/test_persist_then_speak.py"
        "::test_no_vote_reply_or_acknowledgement_leaves_before_its_fsync",
    ),
    Mutant(
        "the crc32c of an entry is not compared",
        "decode_entry",
        "    if crc32c(data, crc32c(key + value[_CRC_BYTES:_VALUE_BYTES])) != crc:",
        "    if crc is None:",
        test="tests/storage/test_records.py::test_every_flipped_bit_of_a_log_record_is_noticed",
    ),
    Mutant(
        "a truncation is left out of the transaction",
        "LmdbLog._remove",
        "max(update.truncate_from - 1, start)",
        "max(update.truncate_from, start)",
        test="tests/storage/test_log_store.py::test_truncation_removes_the_tail",
    ),
    Mutant(
        "after a write that failed, another one is tried",
        "LmdbLog._transaction",
        "        if self._failed:",
        "        if self._failed and not self._path:",
        test="tests/storage/test_lmdb_crash.py"
        "::test_a_full_map_of_the_log_says_so_and_changes_nothing",
    ),
    Mutant(
        "the key space is committed without last_applied",
        "LmdbState._commit",
        "            self._txn.put(name, record, db=self._main)\n",
        "",
        test="tests/storage/test_state_store.py"
        "::test_what_was_committed_survives_together_with_applied",
    ),
    Mutant(
        "a log is taken to end before its first damaged record",
        "recovered",
        "            damaged.append(index)\n            continue\n",
        "            outline = outline.after(DurableUpdate(truncate_from=index))\n"
        "            break\n",
    ),
    Mutant(
        "records that are lost from the end of the log are not missed",
        "recovered",
        "    damaged.extend(range(next_index, outline.last_index + 1))\n",
        "",
        test="tests/storage/test_damage.py::test_a_missing_record_is_known_by_its_name",
    ),
    Mutant(
        "the terms of removed entries stay on record",
        "LmdbLog._write_outline",
        "            for gone in set(before).difference(new.ranges):\n",
        "            for gone in set(before[:0]):\n",
        test="tests/storage/test_log_store.py::test_the_whole_log_can_be_truncated",
    ),
    Mutant(
        "a salvaged log forgets what could not be read",
        "lmdb_salvage.save.outline",
        "        outline = decode_outline(named.get(records.EXTENT), terms, hard_state)\n",
        "        outline = Outline()\n",
        test="tests/storage/test_damage.py"
        "::test_a_lost_page_of_the_log_costs_its_entries_and_no_others",
    ),
    Mutant(
        "a salvaged log begins the list of its starts anew",
        "lmdb_salvage.save.starts",
        "        starts = records.decode_starts(lineage.get(records.STARTS))\n",
        '        starts = lineage.get(records.STARTS, b"")[4:]\n',
        test="tests/storage/test_lineage.py"
        "::test_a_lost_page_of_the_starts_is_not_taken_for_an_empty_list",
    ),
    Mutant(
        "a node whose memory of its peers is lost takes all of them for first meetings",
        "_open_peers",
        "        if len(known.members) != 1:\n",
        "        if not known.members:\n",
        test=f"{PEERS}::test_what_is_lost_is_not_taken_for_first_meetings",
    ),
    Mutant(
        "of two whole copies of what is known of peers the older one counts",
        "peers_file._read",
        "            found = found or (peers, copy)\n",
        "            found = (peers, copy)\n",
        test=f"{PEERS}::test_where_both_copies_are_whole_the_first_counts",
    ),
    Mutant(
        "a lost copy of what is known of peers is not written anew",
        "PeersFile.__init__",
        "            self._put(found.copy)\n",
        "",
        test=f"{PEERS}::test_what_a_start_found_after_a_crash_is_in_both_copies",
    ),
    Mutant(
        "what is known of peers is not synced",
        "peers_file._write",
        "    os.fdatasync(fd)\n",
        "",
        test="tests/storage/test_power_cuts.py"
        "::test_what_was_promised_outlasts_every_power_cut[first_start]",
    ),
    Mutant(
        "a log is refused where all records of a term are lost",
        "recovered",
        "        while index >= following.first_index:\n",
        "        if index >= following.first_index:\n",
        test="tests/storage/test_damage.py"
        "::test_whichever_records_are_lost_are_named_and_no_others",
    ),
    Mutant(
        "entries go on with a term that was truncated",
        "Outline.after",
        "last_term = ranges[-1].term if ranges else None",
        "last_term = self.ranges[-1].term if self.ranges else None",
        test="tests/storage/test_log_store.py"
        "::test_a_term_whose_entries_were_truncated_begins_anew_with_the_next_ones",
    ),
)
