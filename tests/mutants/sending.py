"""Wrong versions of a leader that sends snapshots: who gets one, and how long it is kept.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

STREAMS = "tests/raft/test_sending_snapshots.py"
NODES = "tests/server/test_sending_snapshots.py"
RECEIVERS = "tests/server/test_receiving_snapshots.py"
STORES = "tests/storage/test_successor.py"

SENDING = (
    Mutant(
        "leadership is handed to a follower that waits for a snapshot",
        "Leadership._heirs.able",
        " if peer not in self._sending.receivers",
        "",
        test=f"{STREAMS}::test_leadership_is_not_handed_to_who_waits_for_a_snapshot",
    ),
    Mutant(
        "a snapshot is offered that does not reach the leader's log",
        "Sending._serves.least",
        "max(needed_index, self._log.start.index)",
        "needed_index",
        test=f"{STREAMS}::test_a_snapshot_behind_which_the_log_has_a_hole_is_not_offered",
    ),
    Mutant(
        "a piece that was asked for twice is sent twice",
        "Sending.on_fetch_snapshot",
        " and message.offset not in asked",
        "",
        test=f"{STREAMS}::test_a_turn_sends_so_many_pieces_and_no_follower_waits_for_another",
    ),
    Mutant(
        "a turn sends whatever was asked for",
        "Sending.messages",
        " or sent == _TURN_PIECES",
        "",
        test=f"{STREAMS}::test_a_turn_sends_so_many_pieces_and_no_follower_waits_for_another",
    ),
    Mutant(
        "entries are kept for who fetches nothing",
        "Sending.retained_index",
        "is not None and self._active:",
        "is not None and self.receivers:",
        test=f"{STREAMS}"
        "::test_nothing_is_kept_for_who_answers_and_fetches_nothing_but_it_is_tried_again",
    ),
    Mutant(
        "entries are kept for half a minute for who fetches a snapshot",
        "Sending.on_fetch_snapshot",
        "        receiver.active_ms = now_ms\n",
        "",
        test=f"{STREAMS}"
        "::test_what_follows_a_snapshot_is_kept_for_who_fetches_it_however_long_that_takes",
    ),
    Mutant(
        "who fetched nothing once is given up for ever",
        "Sending.heard",
        "                receiver.active_ms = now_ms\n",
        "                pass\n",
        test=f"{STREAMS}"
        "::test_nothing_is_kept_for_who_answers_and_fetches_nothing_but_it_is_tried_again",
    ),
    Mutant(
        "a file stays behind which the log does not go on",
        "Spooling._fault_of",
        '(_TOO_OLD if self._is_too_old(file.name.index) else "")',
        '""',
        test=f"{NODES}::test_a_file_behind_which_the_log_does_not_go_on_is_given_up",
    ),
    Mutant(
        "a leader that stands back goes on writing its snapshot, and reading its state",
        "Spooling.tick",
        " if is_needed else self._give_up()",
        "",
        test=f"{NODES}::test_a_leader_that_stops_writing_its_file_reads_no_more",
    ),
    Mutant(
        "a snapshot is written to its end for who needs none any more",
        "Spooling.tick",
        "leads and bool(sending.receivers)",
        "leads",
        test=f"{NODES}::test_a_file_that_nobody_needs_any_more_is_not_written_to_its_end",
    ),
    Mutant(
        "a snapshot is written that might not fit",
        "Spooling._begin",
        "< needed_bytes:",
        "< 0:",
        test=f"{NODES}::test_a_snapshot_that_might_not_fit_is_not_written",
    ),
    Mutant(
        "a snapshot takes the last room of its leader while it is written",
        "Spooling._reason_to_give_up",
        "if left_bytes < self._reserve_bytes else",
        "if left_bytes < -1 else",
        test=f"{NODES}"
        "::test_a_file_that_takes_too_much_while_it_is_written_is_given_up_and_tried_again",
    ),
    Mutant(
        "a snapshot is written however far the data's file grows for its sake",
        "Spooling._reason_to_give_up",
        "self._pinning.fault_of(writing.stream.pinned_bytes)",
        "self._pinning.fault_of(0)",
        test=f"{NODES}"
        "::test_a_file_that_takes_too_much_while_it_is_written_is_given_up_and_tried_again",
    ),
    Mutant(
        "what fails is tried again at once",
        "Setback.add",
        "now_ms + self._wait_ms",
        "now_ms",
        test=f"{RECEIVERS}::test_who_cannot_write_what_comes_waits_and_tries_again_ever_less_often",
    ),
    Mutant(
        "a snapshot that was found damaged is written anew at once",
        "Spooling._fault_of",
        '"a node found the last one damaged"',
        '""',
        test=f"{NODES}::test_for_who_finds_every_snapshot_damaged_ever_fewer_are_written",
    ),
    Mutant(
        "a leader that cannot open its state for a snapshot keeps the file open",
        "Spooling._open",
        "            spool.close()\n",
        "            pass\n",
        test=f"{NODES}::test_a_leader_that_cannot_write_a_snapshot_leads_on_and_tries_again",
    ),
    Mutant(
        "a turn writes so many bytes of a snapshot, however many records they are",
        "_Writing.next_slice",
        " and stream.done < records",
        "",
        test=f"{RECEIVERS}::test_no_turn_gets_longer_because_records_are_small",
    ),
    Mutant(
        "who goes on by the log is said to go on by the snapshot that it began to fetch",
        "Sending._is_done",
        " and receiver.sent_bytes == name.size_bytes:",
        ":",
        test="tests/raft/test_receiving_snapshots.py"
        "::test_how_long_a_snapshot_took_is_told_on_both_sides",
    ),
    Mutant(
        "a snapshot is whole of which the disk took a part",
        "SpoolFile.write",
        "            while left:\n                left = left[os.write(self._fd, left) :]\n",
        "            os.write(self._fd, left)\n",
        test=f"{STORES}::test_a_spool_of_which_the_disk_takes_only_a_part_is_told",
    ),
    Mutant(
        "what came of the snapshot before counts as a part of the next one",
        "Sending.on_fetch_snapshot",
        "receiver.began_ms, receiver.sent_bytes = name, now_ms, 0",
        "receiver.began_ms = name, now_ms",
        test=f"{STREAMS}::test_how_far_another_snapshot_has_come_counts_from_its_beginning",
    ),
    Mutant(
        "the file before keeps its room when another is written",
        "Spooling._begin",
        "        self._drop_file()\n",
        "",
        test=f"{NODES}::test_a_file_that_does_not_reach_far_enough_makes_way_for_another",
    ),
    Mutant(
        "a leader tells what keeps it from a snapshot that nobody needs any more",
        "Spooling.tick",
        "            self._setback.clear()\n",
        "            pass\n",
        test=f"{NODES}::test_a_snapshot_that_might_not_fit_is_not_written",
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
        test=f"{NODES}::test_a_snapshot_is_not_begun_that_would_leave_others_less_than_is_theirs",
    ),
    Mutant(
        "a snapshot goes as soon as nobody fetches it",
        "Spooling._look_at",
        "self._used_ms + _UNUSED_MS",
        "self._used_ms",
        test=f"{NODES}::test_a_file_that_nobody_fetches_goes_after_a_while",
    ),
)
