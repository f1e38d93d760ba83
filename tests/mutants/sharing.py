"""Wrong versions of how clients share a server: work, room, the order of replies, hanging up.

Law: each is one plausible mistake, named by what it does wrong, with the scripted test
that notices; no simulated run has connections in it.
"""

from __future__ import annotations

from .mutant import Mutant

LAST_TERM = (
    "tests/raft/test_log.py::test_the_entries_of_the_last_term_are_those_in_memory_from_an_index_on"
)

SHARING = (
    Mutant(
        "a turn reads as many entries as it could if they cost nothing",
        "Applier.apply_committed.count",
        "            count = -(-(self._steps_end - machine.steps) // ENTRY_STEPS)\n",
        "            count = self._steps_end - machine.steps + ENTRY_STEPS\n",
        test="tests/server/test_work_per_turn.py"
        "::test_a_turn_applies_so_many_entries_and_reads_hardly_more",
    ),
    Mutant(
        "a peer is heard as long as it has something to say",
        "IncomingLink._read",
        "        for _ in range(_READS_OF_PEER):\n",
        "        for _ in range(1 << 20):\n",
        test="tests/server/test_work_per_turn.py::test_a_peer_is_heard_so_far_in_a_turn",
    ),
    Mutant(
        "two peers are asked for the same lost entries",
        "Repair._ranges.claims",
        "        claims = sorted(sweep.claim for sweep in self._sweeps.values())\n",
        "        claims = [_NOTHING for _ in self._sweeps]\n",
        test="tests/server/test_at_scale.py"
        "::test_a_log_of_which_everything_is_damaged_is_sent_once",
    ),
    Mutant(
        "answers at the end of a turn are no work of it",
        "Connection.send_ready_replies",
        "        if self.replies.open_reads or self._is_stalled or self._pump is not None:\n"
        "            self._take_slice()\n",
        "",
        test="tests/server/test_turns.py"
        "::test_reads_that_are_answered_at_the_end_of_a_turn_are_its_work_too",
    ),
    Mutant(
        "what is ready beyond one piece waits for another answer",
        "Connection._send_replies",
        "            if len(piece) < _PIECE_BYTES:\n                break\n",
        "            break\n",
        test="tests/server/test_connection.py::test_all_that_is_ready_leaves_at_once_however_long",
    ),
    Mutant(
        "entries wait for ever for reads of who is gone",
        "Replies.leave",
        "        self.sums.pinned_steps -= self.pinned_steps\n",
        "",
        test="tests/server/test_load.py"
        "::test_reads_that_were_pinned_for_who_is_gone_are_given_back",
    ),
    Mutant(
        "what was booked for a client stays booked when it is gone",
        "Replies.leave",
        "        self.sums.output_bytes -= self.held_bytes\n",
        "",
        test="tests/server/test_load.py"
        "::test_reads_that_were_pinned_for_who_is_gone_are_given_back",
    ),
    Mutant(
        "a peer shares the turn with clients",
        "IncomingLink.comes_first",
        "True",
        "False",
        test="tests/server/test_incoming_links.py::test_a_peer_says_hello_and_is_heard",
    ),
    Mutant(
        "what a socket does not take is booked when it takes it",
        "Connection._send_replies",
        "            # What the socket takes at once makes way for the next answer.\n"
        "            self._account.book_unsent(stream.unsent_bytes)\n",
        "",
        test="tests/server/test_load.py"
        "::test_what_a_socket_does_not_take_is_booked_in_the_same_turn",
    ),
    Mutant(
        "what a socket takes later stays booked",
        "Connection.on_events",
        "            stream.flush()\n            self._account.book_unsent(stream.unsent_bytes)\n",
        "            stream.flush()\n",
        test="tests/server/test_load.py::test_what_a_socket_takes_later_is_given_back_then",
    ),
    Mutant(
        "a follower counts its leader's writes as its own",
        "Raft.proposed_from",
        "        return () if self.leadership is None else self.log.last_term_from(index)\n",
        "        return self.log.last_term_from(index)\n",
        test="tests/server/test_room.py"
        "::test_only_a_leader_counts_what_waits_in_its_log_as_proposed",
    ),
    Mutant(
        "what was proposed is looked for before the cache",
        "RaftLog._cached_from",
        "max(0, index - self._cache_start)",
        "index - self._cache_start",
        test=LAST_TERM,
    ),
    Mutant(
        "what was proposed in earlier terms is counted",
        "RaftLog.last_term_from",
        "self._cached_from(max(index, self.last_term_start))",
        "self._cached_from(index)",
        test=LAST_TERM,
    ),
    Mutant(
        "what waits unread is forgotten when a client is given up",
        "Account.close",
        "        self.book_input(0)\n",
        "",
        test="tests/server/test_load.py::test_what_is_held_is_given_back",
    ),
    Mutant(
        "a read waits for ever for the room that later replies of its own kind take",
        "Connection._wait_for_memory",
        "SHORT_OUTPUT_BYTES and context.now_ms >= overdue_ms:",
        "0:",
        test="tests/server/test_load.py"
        "::test_reads_whose_own_later_replies_took_all_room_are_refused_in_time",
    ),
    Mutant(
        "a long reply is made at once, whatever is held",
        "Load.is_output_full",
        "        return not self.share_bytes\n",
        "        return False\n",
        test="tests/server/test_load.py"
        "::test_long_replies_that_cannot_wait_are_refused_when_there_is_no_room",
    ),
    Mutant(
        "what is unfinished takes nothing from replies",
        "Load.share_bytes",
        "self.output_bytes + self.input_bytes",
        "self.output_bytes",
        test="tests/server/test_load.py::test_what_is_unfinished_leaves_less_for_replies",
    ),
    Mutant(
        "who sends much is heard until the log is full",
        "Connection._go_on",
        " or self._waits_for_log()",
        "",
        test="tests/server/test_load.py"
        "::test_who_sends_much_waits_while_the_log_holds_half_of_what_it_may",
    ),
    Mutant(
        "who has writes under way is heard until the log is full",
        "Connection._waits_for_log",
        " or bool(self.replies.places)",
        "",
        test="tests/server/test_load.py::test_who_has_writes_under_way_waits_as_well",
    ),
    Mutant(
        "who sends much waits for ever",
        "Connection._waits_for_log",
        "min(self._waits_until_ms, overdue_ms)",
        "overdue_ms",
        test="tests/server/test_load.py"
        "::test_who_sends_much_waits_while_the_log_holds_half_of_what_it_may",
    ),
    Mutant(
        "a write that waits for its reads keeps a refused client for ever",
        "Connection._refuse_long_request",
        "            self._held_write = None  # It was not started",
        "            # It was not started",
        test="tests/server/test_load.py"
        "::test_who_is_refused_while_a_write_waits_for_its_reads_is_hung_up_on_all_the_same",
    ),
    Mutant(
        "replies that are made while others are delivered wait for the next event",
        "Server._deliver",
        "        dirty, self._context.dirty = self._context.dirty, {}\n"
        "        for sender in dirty:\n            sender.send_ready_replies()\n",
        "        for sender in [*self._context.dirty]:\n            sender.send_ready_replies()\n"
        "        self._context.dirty.clear()\n",
        test="tests/server/test_loop.py"
        "::test_replies_that_are_made_while_others_are_delivered_leave_too",
    ),
    Mutant(
        "one client may fill a turn",
        "Load.slice_steps",
        "        return min(left, self._limits.slice_steps_max)\n",
        "        return left\n",
        test="tests/server/test_load.py::test_one_client_s_pipeline_leaves_the_turn_to_others",
    ),
    Mutant(
        "all clients together may fill a turn",
        "Load.slice_steps.left",
        "        left = self._limits.turn_steps_max - self.steps\n",
        "        left = self._limits.turn_steps_max\n",
        test="tests/server/test_load.py::test_one_client_s_pipeline_leaves_the_turn_to_others",
    ),
    Mutant(
        "applying goes on for as long as there are entries",
        "Applier.apply_committed",
        "                if machine.steps >= self._steps_end:\n",
        "                self._steps_end = machine.steps + 10_000\n                if False:\n",
        test="tests/server/test_turns.py::test_entries_are_applied_over_several_turns",
    ),
    Mutant(
        "a read that waits for room sees a later write of its client",
        "Replies.allow_write",
        "        if steps > steps_left or any(slot.query is not None for slot in reads):\n"
        "            return not reads\n",
        "",
        test="tests/server/test_turns.py::test_a_stale_read_does_not_see_a_later_write_either",
    ),
    Mutant(
        "a scan counts the keys that match and not those that it looks at",
        "StateMachine._scan",
        "            looked_at += 1\n",
        "            looked_at = len(items) + 1\n",
        test="tests/kv/test_work.py::test_a_pattern_narrows_a_page_while_it_is_read",
    ),
    Mutant(
        "a pattern costs nothing",
        "StateMachine._scan",
        "                self._steps += glob.width * len(key) // _MATCHES_PER_STEP\n",
        "",
        test="tests/kv/test_work.py::test_a_page_ends_when_its_work_is_done_though_it_is_empty",
    ),
    Mutant(
        "a reply is booked by what it might have been",
        "Replies.came",
        "        self.held_bytes += size - slot.held_bytes\n",
        "        self.held_bytes += max(0, size - slot.held_bytes)\n",
        test="tests/server/test_bookings.py::test_every_account_is_the_sum_of_what_it_counts",
    ),
    Mutant(
        "whoever holds replies is hung up on when room is short",
        "Doorkeeper._hang_up_on_stuck",
        "            if stuck_ms >= _STUCK_MS:",
        "            if member.unsent_bytes:",
        test="tests/server/test_load.py::test_who_reads_slowly_is_not_hung_up_on",
    ),
    Mutant(
        "who came when there were clients enough may be silent for ever",
        "Doorkeeper.tick",
        "            self._hang_up_on_silent()\n",
        "",
        test="tests/server/test_doorkeeper.py"
        "::test_a_newcomer_that_says_nothing_makes_room_for_the_next",
    ),
    Mutant(
        "who was told all and does not go is kept for ever",
        "Doorkeeper.tick",
        "        self._hang_up_on_lingering(now_ms)\n",
        "",
        test="tests/server/test_connection.py::test_a_reply_reaches_a_client_that_is_still_sending",
    ),
    Mutant(
        "whoever sends a request in pieces is refused while others hold too much",
        "Doorkeeper.refuses_input",
        "input_bytes > SHORT_INPUT_BYTES and ",
        "",
        test="tests/server/test_doorkeeper.py"
        "::test_only_who_holds_much_of_a_request_while_others_do_too_is_refused",
    ),
    Mutant(
        "an exception in one command ends the node",
        "ENDS_THE_NODE",
        "ENDS_THE_NODE: Final = (StorageError, SafetyViolationError)",
        "ENDS_THE_NODE: Final = (Exception,)",
        test="tests/server/test_mistakes.py::test_a_builtin_that_fails_ends_its_connection",
    ),
    Mutant(
        "a storage error in one command ends that connection alone",
        "ENDS_THE_NODE",
        "ENDS_THE_NODE: Final = (StorageError, SafetyViolationError)",
        "ENDS_THE_NODE: Final = (SafetyViolationError,)",
        test="tests/server/test_mistakes.py"
        "::test_what_tells_of_the_disk_or_of_consensus_ends_the_node",
    ),
    Mutant(
        "a server that is full of clients turns its peers away",
        "Opening._begin",
        "        if self._is_newcomer and not language.is_of_peers:\n",
        "        if self._is_newcomer:\n",
        test="tests/server/test_doorkeeper.py::test_a_newcomer_that_is_a_peer_is_heard",
    ),
    Mutant(
        "a HELLO that is refused switches the protocol",
        "_hello",
        "    state.name = _name_of_hello(args[2:], state.name)\n    state.resp_version = version\n",
        "    state.resp_version = version\n    state.name = _name_of_hello(args[2:], state.name)\n",
        test="tests/server/test_talks.py",
    ),
    Mutant(
        "a reply comes in the protocol of a later HELLO",
        "RespCodec._write",
        "render(result, version)",
        "render(result, self._state.resp_version)",
        test="tests/server/test_talks.py",
    ),
    Mutant(
        "who waits for room does not hear that its client reads",
        "Load.hear",
        "        masks.update(news)\n",
        "        masks = {**news, **masks}\n",
        test="tests/server/test_load.py::test_who_reads_slowly_is_not_hung_up_on",
    ),
    Mutant(
        "an EXISTS reads whatever there is",
        "StateMachine._get",
        "                room -= len(record) - HEAD_BYTES\n",
        "                room -= len(item.value)\n",
        test="tests/server/test_estimates.py",
    ),
    Mutant(
        "values cost nothing while a write waits until they are read",
        "_steps_of_get",
        " + ((values_bytes + keys * _HEAD_BYTES) >> 10)\n",
        "\n",
        test="tests/server/test_estimates.py",
    ),
    Mutant(
        "who reads slowly is taken for one who does not read",
        "Stream.stuck_ms",
        "        if self.unsent_bytes < _STUCK_BYTES or self._taken_bytes != self._stuck_at:\n",
        "        if self.unsent_bytes < _STUCK_BYTES:\n",
        test="tests/server/test_load.py::test_who_reads_slowly_is_not_hung_up_on",
    ),
    Mutant(
        "who asks for little waits behind who asks for much",
        "Load.hear",
        "        self.least_served = self._served - steps_max\n",
        "        self.least_served = self._served\n",
        test="tests/server/test_load.py"
        "::test_who_asks_for_little_comes_before_many_who_ask_for_much",
    ),
    Mutant(
        "what was parsed ahead costs nothing",
        "RequestParser.held_bytes.ready_bytes",
        "        ready_bytes = self._ready_bytes if self.ready else 0\n",
        "        ready_bytes = 0\n",
        test="tests/wire/test_request_parser.py"
        "::test_what_is_kept_is_booked_by_the_memory_that_it_takes",
    ),
    Mutant(
        "what comes behind a piece that ends with a request is lost",
        "RequestParser._take_short_requests",
        "        if taken == len(self._buffer):\n",
        "        if not rest:\n",
        test="tests/wire/test_request_parser.py"
        "::test_a_long_pipeline_gives_every_request_wherever_the_search_for_them_ends",
    ),
)
