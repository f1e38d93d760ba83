"""Wrong versions of how clients share a server: work, room, the order of replies, hanging up.

Law: each is one plausible mistake, named by what it does wrong, with the scripted test
that notices; no simulated run has connections in it.
"""

from __future__ import annotations

from .mutant import Mutant

LOAD = "kvstore/server/load.py"
LOOP = "kvstore/server/loop.py"
MACHINE = "kvstore/kv/machine.py"
NODE = "kvstore/server/node.py"
SESSION = "kvstore/server/session.py"

SHARING = (
    Mutant(
        "what waits unread is forgotten when a client is given up",
        LOAD,
        "        self.book_input(0)\n",
        "",
        test="tests/server/test_load.py::test_what_is_held_is_given_back",
    ),
    Mutant(
        "a read waits for ever for the room that later replies of its own kind take",
        SESSION,
        "SHORT_OUTPUT_BYTES and context.now_ms >= overdue_ms:",
        "0:",
        test="tests/server/test_load.py"
        "::test_reads_whose_own_later_replies_took_all_room_are_refused_in_time",
    ),
    Mutant(
        "a long reply is made at once, whatever is held",
        LOAD,
        "        return reply_bytes > SHORT_OUTPUT_BYTES and not self.share_bytes\n",
        "        return False\n",
        test="tests/server/test_load.py"
        "::test_long_replies_that_cannot_wait_are_refused_when_there_is_no_room",
    ),
    Mutant(
        "a write that waits for its reads keeps a refused client for ever",
        SESSION,
        "            self._held_write = None  # It was not started",
        "            # It was not started",
        test="tests/server/test_load.py"
        "::test_who_is_refused_while_a_write_waits_for_its_reads_is_hung_up_on_all_the_same",
    ),
    Mutant(
        "replies that are made while others are delivered wait for the next event",
        LOOP,
        "        dirty, self._context.dirty = self._context.dirty, {}\n"
        "        for session in dirty:\n            session.send_ready_replies()\n",
        "        for session in [*self._context.dirty]:\n            session.send_ready_replies()\n"
        "        self._context.dirty.clear()\n",
        test="tests/server/test_loop.py"
        "::test_replies_that_are_made_while_others_are_delivered_leave_too",
    ),
    Mutant(
        "one client may fill a turn",
        LOAD,
        "        return min(left, self._limits.slice_steps_max)\n",
        "        return left\n",
        test="tests/server/test_load.py::test_one_client_s_pipeline_leaves_the_turn_to_others",
    ),
    Mutant(
        "all clients together may fill a turn",
        LOAD,
        "        left = self._limits.turn_steps_max - self.steps\n",
        "        left = self._limits.turn_steps_max\n",
        test="tests/server/test_load.py::test_one_client_s_pipeline_leaves_the_turn_to_others",
    ),
    Mutant(
        "applying goes on for as long as there are entries",
        NODE,
        "                if machine.steps >= self._steps_end:\n",
        "                self._steps_end = machine.steps + 10_000\n                if False:\n",
        test="tests/server/test_turns.py::test_entries_are_applied_over_several_turns",
    ),
    Mutant(
        "a read that waits for room sees a later write of its client",
        "kvstore/server/replies.py",
        "        if steps > steps_left or any(slot.query is not None for slot in reads):\n"
        "            return not reads\n",
        "",
        test="tests/server/test_turns.py::test_a_stale_read_does_not_see_a_later_write_either",
    ),
    Mutant(
        "a scan counts the keys that match and not those that it looks at",
        MACHINE,
        "            looked_at += 1\n",
        "            looked_at = len(items) + 1\n",
        test="tests/kv/test_work.py::test_a_pattern_narrows_a_page_while_it_is_read",
    ),
    Mutant(
        "a pattern costs nothing",
        MACHINE,
        "                self.steps += glob.width * len(key) // _MATCHES_PER_STEP\n",
        "",
        test="tests/kv/test_work.py::test_a_page_ends_when_its_work_is_done_though_it_is_empty",
    ),
    Mutant(
        "a reply is booked by what it might have been",
        "kvstore/server/replies.py",
        "        self.held_bytes += size - slot.held_bytes\n",
        "        self.held_bytes += max(0, size - slot.held_bytes)\n",
        test="tests/server/test_bookings.py::test_every_account_is_the_sum_of_what_it_counts",
    ),
    Mutant(
        "whoever holds replies is hung up on when room is short",
        "kvstore/server/context.py",
        "            if stuck_ms >= _STUCK_MS:",
        "            if session.unsent_bytes:",
        test="tests/server/test_load.py::test_who_reads_slowly_is_not_hung_up_on",
    ),
    Mutant(
        "an exception in one command ends the node",
        "kvstore/server/replies.py",
        "ENDS_THE_NODE: Final = (StorageError, SafetyViolationError)",
        "ENDS_THE_NODE: Final = (Exception,)",
        test="tests/server/test_mistakes.py::test_a_builtin_that_fails_ends_its_connection",
    ),
    Mutant(
        "a storage error in one command ends that connection alone",
        "kvstore/server/replies.py",
        "ENDS_THE_NODE: Final = (StorageError, SafetyViolationError)",
        "ENDS_THE_NODE: Final = (SafetyViolationError,)",
        test="tests/server/test_mistakes.py"
        "::test_what_tells_of_the_disk_or_of_consensus_ends_the_node",
    ),
    Mutant(
        "a server that is full of clients turns its peers away",
        SESSION,
        '        if self in self.context.newcomers and name != b"RAFT":\n',
        "        if self in self.context.newcomers:\n",
        test="tests/server/test_load.py::test_a_newcomer_that_is_a_peer_is_heard",
    ),
    Mutant(
        "a HELLO that is refused switches the protocol",
        "kvstore/server/builtins.py",
        "        session.name = _name_of_hello(args[2:], session.name)\n"
        "        session.resp_version = int(args[1])\n",
        "        session.resp_version = int(args[1])\n"
        "        session.name = _name_of_hello(args[2:], session.name)\n",
        test="tests/server/test_talks.py",
    ),
    Mutant(
        "a reply comes in the protocol of a later HELLO",
        "kvstore/server/replies.py",
        "self._render(result, self._resp_version)",
        "self._render(result, session.resp_version)",
        test="tests/server/test_talks.py",
    ),
    Mutant(
        "who waits for room does not hear that its client reads",
        LOAD,
        "        masks.update(news)\n",
        "        masks = {**news, **masks}\n",
        test="tests/server/test_load.py::test_who_reads_slowly_is_not_hung_up_on",
    ),
    Mutant(
        "an EXISTS reads whatever there is",
        MACHINE,
        "                room -= len(record) - HISTORY_BYTES\n",
        "                room -= len(item.value)\n",
        test="tests/server/test_estimates.py",
    ),
    Mutant(
        "values cost nothing while a write waits until they are read",
        "kvstore/wire/limits.py",
        " + ((values_bytes + keys * _HISTORY_BYTES) >> 10)\n",
        "\n",
        test="tests/server/test_estimates.py",
    ),
    Mutant(
        "who reads slowly is taken for one who does not read",
        "kvstore/server/connection.py",
        "        if self.unsent_bytes < _STUCK_BYTES or self._taken_bytes != self._stuck_at:\n",
        "        if self.unsent_bytes < _STUCK_BYTES:\n",
        test="tests/server/test_load.py::test_who_reads_slowly_is_not_hung_up_on",
    ),
    Mutant(
        "who asks for little waits behind who asks for much",
        LOAD,
        "        self.least_served = self._served - steps_max\n",
        "        self.least_served = self._served\n",
        test="tests/server/test_load.py",
    ),
    Mutant(
        "what was parsed ahead costs nothing",
        "kvstore/wire/resp.py",
        "        ready_bytes = self._ready_bytes if self.ready else 0\n",
        "        ready_bytes = 0\n",
        test="tests/wire/test_request_parser.py",
    ),
    Mutant(
        "what comes behind a piece that ends with a request is lost",
        "kvstore/wire/resp.py",
        "        if taken == len(self._buffer):\n",
        "        if not rest:\n",
        test="tests/wire/test_request_parser.py"
        "::test_a_long_pipeline_gives_every_request_wherever_the_search_for_them_ends",
    ),
)
