"""Wrong versions of the node around the core: links, turns, writes, reads, fencing, room.

Law: each is one plausible mistake, named by what it does wrong. Where only a scripted
test can notice, because no run of a whole node comes to show it, it says which.
"""

from __future__ import annotations

from .mutant import Mutant

_DUE = "tests/server/test_due.py"

SERVING = (
    Mutant(
        "the log is told of a refused peer each time that it dials",
        "Complaints.is_due",
        "            return False\n",
        "            return True\n",
        test="tests/server/test_greetings.py"
        "::test_a_peer_that_is_refused_again_and_again_fills_no_log",
    ),
    Mutant(
        "the log is told of a refused peer once and for all",
        "Complaints.is_due",
        "told_ms is not None and now_ms < told_ms + _AGAIN_AFTER_MS",
        "told_ms is not None",
        test="tests/server/test_greetings.py"
        "::test_a_peer_that_is_refused_again_and_again_fills_no_log",
    ),
    Mutant(
        "what the log was told of refused peers is remembered for ever",
        "Complaints.is_due",
        "        while len(self._told_ms) >= _REMEMBERED_MAX:\n"
        "            del self._told_ms[next(iter(self._told_ms))]\n",
        "",
        test="tests/server/test_greetings.py"
        "::test_what_the_log_was_told_is_remembered_within_a_bound",
    ),
    Mutant(
        "a peer's name is looked up once and for all",
        "PeerLink._dial",
        "        lookup, self._lookup = self._lookup, None\n",
        "        lookup = self._lookup\n",
        test="tests/server/test_peers.py"
        "::test_a_peer_that_goes_again_and_again_is_found_again_and_again",
    ),
    Mutant(
        "a peer that was lost once is dialled slower for ever",
        "PeerLink._on_bytes",
        "            self._pause_ms = _FIRST_RETRY_MS\n            self._last",
        "            self._last",
        test="tests/server/test_peers.py"
        "::test_a_peer_that_goes_again_and_again_is_found_again_and_again",
    ),
    Mutant(
        "a link that was up once speaks before its next hello is answered",
        "PeerLink._lost",
        "        self._is_ready = False\n        self._last_complaint = why\n",
        "        self._last_complaint = why\n",
        test="tests/server/test_peers.py"
        "::test_a_peer_that_goes_again_and_again_is_found_again_and_again",
    ),
    Mutant(
        "a link goes on with the answer that its last connection began",
        "PeerLink._dial",
        "        self._answer = HelloAnswer()\n        self._stream = Stream(",
        "        self._stream = Stream(",
        test="tests/server/test_peers.py",
    ),
    Mutant(
        "a link does not notice that its peer is gone",
        "PeerLink._dial",
        "        self._stream.detect_dead_link()\n",
        "",
        test="tests/server/test_peers.py"
        "::test_a_link_to_a_peer_that_is_gone_without_a_word_is_noticed",
    ),
    Mutant(
        "a peer's own link does not notice that it is gone",
        "IncomingLink.begin",
        "        stream.detect_dead_link()\n",
        "",
        test="tests/server/test_incoming_links.py"
        "::test_a_peer_that_is_gone_without_a_word_is_noticed",
    ),
    Mutant(
        "replies leave before the fsync",
        "Node.prepare",
        "        self._settle()\n",
        "        self.raft.durable_number = self.raft.log.submitted_number\n"
        "        messages += self.raft.take_messages()\n        self._settle()\n",
    ),
    Mutant(
        "a turn does not wait for its second half",
        "Turn.first_half",
        "        self._rest = node.complete()\n",
        "        around.let_out(node.complete())\n        self._rest = Outcome([], [], [])\n",
    ),
    Mutant(
        "what half a turn has let out leaves once more",
        "Turn.second_half",
        "        rest, self._rest = self._rest, None\n",
        "        rest = self._rest\n        self._rest = Outcome([], [], [])\n",
        test="tests/server/test_turn.py::test_the_halves_of_turns_alternate",
    ),
    Mutant(
        "what came is heard by the time of the turn before",
        "Turn.first_half",
        "        node.wake(around.clock_ms())\n        around.hear()\n",
        "        around.hear()\n        node.wake(around.clock_ms())\n",
        test="tests/server/test_turn.py::test_a_turn_has_one_order",
    ),
    Mutant(
        "a turn is reported durable without a write",
        "Node.complete",
        "            self._writer.submit(effects.update)\n",
        "            self._writer.durable_number = effects.update.number\n",
    ),
    Mutant(
        "only turns with entries are written",
        "Node.complete",
        "            self._writer.submit(effects.update)\n",
        "            if effects.update.entries:\n"
        "                self._writer.submit(effects.update)\n"
        "            else:\n"
        "                self._writer.durable_number = effects.update.number\n",
    ),
    Mutant(
        "a waiting write is known by its index alone",
        "Applier._apply.write",
        "        write = writes.pop((entry.index, entry.term), None)",
        "        found = [name for name in writes if name[0] == entry.index]\n"
        "        write = writes.pop(found[0]) if found else None",
        test="tests/server/test_node.py"
        "::test_writes_whose_place_other_entries_took_are_refused_as_rolled_back",
    ),
    Mutant(
        "a write is answered when it is proposed",
        "Node.submit_command",
        "        self._writes.waiting[name] = Write(ticket, self._deadline_ms)\n",
        "        self._answer(ticket, api.PutResult(0, True))\n",
    ),
    Mutant(
        "a deposed leader says of every waiting write that it was rolled back",
        "is_dead",
        "    return index <= applied_index or term < applied_term",
        "    return True",
    ),
    Mutant(
        "a write that waited too long is said to be refused",
        "WaitingWrites.give_up_overdue",
        "refusals.write_is_overdue(here.raft.id, here.room.waiting_index)",
        "refusals.BUSY",
    ),
    Mutant(
        "a read that waited too long is not answered",
        "WaitingReads.give_up_overdue",
        "        return told(overdue, ",
        "        return told(overdue[:0], ",
    ),
    Mutant(
        "who asked for a handover is not told that it succeeded",
        "WaitingHandovers._leave",
        "        return [Answer(handover.ticket, result)]\n",
        "        is_done = isinstance(result, api.HandOverResult)\n"
        "        return [] if is_done else [Answer(handover.ticket, result)]\n",
    ),
    Mutant(
        "a refused write makes a connection forget the one before",
        "Router._carry_out",
        "node.submit_command(request, ticket) or self._last_write",
        "node.submit_command(request, ticket)",
    ),
    Mutant(
        "a read does not wait for the write before it on its connection",
        "WaitingReads.is_ready",
        "(max(self._ready_index, read.after), number)",
        "(self._ready_index, number)",
    ),
    Mutant(
        "a read waits for an answer that a later one has overtaken",
        "WaitingReads.is_ready",
        "            for number in self._asked.pop(next(iter(self._asked))):\n",
        "            for number in self._asked.pop(batch):\n",
        test="tests/server/test_follower_reads.py"
        "::test_a_read_does_not_wait_for_an_answer_that_a_later_one_has_overtaken",
    ),
    Mutant(
        "a read goes back behind one that arrived before it",
        "WaitingReads.is_ready",
        "        self._ready_index = max(self._ready_index, index)\n",
        "        self._ready_index = index\n",
        test="tests/server/test_follower_reads.py"
        "::test_no_read_goes_back_behind_one_that_arrived_before_it",
    ),
    Mutant(
        "a turn takes what comes by the room of the turn before",
        "Node.wake",
        "        self.room.wake(now_ms, self.raft.current_term, self.machine.last_applied)\n",
        "",
        test="tests/server/test_room.py::test_room_is_looked_at_before_a_turn_takes_anything",
    ),
    Mutant(
        "a read waits for what was sent after it",
        "Applier.apply_committed",
        "                if has_reads:\n",
        "                if False:\n",
    ),
    Mutant(
        "who asked for a handover is not told that it failed",
        "WaitingHandovers._leave",
        "        return [Answer(handover.ticket, result)]\n",
        "        is_done = isinstance(result, api.HandOverResult)\n"
        "        return [Answer(handover.ticket, result)] if is_done else []\n",
    ),
    Mutant(
        "a leader of a later term than was named hands over",
        "_answer_at_once.has_moved",
        "    has_moved = request.term != 0 and term > request.term\n",
        "    has_moved = False\n",
        test="tests/server/test_handover.py"
        "::test_a_leader_of_a_later_term_than_was_named_tells_who_leads_and_leads_on",
    ),
    Mutant(
        "whoever leads is taken for the heir",
        "Handover.outcome",
        "        if leader == self.heir:",
        "        if leader is not None:",
    ),
    Mutant(
        "a leader that became known in this turn is known since the one before was",
        "KnownLeader.age_ms",
        " if leader == self._leader else 0.0\n",
        "\n",
        test="tests/server/test_node.py"
        "::test_a_leader_is_known_since_it_was_heard_also_in_that_very_turn",
    ),
    Mutant(
        "a follower takes writes",
        "Node.submit_command",
        "        if not raft.takes_commands or self.divergence.known is not None:\n"
        "            self._answer(ticket, self.redirect())\n            return None\n",
        "",
    ),
    Mutant(
        "a node of an older term serves whoever knows of a newer one",
        "router._refusal_of",
        " if term < asked.min_term else None",
        " if term < 0 else None",
        test="tests/server/test_envelope.py"
        "::test_a_refusal_comes_in_the_same_envelope_and_changes_nothing",
    ),
    Mutant(
        "a client is told a term that is not on the disk yet",
        "reply_of",
        "        node.durable_term,\n",
        "        node.raft.current_term,\n",
        test="tests/server/test_envelope.py"
        "::test_clients_hear_of_a_term_only_when_it_is_on_the_disk",
    ),
    Mutant(
        "numbers of reads begin anew after a restart",
        "WaitingReads.__init__",
        "        self._numbers = count(first_number)\n",
        "        self._numbers = count()\n",
        test="tests/server/test_follower_reads.py"
        "::test_numbers_of_reads_do_not_come_again_after_a_restart",
    ),
    Mutant(
        "a leader takes whatever comes, though no majority has it",
        "Leading.is_full",
        "            raft.log.last_index - raft.log.commit_index >= limits.pending_writes_max\n",
        "            raft.log.last_index < raft.log.commit_index\n",
    ),
    Mutant(
        "a full disk is noticed after the append",
        "Node.submit_command",
        "        if refusal := self.room.refuse(row, command, data):\n",
        "        refusal = self.room.refuse(row, command, data)\n        if False:\n",
        test="tests/server/test_room.py"
        "::test_a_leader_short_of_room_refuses_writes_before_it_proposes_them",
    ),
    Mutant(
        "the entry's size is not looked at",
        "Room._refuse_exactly",
        "self._log_store.entry_bytes(len(data)), len(data)",
        "0, len(data)",
        test="tests/server/test_room.py"
        "::test_a_write_that_is_large_is_refused_where_a_small_one_is_taken",
    ),
    Mutant(
        "what applying a write changes is not looked at",
        "Room._left_after.state_bytes",
        "else state.room_bytes(all_of_it)",
        "else state.room_bytes()",
        test="tests/server/test_room.py"
        "::test_a_write_that_is_large_is_refused_where_a_small_one_is_taken",
    ),
    Mutant(
        "writes that were proposed and not applied are forgotten",
        "_Pending.sum",
        "                self._total += self._footprint_of(entry.data)\n",
        "                pass\n",
        test="tests/server/test_room.py::test_what_is_not_applied_yet_is_counted",
    ),
    Mutant(
        "applying does not ask for room",
        "Room._fitting_exactly",
        "            if entry.kind is COMMAND and not",
        "            if False and not",
        test="tests/server/test_room.py",
    ),
    Mutant(
        "a node that waits for room asks in every turn",
        "Node.is_busy",
        " and not self.room.waiting_index)",
        ")",
        test="tests/server/test_room.py"
        "::test_a_node_without_room_in_its_state_waits_and_goes_on_by_itself",
    ),
    Mutant(
        "deletions are refused where puts are",
        "Room._refuse_exactly",
        "            floor_bytes = floor_bytes * 3 // 4\n",
        "            pass\n",
        test="tests/server/test_room.py"
        "::test_a_deletion_is_taken_where_puts_are_not_and_bounded_too",
    ),
    Mutant(
        "deletions under a session are refused where puts are",
        "SESSION_ROWS",
        "extent=lambda once: COMMAND_ROW_OF[type(once.write)].extent(once.write)",
        "extent=lambda once: Extent(1)",
        test="tests/server/test_room.py",
    ),
    Mutant(
        "a new leader does not count what earlier ones took",
        "Leading.is_full",
        "            or (self._room.is_scarce and",
        "            or (False and",
        test="tests/server/test_room.py"
        "::test_a_new_leader_counts_what_earlier_ones_took_before_it_takes_more",
    ),
    Mutant(
        "a leader short of room goes on leading",
        "Leading.make_way_for_room",
        "        if room.is_short and raft.takes_commands",
        "        if False and raft.takes_commands",
        test="tests/server/test_room.py::test_leadership_moves_to_a_node_with_room",
    ),
    Mutant(
        "peers count as clients",
        "Doorkeeper.clients_count",
        "return len(self.connections) - len(self.newcomers)",
        "return len(self.connections) - len(self.newcomers) + len(self.linked)",
        test="tests/server/test_info.py::test_peers_are_no_clients",
    ),
    Mutant(
        "a scan is answered in a transaction that was refused",
        "RespCodec._understand_other",
        "        if state.refuses_transaction:\n"
        '            raise CommandError(f"ERR {NO_TRANSACTIONS}")\n',
        "",
        test="tests/server/test_connection.py"
        "::test_what_touches_no_data_is_answered_after_a_refused_multi",
    ),
    Mutant(
        "a vertical tab ends a word of a line",
        "_BARE",
        """re.compile(rb"\\S[^ \\t\\r\\n]*+")""",
        """re.compile(rb"\\S++")""",
        test="tests/wire/test_request_parser.py::test_quotes_and_escapes_are_those_of_redis",
    ),
    Mutant(
        "whoever announces a million arguments is hung up on",
        "ANNOUNCED_ARGUMENTS_MAX",
        "ANNOUNCED_ARGUMENTS_MAX: Final = (1 << 31) - 1\n",
        "ANNOUNCED_ARGUMENTS_MAX: Final = 1 << 20\n",
        test="tests/wire/test_request_parser.py"
        "::test_more_arguments_than_are_taken_are_no_reason_to_hang_up",
    ),
    Mutant(
        "nobody who is turned away is counted",
        "Listener._turn_away",
        "        self._note_rejected()\n",
        "",
        test="tests/server/test_listener.py::test_who_is_turned_away_is_told_why_and_counted",
    ),
    Mutant(
        "the rate of commands is that of all time",
        "Traffic.__init__",
        "deque(maxlen=_SAMPLES)",
        "deque()",
        test="tests/server/test_info.py::test_the_rate_is_that_of_the_last_seconds",
    ),
    Mutant(
        "who stops waits for writers although no majority is left",
        "Leading.is_needed",
        "(has_writers and self._reach.has_majority)\n",
        "has_writers\n",
        test="tests/server/test_handover.py"
        "::test_who_stops_waits_for_writers_only_while_a_majority_is_in_reach",
    ),
    Mutant(
        "nobody wakes for a read that is overdue",
        "Node.due_ms",
        "for kind in self._kinds if",
        "for kind in self._kinds if kind is not self._reads and",
        test=f"{_DUE}::test_a_request_that_waits_too_long_is_due_when_its_time_is_up",
    ),
    Mutant(
        "nobody wakes for a write that is overdue",
        "Node.due_ms",
        "for kind in self._kinds if",
        "for kind in self._kinds if kind is not self._writes and",
        test=f"{_DUE}::test_a_request_that_waits_too_long_is_due_when_its_time_is_up",
    ),
    Mutant(
        "nobody wakes for a checkpoint",
        "Checkpoints.due_ms",
        "if self._has_more else",
        "if False else",
        test=f"{_DUE}::test_nothing_happens_before_it_is_due",
    ),
    Mutant(
        "a leader without news sleeps through its heartbeats",
        "Leadership.due_ms",
        "min(self._heartbeat_deadline_ms, lost_ms)",
        "lost_ms",
        test=f"{_DUE}::test_nothing_happens_before_it_is_due",
    ),
    Mutant(
        "nobody wakes when the election timer runs out",
        "ElectionTimer.due_ms",
        "-math.inf if self._deadline_ms is None else self._deadline_ms",
        "math.inf",
        test=f"{_DUE}::test_nothing_happens_before_it_is_due",
    ),
    Mutant(
        "when some who wait gave up, those who are due are no longer the first",
        "WaitingReads._forget_who_left",
        "        heapq.heapify(self.ready)\n",
        "",
        test="tests/server/test_accounts.py"
        "::test_who_is_due_leaves_although_one_that_was_due_before_gave_up",
    ),
    Mutant(
        "the newest one who waits is due first",
        "first_deadline_ms",
        "next(iter(waiting.values()))",
        "next(reversed(waiting.values()))",
        test=f"{_DUE}::test_of_those_who_wait_the_oldest_one_is_due_first",
    ),
    Mutant(
        "a read waits for the index of a write of an earlier term",
        "Node.submit_query",
        "last_write is not None and last_write[1] == raft.current_term:",
        "last_write is not None:",
        test="tests/server/test_node.py"
        "::test_a_read_does_not_wait_for_the_index_of_an_own_write_of_an_earlier_term",
    ),
    Mutant(
        "READONLY is not for SCAN",
        "RespCodec._understand_other",
        "Submission(scan, state.reads_stale, write=write)",
        "Submission(scan, write=write)",
        test="tests/server/test_connection.py::test_a_follower_reads_only_after_readonly",
    ),
    Mutant(
        "who asked for a handover is told that it failed while the heir is waited for",
        "WaitingHandovers.give_up_overdue",
        " or here.raft.heir is not None:",
        ":",
        test="tests/server/test_handover.py"
        "::test_who_asked_for_a_handover_waits_as_long_as_its_leader_does_for_the_heir",
    ),
)
