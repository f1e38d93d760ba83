"""The wrong versions: what somebody might write, or once wrote, and who notices it.

Law: each is one plausible mistake, named by what it does wrong. Where only a scripted
test can notice, because no run of a whole node comes to show it, it says which.
"""

from __future__ import annotations

from .mutant import Mutant

CORE = "kvstore/raft/core.py"
LOG = "kvstore/raft/log.py"
OUTBOX = "kvstore/raft/outbox.py"
PROGRESS = "kvstore/raft/progress.py"
QUORUM = "kvstore/raft/quorum.py"
READS = "kvstore/raft/reads.py"
LEADERSHIP = "kvstore/raft/leadership.py"
REPAIR = "kvstore/raft/repair.py"
NODE_READS = "kvstore/server/reads.py"
NODE = "kvstore/server/node.py"
SESSION = "kvstore/server/session.py"
MACHINE = "kvstore/kv/machine.py"
SESSIONS_FILE = "kvstore/kv/sessions.py"
CLUSTER_TIME = "kvstore/server/cluster_time.py"
CLIENT = "kvstore/client.py"
COURSE = "kvstore/course.py"
MEMORY = "kvstore/storage/memory.py"
LMDB_LOG = "kvstore/storage/lmdb_log.py"
LMDB_SALVAGE = "kvstore/storage/lmdb_salvage.py"
LMDB_STATE = "kvstore/storage/lmdb_state.py"
LMDB_FILES = "kvstore/storage/lmdb_files.py"
RECORDS = "kvstore/storage/records.py"
SEQUENCE = "kvstore/storage/sequence.py"

TERMS = (
    Mutant(
        "a higher term is not adopted",
        CORE,
        "            self._become_follower(message.term)\n        elif",
        "            pass\n        elif",
    ),
    Mutant(
        "a lower term is processed",
        CORE,
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n"
        "            return\n",
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n",
    ),
    Mutant(
        "a lower term gets no answer, so its leader is never fenced",
        OUTBOX,
        "        elif isinstance(request, AppendEntries):\n            self.reject_append",
        "        elif isinstance(request, RequestVote):\n            self.reject_append",
        test="tests/raft/test_terms.py",
    ),
    Mutant(
        "replies to votes of an old term count",
        CORE,
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n"
        "            return\n",
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n"
        "            if not isinstance(message, RequestVoteReply):\n                return\n",
    ),
    Mutant(
        "replies to appends of an old term count",
        CORE,
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n"
        "            return\n",
        "            self._outbox.reject_stale(message, self.current_term, self.log)\n"
        "            if not isinstance(message, AppendEntriesReply):\n                return\n",
        test="tests/raft/test_terms.py",
    ),
    Mutant(
        "the vote is kept into a new term",
        CORE,
        "            self.voted_for = None\n            self._leader_of_term = None\n",
        "            self._leader_of_term = None\n",
    ),
    Mutant(
        "the vote is cleared by a step-down within a term",
        CORE,
        "            self.voted_for = None\n            self._leader_of_term = None\n",
        "            self._leader_of_term = None\n        self.voted_for = None\n",
    ),
    Mutant(
        "a candidate keeps its term",
        CORE,
        "        self.current_term += 1\n        self.voted_for = self.id\n",
        "        self.voted_for = self.id\n",
    ),
)

ELECTIONS = (
    Mutant(
        "a second vote in one term",
        CORE,
        "elif self.voted_for not in (None, message.sender):",
        "elif message.sender == self.id:",
    ),
    Mutant(
        "a vote for a candidate whose log is behind",
        CORE,
        "        elif not self._is_up_to_date(message):",
        "        elif message.last_log_index < 0:",
        test="tests/raft/test_elections.py",
    ),
    Mutant(
        "logs are compared by length alone",
        CORE,
        "        theirs = (message.last_log_term, message.last_log_index)\n"
        "        return theirs >= (self.log.last_term, self.log.last_index)",
        "        return message.last_log_index >= self.log.last_index",
    ),
    Mutant(
        "the vote is not persisted",
        CORE,
        "        hard_state = HardState(self.current_term, self.voted_for, self.admitted_at)\n",
        "        voted_for = self._durable_hard_state.voted_for\n"
        "        hard_state = HardState(self.current_term, voted_for, self.admitted_at)\n",
    ),
    Mutant(
        "the term is persisted only with a vote",
        CORE,
        "        hard_state_is_durable = hard_state == self._durable_hard_state\n",
        "        hard_state_is_durable = (\n"
        "            hard_state == self._durable_hard_state or self.voted_for is None\n        )\n",
    ),
    Mutant(
        "a vote that was refused counts",
        CORE,
        "if self.role is asked_as and message.vote_granted:",
        "if self.role is asked_as:",
    ),
    Mutant(
        "half of the votes is enough",
        QUORUM,
        "    return member_count // 2 + 1",
        "    return (member_count + 1) // 2",
        test="tests/raft/test_elections.py",
    ),
    Mutant(
        "one vote less than a majority is enough",
        QUORUM,
        "    return len(supporters & members) >= majority(len(members))",
        "    return len(supporters & members) >= majority(len(members)) - 1",
    ),
    Mutant(
        "votes of an earlier candidacy are kept",
        CORE,
        "        self._votes = set()\n        self._timer.start(self._now_ms)",
        "        self._timer.start(self._now_ms)",
    ),
    Mutant(
        "a new leader opens its term with no entry",
        CORE,
        "        self._append(EntryKind.NOOP, [str(self.id).encode()])\n",
        "",
    ),
)

REPLICATION = (
    Mutant(
        "blind truncation",
        LOG,
        "            if self.holds(entry.index, entry.term):\n",
        "            if entry.index == 0:\n",
    ),
    Mutant(
        "a conflicting entry stays",
        LOG,
        "            if self.holds(entry.index, entry.term):\n",
        "            if entry.index <= self.last_index:\n",
    ),
    Mutant(
        "prev_log_term is not compared",
        CORE,
        "        if not self.log.holds(message.prev_log_index, message.prev_log_term):",
        "        if message.prev_log_index > self.log.last_index:",
    ),
    Mutant(
        "a follower vouches for its whole log",
        CORE,
        "last_taken=last_taken, has_room=self.has_room\n        )\n",
        "last_taken=last_taken, has_room=self.has_room\n        )\n"
        "        object.__setattr__(\n"
        "            self._outbox._waiting[-1], 'match_index', self.log.last_index\n        )\n",
    ),
    Mutant(
        "a follower commits past what the leader vouched for",
        CORE,
        "min(message.leader_commit, last_taken)",
        "min(message.leader_commit, self.log.last_index)",
    ),
    Mutant(
        "the commit index follows every leader, back as well",
        CORE,
        "max(self.commit_index, min(message.leader_commit, last_taken))",
        "min(message.leader_commit, last_taken)",
    ),
    Mutant(
        "a rejection of the past moves next_index back",
        PROGRESS,
        "        if prev_log_index <= self.match_index or prev_log_index >= self.next_index:\n"
        "            return\n",
        "",
        test="tests/raft/test_faults.py",
    ),
    Mutant(
        "match_index goes back",
        PROGRESS,
        "        self.match_index = max(self.match_index, match_index)",
        "        self.match_index = match_index",
        test="tests/raft/test_faults.py",
    ),
    Mutant(
        "a rejection does not back up",
        PROGRESS,
        "        self.next_index = max(self.match_index + 1, min(next_index, prev_log_index))\n",
        "",
    ),
    Mutant(
        "a truncation leaves the terms of what it removed",
        LOG,
        "        while self._range_starts and self._range_starts[-1] >= from_index:",
        "        while self._range_starts and self._range_starts[-1] > from_index:",
    ),
    Mutant(
        "a truncation does not reach the disk",
        LOG,
        "            self._truncate_from = from_index\n            self.durable_index",
        "            self.durable_index",
    ),
)

COMMITMENT = (
    Mutant(
        "entries of an old term are committed by counting",
        CORE,
        "if index > self.commit_index and self.log.term(index) == self.current_term:",
        "if index > self.commit_index:",
        test="tests/raft/test_commitment.py",
    ),
    Mutant(
        "a minority commits",
        QUORUM,
        "    return ordered[majority(len(ordered)) - 1]",
        "    return ordered[majority(len(ordered)) - 2]",
    ),
    Mutant(
        "the leader counts its own entries before its fsync",
        CORE,
        "        return {self.id: self.log.durable_index, **self._leadership.match_index}",
        "        return {self.id: self.log.last_index, **self._leadership.match_index}",
        test="tests/raft/test_durability.py",
    ),
    Mutant(
        "what is not durable here is applied",
        LOG,
        "        stop = min(last, self.durable_index) + 1\n",
        "        stop = last + 1\n",
        test="tests/raft/test_durability.py",
    ),
    Mutant(
        "a new leader reads before its no-op is committed",
        CORE,
        "if self._leadership is not None and self.has_committed_in_term:\n            ready",
        "if self._leadership is not None:\n            ready",
        test="tests/raft/test_reads.py",
    ),
    Mutant(
        "a leader reads without asking a majority",
        READS,
        "        while self._waiting and self._waiting[0][0] <= confirmed:",
        "        while self._waiting:",
    ),
    Mutant(
        "a confirmation from before the read counts",
        READS,
        "        self._waiting.append((self.newest_round + 1, read))",
        "        self._waiting.append((self.newest_round, read))",
        test="tests/raft/test_reads.py",
    ),
    Mutant(
        "a read is answered as of nothing",
        LEADERSHIP,
        "        index = max(commit_index, self._log.last_term_start)",
        "        index = 0",
        test="tests/raft/test_reads.py",
    ),
)

NODES = (
    Mutant(
        "replies leave before the fsync",
        NODE,
        "        return Outcome(self._effects.early_messages, self._take_answers(), ())",
        "        early = [*self._effects.early_messages, *self._effects.messages]\n"
        "        return Outcome(early, self._take_answers(), ())",
    ),
    Mutant(
        "a turn is reported durable without a write",
        NODE,
        "        if effects.update:\n            self.log_store.write(effects.update)\n",
        "",
    ),
    Mutant(
        "only turns with entries are written",
        NODE,
        "        if effects.update:\n",
        "        if effects.update.entries:\n",
    ),
    Mutant(
        "a waiting write is known by its index alone",
        NODE,
        "        write = self._writes.pop((entry.index, entry.term), None)",
        "        found = [name for name in self._writes if name[0] == entry.index]\n"
        "        write = self._writes.pop(found[0]) if found else None",
    ),
    Mutant(
        "a write is answered when it is proposed",
        NODE,
        "        self._writes[name] = _Write(ticket, self._deadline())\n",
        "        self._answer(ticket, api.PutResult(0, True))\n",
    ),
    Mutant(
        "a deposed leader says of every waiting write that it was rolled back",
        NODE,
        "    return index <= applied_index or term < applied_term",
        "    return True",
    ),
    Mutant(
        "a write that waited too long is said to be refused",
        NODE,
        "            self._answer(write.ticket, refusals.UNKNOWN)",
        "            self._answer(write.ticket, refusals.BUSY)",
    ),
    Mutant(
        "a follower takes writes",
        NODE,
        "        if not self.raft.takes_commands:\n"
        "            self._answer(ticket, self.redirect())\n            return None\n",
        "",
    ),
    Mutant(
        "last_applied is saved one too low, so an entry is applied twice",
        MACHINE,
        "        return Applied(self.last_applied, self.revision, self.time_ms)",
        "        return Applied(max(0, self.last_applied - 1), self.revision, self.time_ms)",
    ),
    Mutant(
        "the revision is forgotten in a restart",
        MACHINE,
        "        self.revision = applied.revision",
        "        self.revision = applied.last_applied",
    ),
    Mutant(
        "last_applied is saved without the data of the turn",
        NODE,
        "        applied = self.machine.applied\n        if applied != self._checkpointed",
        "        applied = self.machine.applied\n"
        "        applied = type(applied)(\n"
        "            self.raft.log.durable_index, applied.revision, applied.time_ms\n        )\n"
        "        if applied != self._checkpointed",
    ),
    Mutant(
        "a condition is judged by the leader when the write is proposed",
        MACHINE,
        "        if put.when is not api.When.ALWAYS and not _may_write(put, old):",
        "        if put.when is api.When.ABSENT and not _may_write(put, old):",
    ),
    Mutant(
        "a result depends on more than the log",
        MACHINE,
        "    def _delete(self, delete: api.Delete) -> api.Result:\n"
        "        deleted = sum(self._view.delete(key) for key in delete.keys)\n"
        "        if deleted:\n",
        "    def _delete(self, delete, calls=iter(range(1 << 30))) -> api.Result:\n"
        "        deleted = sum(self._view.delete(key) for key in delete.keys)\n"
        "        if deleted and next(calls) % 2:\n",
    ),
)

SESSIONS = (
    Mutant(
        "a retry is applied again",
        SESSIONS_FILE,
        "        if once.sequence == record.sequence:",
        "        if once.sequence == -record.sequence:",
    ),
    Mutant(
        "sessions are forgotten in a restart",
        SESSIONS_FILE,
        'for key, record in table.scan(b"")]',
        "for key, record in ()]",
    ),
    Mutant(
        "the answer of a retry is not kept over a restart",
        SESSIONS_FILE,
        "        self._table.put(_KEY.pack(session), _encode_record(record))",
        "        self._table.put(\n"
        "            _KEY.pack(session), _encode_record(_Record(record.used_index, 0, 0, b''))\n"
        "        )",
    ),
    Mutant(
        "a restart sorts sessions by their age instead of their use",
        SESSIONS_FILE,
        "key=lambda one: one[1].used_index",
        "key=lambda one: one[0]",
        test="tests/kv/test_sessions.py",
    ),
    Mutant(
        "sessions expire by the clock of each replica",
        NODE,
        "        result = self.machine.apply(entry.index, entry.data)",
        "        self.machine._sessions.time_ms = self._time.advance(\n"
        "            self._now_ms, self.machine.time_ms\n        )\n"
        "        result = self.machine.apply(entry.index, entry.data)",
    ),
    Mutant(
        "the time is forgotten in a restart",
        MACHINE,
        "Sessions(view.sessions, sessions, applied.time_ms)",
        "Sessions(view.sessions, sessions, 0)",
        test="tests/kv/test_sessions.py",
    ),
    Mutant(
        "the time follows every leader, back as well",
        SESSIONS_FILE,
        "        self.time_ms = max(self.time_ms, time_ms)",
        "        self.time_ms = time_ms",
        test="tests/kv/test_sessions.py",
    ),
    Mutant(
        "an expired session lives on until it is removed",
        SESSIONS_FILE,
        "        if record is None or self._is_expired(record):\n            return _no_session",
        "        if record is None:\n            return _no_session",
        test="tests/kv/test_sessions.py",
    ),
    Mutant(
        "a number that was passed over takes effect later",
        SESSIONS_FILE,
        "        if once.sequence < max(1, record.sequence):",
        "        if once.sequence < 1:",
        test="tests/kv/test_sessions.py",
    ),
    Mutant(
        "sessions are committed without the keys",
        MEMORY,
        "        self.sessions.take_back_changes()\n",
        "",
    ),
    Mutant(
        "the cluster's time is set back by what was applied",
        CLUSTER_TIME,
        "        self._time_ms = max(self._time_ms, float(applied_ms))",
        "        self._time_ms = float(applied_ms)",
        test="tests/server/test_cluster_time.py",
    ),
    Mutant(
        "a client forgets that a copy was sent",
        CLIENT,
        "    course.doubt = doubt\n",
        "    course.doubt = None\n",
        test="tests/client/test_sessions.py",
    ),
    Mutant(
        "a refusal settles what an earlier copy may have done",
        COURSE,
        "        if self.doubt is None:\n            return refusal",
        "        if self.doubt != refusal:\n            return refusal",
        test="tests/client/test_sessions.py",
    ),
    Mutant(
        "a write in doubt is repeated under a new session",
        CLIENT,
        "                if course.doubt is not None:\n",
        "                if course.doubt == '':\n",
        test="tests/client/test_sessions.py",
    ),
)

FENCING = (
    Mutant(
        "a guard is not checked",
        MACHINE,
        "            if mod_revision != write.guard.mod_revision:",
        "            if mod_revision < 0:",
    ),
    Mutant(
        "a guard holds as long as its key exists",
        MACHINE,
        "            if mod_revision != write.guard.mod_revision:",
        "            if not mod_revision:",
    ),
    Mutant(
        "a node of an older term serves whoever knows of a newer one",
        NODE,
        "        if term < call.min_term:",
        "        if term < 0:",
        test="tests/server/test_envelope.py",
    ),
    Mutant(
        "a client is told a term that is not on the disk yet",
        NODE,
        "            self.durable_term,\n",
        "            self.raft.current_term,\n",
        test="tests/server/test_envelope.py",
    ),
    Mutant(
        "a client believes every node about the term",
        CLIENT,
        "        if not stale and not isinstance(call.request, api.Status):\n"
        "            # Other answers",
        "        if True:\n            # Other answers",
        test="tests/client/test_fencing.py",
    ),
)

STORAGE = (
    Mutant(
        "a commit of the log is not synced",
        LMDB_FILES,
        "            sync=True,",
        "            sync=False,",
        test="tests/process/test_persist_then_speak.py",
    ),
    Mutant(
        "the crc32c of an entry is not compared",
        RECORDS,
        "    if crc32c(data, crc32c(key + value[_CRC_BYTES:_VALUE_BYTES])) != crc:",
        "    if crc is None:",
        test="tests/storage/test_records.py",
    ),
    Mutant(
        "a truncation is left out of the transaction",
        LMDB_LOG,
        "            for index in range(self.last_index, update.truncate_from - 1, -1):",
        "            for index in range(self.last_index, update.truncate_from, -1):",
        test="tests/storage/test_log_store.py",
    ),
    Mutant(
        "after a write that failed, another one is tried",
        LMDB_LOG,
        "        if self._failed:",
        "        if self._failed and not update:",
        test="tests/storage",
    ),
    Mutant(
        "the key space is committed without last_applied",
        LMDB_STATE,
        "            self._txn.put(records.APPLIED, record, db=self._main)\n",
        "",
        test="tests/storage/test_state_store.py",
    ),
)

LEADERSHIPS = (
    Mutant(
        "a pre-candidate stands without a majority",
        CORE,
        "        if not has_majority(self._votes, self._membership.members):\n",
        "        is_done = self.role is Role.PRE_CANDIDATE\n"
        "        if not is_done and not has_majority(self._votes, self._membership.members):\n",
    ),
    Mutant(
        "a pre-vote is given while a leader is heard",
        CORE,
        "self.leader_id is None or silent_ms >= self._settings.election_timeout_min_ms\n",
        "self._leadership is None\n",
        test="tests/raft/test_leadership.py",
    ),
    Mutant(
        "a pre-vote is given to a shorter log",
        CORE,
        "        granted = self.is_voter and lost_leader and self._is_up_to_date(message)\n",
        "        granted = self.is_voter and lost_leader\n",
        test="tests/raft/test_leadership.py",
    ),
    Mutant(
        "a pre-vote of a lower term gets no answer, so the longer log never learns the term",
        OUTBOX,
        "        if isinstance(request, PreVote | RequestVote):\n            self.reply",
        "        if isinstance(request, RequestVote):\n            self.reply",
        test="tests/raft/test_leadership.py",
    ),
    Mutant(
        "a leader that nobody answers leads on",
        CORE,
        "        if silent_ms >= self._settings.election_timeout_max_ms:\n"
        "            self._events.append(events.LostMajority",
        "        if silent_ms >= 1e12:\n            self._events.append(events.LostMajority",
    ),
    Mutant(
        "one follower that answers keeps a leader",
        LEADERSHIP,
        "reached_by_majority([now_ms, *self._heard_ms.values()])",
        "max(self._heard_ms.values(), default=now_ms)",
        test="tests/raft/test_leadership.py",
    ),
    Mutant(
        "a leader that stood still goes on as if nothing were",
        CORE,
        "        elif self._membership.peers and silent_ms > ",
        "        elif silent_ms < 0 and silent_ms > ",
        test="tests/raft/test_leadership.py",
    ),
    Mutant(
        "the heir is told to stand before it has caught up",
        LEADERSHIP,
        "            and self._progress[self.heir].match_index == self._log.last_index\n",
        "",
        test="tests/raft/test_leadership.py",
    ),
    Mutant(
        "commands are taken while leadership moves",
        CORE,
        "        return self._leadership is not None and self._leadership.heir is None",
        "        return self._leadership is not None",
        test="tests/raft/test_leadership.py",
    ),
    Mutant(
        "a follower answers reads as of what it knows to be committed",
        CORE,
        "            self._outbox.ask_read_index(self.leader_id, self.current_term, read_id)\n",
        "            self._ready_reads.append(ReadReady(self.id, read_id, self.commit_index))\n",
    ),
    Mutant(
        "a follower is told an index that no majority confirmed",
        CORE,
        "            self._leadership.add_read(message.sender, message.read_id, "
        "self.commit_index)\n",
        "            read = ReadReady(message.sender, message.read_id, self.commit_index)\n"
        "            self._outbox.tell_read_index(read, self.current_term)\n",
        test="tests/raft/test_reads.py",
    ),
    Mutant(
        "any node's word on a read index is believed",
        CORE,
        "        if message.sender == self.leader_id:\n            self._ready",
        "        if True:\n            self._ready",
        test="tests/raft/test_reads.py",
    ),
    Mutant(
        "numbers of reads begin anew after a restart",
        NODE_READS,
        "        self._numbers = count(first_number)\n",
        "        self._numbers = count()\n",
        test="tests/server/test_node.py",
    ),
    Mutant(
        "a node acknowledges entries that it has lost",
        OUTBOX,
        "min(last_taken, log.vouched_index)",
        "last_taken",
    ),
    Mutant(
        "a lost entry is replaced by any of its index",
        LOG,
        "        if entry.index in self._damaged and self.holds(entry.index, entry.term):\n",
        "        if entry.index in self._damaged:\n",
        test="tests/raft/test_repair.py",
    ),
    Mutant(
        "a node that lost entries stands for election",
        CORE,
        "        return self.is_voter and not self.log.damaged\n",
        "        return self.is_voter\n",
        test="tests/raft/test_repair.py",
    ),
    Mutant(
        "a node that lost an entry gives what stands in its place",
        REPAIR,
        "log.holds(index, term) and not log.is_damaged(index)",
        "log.holds(index, term)",
        test="tests/raft/test_repair.py",
    ),
    Mutant(
        "a log is taken to end before its first damaged record",
        SEQUENCE,
        "            damaged.append(index)\n            continue\n",
        "            outline = outline.after(DurableUpdate(truncate_from=index))\n"
        "            break\n",
    ),
    Mutant(
        "records that are lost from the end of the log are not missed",
        SEQUENCE,
        "    damaged.extend(range(next_index, outline.last_index + 1))\n",
        "",
        test="tests/storage/test_damage.py",
    ),
    Mutant(
        "the terms of removed entries stay on record",
        LMDB_LOG,
        "        for gone in old[kept:]:\n",
        "        for gone in old[kept:kept]:\n",
        test="tests/storage/test_log_store.py",
    ),
    Mutant(
        "a full disk is noticed after the append",
        NODE,
        "        if self._room.is_short:\n            limits",
        "        if False:\n            limits",
    ),
    Mutant(
        "a follower without room takes entries",
        CORE,
        "            entries = self.log.part_without_commands(entries)\n",
        "            pass\n",
    ),
    Mutant(
        "entries that were left out for want of room are vouched for",
        CORE,
        "        last_taken = message.prev_log_index + len(entries)\n",
        "        last_taken = message.last_entry_index\n",
    ),
    Mutant(
        "a follower that has room again is sent nothing",
        PROGRESS,
        "        self.has_room = has_room\n        if not has_room:\n",
        "        self.has_room = has_room and self.has_room\n        if not has_room:\n",
    ),
    Mutant(
        "a leader short of room goes on leading",
        NODE,
        "        if self._room.is_short and raft.takes_commands",
        "        if False and raft.takes_commands",
        test="tests/server/test_room.py",
    ),
    Mutant(
        "a directory that was not admitted votes",
        CORE,
        "        if not self.is_voter:\n            self._refuse_vote",
        "        if False:\n            self._refuse_vote",
    ),
    Mutant(
        "a directory that was not admitted stands",
        CORE,
        "        return self.is_voter and not self.log.damaged\n",
        "        return not self.log.damaged\n",
    ),
    Mutant(
        "what a directory holds that was not admitted counts",
        LEADERSHIP,
        "        return [0 if one.rejoining else one.match_index for one in ",
        "        return [one.match_index for one in ",
    ),
    Mutant(
        "a new directory is taken to hold what the old one held",
        LEADERSHIP,
        "        if reply.rejoining != progress.rejoining:\n",
        "        if reply.rejoining and not progress.rejoining and not progress.match_index:\n",
        test="tests/raft/test_rejoin.py",
    ),
    Mutant(
        "a directory confirms reads before it is admitted",
        LEADERSHIP,
        "        if not reply.rejoining:\n",
        "        if True:\n",
        test="tests/raft/test_rejoin.py",
    ),
    Mutant(
        "any directory is admitted under the name of another",
        CORE,
        "        if not self.is_voter and entry.data == own:\n",
        "        if not self.is_voter and entry.data[:1] == own[:1]:\n",
        test="tests/raft/test_rejoin.py",
    ),
    Mutant(
        "a directory that is admitted votes once more in the term of its admission",
        CORE,
        "                self.voted_for = self._leader_of_term\n            self._events",
        "                pass\n            self._events",
        test="tests/raft/test_rejoin.py",
    ),
    Mutant(
        "what waits unread is forgotten when a client is given up",
        SESSION,
        "        load.input_bytes -= self._input_bytes\n",
        "",
        test="tests/server/test_load.py",
    ),
    Mutant(
        "one client may fill a turn",
        SESSION,
        "self._started < self._limits.session_requests_per_turn_max and ",
        "",
        test="tests/server/test_load.py",
    ),
    Mutant(
        "a server that is full of clients turns its peers away",
        SESSION,
        '        if self in self.context.newcomers and name != b"RAFT":\n',
        "        if self in self.context.newcomers:\n",
        test="tests/server/test_load.py",
    ),
    Mutant(
        "a salvaged log forgets what could not be read",
        LMDB_SALVAGE,
        "        outline = _outline(pages, named, hard_state)\n",
        "        outline = Outline()\n",
        test="tests/storage/test_damage.py",
    ),
)

MUTANTS = (
    *(*TERMS, *ELECTIONS, *REPLICATION, *COMMITMENT, *LEADERSHIPS),
    *(*NODES, *SESSIONS, *FENCING, *STORAGE),
)
