"""Wrong versions of the state machine: what entries do to keys, sessions and the cluster's time.

Law: each is one plausible mistake, named by what it does wrong. Where only a scripted
test can notice, because no run of a whole node comes to show it, it says which.
"""

from __future__ import annotations

from .mutant import Mutant

APPLYING = (
    Mutant(
        "a page leads on behind the key that it left out",
        "StateMachine._scan",
        "next_start=key)",
        'next_start=key + b"\\0")',
    ),
    Mutant(
        "last_applied is saved one too low, so an entry is applied twice",
        "StateMachine.applied",
        "            self.last_applied,\n",
        "            max(0, self.last_applied - 1),\n",
    ),
    Mutant(
        "the revision is forgotten in a restart",
        "StateMachine._begin",
        "        self.revision = applied.revision",
        "        self.revision = applied.last_applied",
    ),
    Mutant(
        "last_applied is saved without the data of the turn",
        "Checkpoints.make",
        "        applied = self._machine.applied\n",
        "        applied = self._machine.applied\n"
        "        applied = type(applied)(\n"
        "            applied.last_applied + 1, applied.revision, applied.time_ms\n        )\n",
    ),
    Mutant(
        "a condition is judged by the leader when the write is proposed",
        "StateMachine._put",
        "        if put.when is not _ALWAYS and not _may_write(put, old):",
        "        if put.when is api.When.ABSENT and not _may_write(put, old):",
    ),
    Mutant(
        "a result depends on more than the log",
        "StateMachine._delete",
        "    def _delete(self, delete: api.Delete) -> Effect:\n"
        "        self._steps += WRITE_STEPS * len(delete.keys)\n",
        "    def _delete(self, delete, calls=iter(range(1 << 30))) -> Effect:\n"
        "        self.revision -= next(calls) % 2\n",
    ),
    Mutant(
        "a retry is applied again",
        "Sessions.once",
        "        if once.sequence > record.sequence:",
        "        if once.sequence >= record.sequence:",
    ),
    Mutant(
        "the digest of a write is not compared, so a copy of a client gets its answer",
        "Sessions.once",
        "        elif digest == record.digest:",
        "        elif digest:",
    ),
    Mutant(
        "the digest of a write leaves its guard out",
        "sessions._digest",
        "    return hashlib.blake2b(_encode_write(write), ",
        "    write = msgspec.structs.replace(write, guard=None)\n"
        "    return hashlib.blake2b(_encode_write(write), ",
        test="tests/kv/test_sessions.py"
        "::test_a_number_that_comes_with_another_write_is_refused_for_ever",
    ),
    Mutant(
        "a refused put is told to be written when it comes again",
        "sessions._without_records",
        "        case api.PutResult(revision=revision, written=succeeded):\n",
        "        case api.PutResult(revision=revision):\n            succeeded = True\n",
        test="tests/kv/test_sessions.py"
        "::test_a_record_too_large_to_keep_is_told_once_and_whether_it_was_replaced_each_time",
    ),
    Mutant(
        "sessions are forgotten in a restart",
        "Sessions.__init__.found",
        'for key, record in table.scan(b"")]',
        "for key, record in ()]",
    ),
    Mutant(
        "the answer of a retry is not kept over a restart",
        "Sessions._keep",
        "        self._table.put(_KEY.pack(session), _encode_record(record))",
        "        self._table.put(\n"
        "            _KEY.pack(session), _encode_record(_Record(record.used_index, 0, 0, b''))\n"
        "        )",
    ),
    Mutant(
        "a restart sorts sessions by their age instead of their use",
        "Sessions.__init__",
        "key=lambda one: one[1].used_index",
        "key=lambda one: one[0]",
        test="tests/kv/test_sessions.py"
        "::test_a_restart_keeps_the_order_in_which_sessions_were_used",
    ),
    Mutant(
        "sessions expire by the clock of each replica",
        "Applier._apply.effect",
        "        effect = self._machine.apply(entry.index, entry.data)",
        "        self._machine.clock.time_ms = self._here._time.advance(\n"
        "            self._here.now_ms, self._machine.clock.time_ms\n        )\n"
        "        effect = self._machine.apply(entry.index, entry.data)",
    ),
    Mutant(
        "the time is forgotten in a restart",
        "StateMachine._begin",
        "LogClock(applied.time_ms)",
        "LogClock(0)",
        test="tests/kv/test_sessions.py::test_a_restart_keeps_answers_and_time",
    ),
    Mutant(
        "the time follows every leader, back as well",
        "LogClock.move_to",
        "        self.time_ms = max(self.time_ms, time_ms)",
        "        self.time_ms = time_ms",
        test="tests/kv/test_sessions.py::test_time_does_not_go_back_with_a_leader_that_lags",
    ),
    Mutant(
        "the time of an entry counts from the next one on",
        "StateMachine.apply",
        "        self.clock.move_to(logged.time_ms)\n",
        "        earlier, self._later = getattr(self, '_later', 0), logged.time_ms\n"
        "        self.clock.move_to(earlier)\n",
        test="tests/kv/test_session_model.py",
    ),
    Mutant(
        "a session's request is logged without the time",
        "SESSION_ROWS",
        "        extent=lambda once: COMMAND_ROW_OF[type(once.write)].extent(once.write),\n"
        "        changes_sessions=True,\n        needs_time=True,\n",
        "        extent=lambda once: COMMAND_ROW_OF[type(once.write)].extent(once.write),\n"
        "        changes_sessions=True,\n",
        test="tests/api/test_registry.py",
    ),
    Mutant(
        "an expired session lives on until it is removed",
        "Sessions.once",
        "        if record is None or self._is_expired(record):\n",
        "        if record is None:\n",
        test="tests/kv/test_sessions.py"
        "::test_an_entry_removes_a_bounded_number_and_counts_the_others_as_ended",
    ),
    Mutant(
        "a number that was passed over takes effect later",
        "Sessions.once",
        "        if once.sequence < max(1, record.sequence):",
        "        if once.sequence < 1:",
        test="tests/kv/test_sessions.py::test_a_number_that_was_passed_over_can_never_take_effect",
    ),
    Mutant(
        "a leader's own stamps set its time back",
        "ClusterTime.advance",
        "(self._is_told(clock) and not self._led)",
        "self._is_told(clock)",
        test="tests/server/test_cluster_time.py::test_who_leads_is_not_set_back_by_its_own_stamps",
    ),
    Mutant(
        "what a follower's clock gains is never taken back",
        "ClusterTime.advance",
        "            self._time_ms = float(clock.time_ms)",
        "            self._time_ms = max(self._time_ms, float(clock.time_ms))",
    ),
    Mutant(
        "a leader goes on by its clock before it has applied what others stamped",
        "Node._cluster_time_ms",
        "Pace.LEADS if has_all else Pace.CATCHES_UP",
        "Pace.LEADS",
    ),
    Mutant(
        "a guard is not checked",
        "StateMachine._write_guarded",
        "            if mod_revision != write.guard.mod_revision:",
        "            if mod_revision < 0:",
    ),
    Mutant(
        "a record does not know its place among the changes of its revision",
        "StateMachine._put_many",
        "self._record(key), sub)",
        "self._record(key))",
    ),
    Mutant(
        "who watches is not told what a deleted key was",
        "Keyspace.remove",
        "return key, None, self._note(key, old, revision, sub, 0)",
        "return key, None, self._note(key, old, revision, sub, 0) and self._view.get(key)",
    ),
    Mutant(
        "a change is told under the revision before",
        "StateMachine._changed",
        "changes, self.revision)",
        "changes, self.revision - 1)",
    ),
    Mutant(
        "a guard holds as long as its key exists",
        "StateMachine._write_guarded",
        "            if mod_revision != write.guard.mod_revision:",
        "            if not mod_revision:",
    ),
    Mutant(
        "a scan in reverse leaves out the key that it goes on at",
        "StateMachine._walk.behind_start",
        '        behind_start = scan.start + b"\\x00"\n',
        "        behind_start = scan.start\n",
    ),
    Mutant(
        "a scan in reverse begins at a key that is not of its prefix",
        "intervals.after_all_with",
        "    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None\n",
        "    return None\n",
        test="tests/kv/test_machine.py::test_scan_in_reverse_shows_the_same_from_the_other_end",
    ),
    Mutant(
        "one session more may end than is said before",
        "footprint",
        "session_bytes, EXPIRED_AT_ONCE)",
        "session_bytes, EXPIRED_AT_ONCE - 1)",
        test="tests/kv/test_footprint.py::test_sessions_that_expire_together_are_counted_too",
    ),
)
