"""Wrong versions of what is counted beside what is kept.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

BOOKINGS = "tests/server/test_bookings.py"
CORE_ACCOUNTS = "tests/raft/test_accounts.py"
SERVER_ACCOUNTS = "tests/server/test_accounts.py"
STORAGE_ACCOUNTS = "tests/storage/test_accounts.py"

COUNTING = (
    Mutant(
        "bytes of entries that a truncation removes are counted on",
        "RaftLog.truncate",
        "            self.cached_bytes -= len(self._cache.pop().data)\n",
        "            self._cache.pop()\n",
        test=f"{CORE_ACCOUNTS}::test_the_log_s_cache_is_counted_byte_by_byte",
    ),
    Mutant(
        "bytes of entries that leave the cache are counted on",
        "RaftLog.shrink_cache",
        "        self.cached_bytes -= sum(len(entry.data) for entry in self._cache[:dropped])\n",
        "",
        test=f"{CORE_ACCOUNTS}::test_the_log_s_cache_is_counted_byte_by_byte",
    ),
    Mutant(
        "entries without data take no memory",
        "RaftLog.shrink_cache",
        " and len(self._cache) <= _CACHED_ENTRIES_MAX:",
        ":",
        test="tests/raft/test_log.py::test_a_cache_of_many_small_entries_is_full_by_their_number",
    ),
    Mutant(
        "a truncation keeps the repairs of what it removes",
        "RaftLog.truncate",
        "        self._repairs.remove_from(from_index)\n",
        "        self.damaged.remove_from(from_index)\n",
        test=f"{CORE_ACCOUNTS}::test_the_log_s_cache_is_counted_byte_by_byte",
    ),
    Mutant(
        "requests that a follower without room left out count as out",
        "Progress.told_room",
        "            self.next_index = self._first_that_may_lack\n"
        "            self._inflight.clear()\n",
        "            self.next_index = self._first_that_may_lack\n",
        test=f"{CORE_ACCOUNTS}::test_requests_that_are_out_are_those_that_nobody_answered",
    ),
    Mutant(
        "a request that was answered in full stays under way",
        "Progress.accepted",
        "        while self._inflight and self._inflight[0] <= match_index:",
        "        while self._inflight and self._inflight[0] < match_index:",
        test=f"{CORE_ACCOUNTS}::test_requests_that_are_out_are_those_that_nobody_answered",
    ),
    Mutant(
        "requests that a rejection made void count as out",
        "Progress.rejected",
        "        self._inflight.clear()\n        self._probing = True\n",
        "        self._probing = True\n",
        test=f"{CORE_ACCOUNTS}::test_requests_that_are_out_are_those_that_nobody_answered",
    ),
    Mutant(
        "an echo of a round that was never opened is kept",
        "PendingReads.confirmed",
        "        if read_round <= self.newest_round:\n",
        "        if True:\n",
        test=f"{CORE_ACCOUNTS}::test_a_read_waits_for_a_round_and_leaves_once",
    ),
    Mutant(
        "reads of a lost leader are kept until they are due",
        "WaitingReads.refuse_all",
        "        for stage in (self.waiting, self.arrived, self._asked, self.ready):\n",
        "        for stage in (self.waiting, self.arrived, self._asked):\n",
        test=f"{SERVER_ACCOUNTS}::test_a_read_stands_in_one_stage_until_it_leaves_and_leaves_once",
    ),
    Mutant(
        "reads that were overdue are kept in their stage",
        "WaitingReads.take_overdue",
        "        if overdue:\n",
        "        if False:\n",
        test=f"{SERVER_ACCOUNTS}::test_a_read_stands_in_one_stage_until_it_leaves_and_leaves_once",
    ),
    Mutant(
        "room for writes that were applied is held back for ever",
        "_Pending.forget",
        "            self._applied = self._counted.popleft()[1]\n",
        "            self._counted.popleft()\n",
        test=f"{SERVER_ACCOUNTS}::test_room_is_held_back_for_the_writes_that_are_not_applied_yet",
    ),
    Mutant(
        "what was added up is added again",
        "_Pending.sum",
        "            self._next = entry.index + 1\n",
        "",
        test=f"{SERVER_ACCOUNTS}::test_room_is_held_back_for_the_writes_that_are_not_applied_yet",
    ),
    Mutant(
        "entries wait for ever for reads that were answered",
        "Replies.came",
        "            self._pin(-slot.pinned_steps)\n",
        "",
        test=f"{BOOKINGS}::test_every_account_is_the_sum_of_what_it_counts",
    ),
    Mutant(
        "a client that scanned once is remembered for ever",
        "ScanCursors._forget",
        "            if not told:\n                del self._told[found.client]\n",
        "",
        test=f"{BOOKINGS}::test_every_account_is_the_sum_of_what_it_counts",
    ),
    Mutant(
        "the end of a stream is news again and again",
        "Stream.read",
        "            self.is_at_end = True\n            self._watch()\n        return",
        "            self.is_at_end = True\n        return",
        test="tests/server/test_connection.py"
        "::test_a_client_that_stops_sending_and_waits_wakes_nobody",
    ),
    Mutant(
        "what a commit made durable is counted as changed",
        "LmdbTable.begin",
        "        self._put_bytes = self._deletes = 0\n",
        "        self._put_bytes = 0\n        self._deletes = getattr(self, '_deletes', 0)\n",
        test=STORAGE_ACCOUNTS,
    ),
    Mutant(
        "a key that is put again stands twice in the order",
        "MemoryTable._replace",
        "            if old is None:\n                insort",
        "            if old != value:\n                insort",
        test=STORAGE_ACCOUNTS,
    ),
    Mutant(
        "what a commit kept is taken back by the next end",
        "MemoryTable.keep_changes",
        '        """A commit."""\n        self._before.clear()\n',
        '        """A commit."""\n',
        test=STORAGE_ACCOUNTS,
    ),
    Mutant(
        "what is on the disk takes nothing of the room for no-ops",
        "EntryRoom.durable",
        "        self._last_bytes -= submitted_bytes\n",
        "",
        test="tests/raft/test_accounts.py"
        "::test_room_for_entries_is_what_was_offered_less_what_was_taken",
    ),
    Mutant(
        "what is appended while a turn ends is taken to be durable with it",
        "EntryRoom.durable",
        "        self.taken_bytes -= submitted_bytes\n",
        "        self.taken_bytes = 0\n",
        test="tests/server/test_room.py::test_what_is_begun_while_a_turn_ends_is_counted",
    ),
    Mutant(
        "writes that were rolled back are held on to",
        "_Pending.begin",
        "        if term != self._term:\n",
        "        if not self._term:\n",
        test="tests/server/test_room.py::test_writes_that_were_rolled_back_are_not_held",
    ),
    Mutant(
        "a leader's entries may take what the state owes to the same disk",
        "Room.look",
        "            log.room_bytes(owed_bytes) - half,\n",
        "            log.room_bytes() - half,\n",
        test="tests/server/test_accounts.py"
        "::test_entries_leave_of_a_shared_disk_what_the_state_owes_it",
    ),
    Mutant(
        "the key space is committed in every turn",
        "Checkpoints.tick",
        "            self._next_ms = now_ms + self._interval_ms\n",
        "",
        test="tests/server/test_node.py",
    ),
    Mutant(
        "room is looked at in every turn",
        "Room.tick",
        "        self._next_ms = now_ms + self._interval_ms\n",
        "",
        test="tests/server/test_node.py",
    ),
    Mutant(
        "a heartbeat leaves in every turn",
        "Leadership.tick",
        "            self._heartbeat_deadline_ms = now_ms + self._settings.heartbeat_interval_ms\n",
        "",
        test="tests/server/test_node.py",
    ),
    Mutant(
        "a log that grows is taken to be as deep as when it was opened",
        "LmdbLog._put_entries",
        '            self._depth = txn.stat(self._log)["depth"]\n',
        "            pass\n",
        test="tests/storage/test_cost.py"
        "::test_a_log_that_grows_says_of_repairs_what_it_says_when_it_is_opened",
    ),
    Mutant(
        "a log that is repaired is taken to be as deep as when it was opened",
        "LmdbLog._put_entries",
        "        if entries or repairs:\n",
        "        if entries:\n",
        test="tests/storage/test_cost.py"
        "::test_a_log_that_is_repaired_says_of_repairs_what_it_says_when_it_is_opened",
    ),
)
