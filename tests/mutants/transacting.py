"""Wrong versions of transactions: what is compared, done, refused, and said of it beforehand.

Law: each is one plausible mistake, named by what it does wrong. Simulated clients transact, and
what they are told is held against a model; what they never ask for, scripted tests do.
"""

from __future__ import annotations

from .mutant import Mutant

_REFUSED = "tests/kv/test_txn.py::test_what_is_too_much_is_refused_whole"
_DOOR = "tests/api/test_txn.py"
_TWICE = f"{_DOOR}::test_a_key_that_may_be_changed_twice_is_found_wherever_that_is_so"
_FOOTPRINT = "tests/kv/test_footprint.py::test_no_command_changes_more_than_is_said_before"

TRANSACTING = (
    Mutant(
        "comparisons of a transaction within another one see what that did",
        "_CarryingOut.__init__",
        "iter([*_decisions(write, changing)])",
        "_decisions(write, changing)",
    ),
    Mutant(
        "an absent key has an empty value",
        "compares._holds_for",
        "        return record is not None and relation(record[",
        "        return relation((record or bytes(HEAD_BYTES))[",
    ),
    Mutant(
        "a comparison holds for a range if it does for one of its keys",
        "compares.holds",
        "        if not _holds_for(compare, record):\n            return False\n",
        "        if _holds_for(compare, record):\n            return True\n",
    ),
    Mutant(
        "every comparison holds for a range without keys",
        "compares.holds",
        "    return not is_empty or _holds_for(compare, None)\n",
        "    return True\n",
    ),
    Mutant(
        "greater is greater or equal",
        "compares._RELATIONS",
        "operator.gt",
        "operator.ge",
    ),
    Mutant(
        "one comparison that holds is enough",
        "txn._decisions",
        "succeeded = all(",
        "succeeded = any(",
    ),
    Mutant(
        "where a comparison does not hold nothing is done",
        "_CarryingOut._txn.results",
        "(txn.then if succeeded else txn.otherwise)",
        "(txn.then if succeeded else ())",
    ),
    Mutant(
        "operations do not see what earlier ones did",
        "Changing.get.record",
        "self._keys.get(key) if decided is None else",
        "self._keys.get(key) if True else",
    ),
    Mutant(
        "a range does not leave out what was deleted before",
        "Changing._untouched",
        "            if key not in self._decided:\n",
        "            if True:\n",
    ),
    Mutant(
        "each operation of a transaction has a revision of its own",
        "Changing.commit",
        "self._keys.write(key, value, old, self.revision, sub, lease)",
        "self._keys.write(key, value, old, self.revision + sub, sub, lease)",
    ),
    Mutant(
        "the end of a range is one of its keys",
        "Interval.has",
        "key < self.end",
        "key <= self.end",
    ),
    Mutant(
        "what was done before a refusal stays",
        "StateMachine._transact",
        "            return Effect(refused.failure)\n",
        "            changing.commit()\n            return Effect(refused.failure)\n",
        test=_REFUSED,
    ),
    Mutant(
        "each operation may tell as much as the whole transaction",
        "_CarryingOut.do",
        "        match operation:\n",
        "        self._bytes_left = api.TXN_REPLY_BYTES_MAX\n        match operation:\n",
        test=_REFUSED,
    ),
    Mutant(
        "each deletion within a transaction may delete as much as one alone",
        "_CarryingOut._delete_range",
        "        self._deletions_left -= len(gone)\n        if self._deletions_left < 0:\n",
        "        if self._deletions_left < len(gone):\n",
        test=_REFUSED,
    ),
    Mutant(
        "the work of a write is not bounded",
        "Changing._spend",
        "        if self.steps > STEPS_MAX:\n",
        "        if self.steps > 100 * STEPS_MAX:\n",
        test=_REFUSED,
    ),
    Mutant(
        "what was read for a refusal costs nothing",
        "StateMachine._transact",
        "            self._steps += changing.steps\n",
        "            self.steps += 0\n",
        test="tests/kv/test_txn.py::test_the_work_of_what_is_refused_is_counted_too",
    ),
    Mutant(
        "a deletion with a limit goes on however long it takes",
        "_CarryingOut._first",
        "            if self._changing.steps >= LIMITED_STEPS:\n",
        "            if False:\n",
        test="tests/kv/test_txn.py"
        "::test_a_deletion_with_a_limit_takes_the_first_ones_and_ends_when_its_work_is_done",
    ),
    Mutant(
        "a limit is of the keys that are left",
        "_CarryingOut._first",
        "        for one in islice(found, delete.limit):\n",
        "        for one in islice(found, delete.limit, None):\n",
    ),
    Mutant(
        "what a put replaced is told of what it wrote",
        "_CarryingOut._put.old",
        "        old = self._changing.put(put.key, put.value, put.lease)\n",
        "        self._changing.put(put.key, put.value, put.lease)\n"
        "        old = self._changing.get(put.key)\n",
    ),
    Mutant(
        "a transaction that comes again is told to have succeeded",
        "sessions._without_records",
        "        case api.TxnResult(revision=revision, succeeded=succeeded):\n"
        "            return api.Repeated(revision, succeeded)\n",
        "        case api.TxnResult(revision=revision):\n"
        "            return api.Repeated(revision, True)\n",
        test="tests/kv/test_sessions.py"
        "::test_a_transaction_too_long_to_keep_is_told_once_and_its_branch_each_time",
    ),
    # --- At the door, and before ---
    Mutant(
        "transactions may stand within each other as deep as they like",
        "txn_rows._check_shape",
        "    for _ in range(TXN_DEPTH_MAX):\n",
        "    while level:\n",
        test=f"{_DOOR}::test_what_is_beyond_a_bound_is_refused_with_it",
    ),
    Mutant(
        "a key that is put within two transactions is put twice",
        "overlaps._together",
        "            if key in owners:\n",
        "            if key in owners and len(part.put) == 1:\n",
        test=_TWICE,
    ),
    Mutant(
        "what one puts and another one deletes is let through",
        "overlaps._put_and_deleted",
        "            if place < len(keys) and (end is None or keys[place] < end):\n",
        "            if place < len(keys) and keys[place] == start and end is None:\n",
        test=_TWICE,
    ),
    Mutant(
        "of what another one puts only the first key of a range is looked at",
        "overlaps._put_and_deleted",
        "                place = others[place]\n",
        "                continue\n",
        test=f"{_DOOR}::test_what_is_beyond_a_bound_is_refused_with_it",
    ),
    Mutant(
        "only the branch of success counts for a key that is changed twice",
        "overlaps._of_txn",
        "_Changed(then.put | otherwise.put, then.deleted | otherwise.deleted)",
        "then",
        test=_TWICE,
    ),
    Mutant(
        "the branches of one transaction exclude nothing",
        "overlaps._of_txn",
        "    return both, twice if twice is not None else twice_otherwise\n",
        "    return _together([then, otherwise])\n",
        test=_TWICE,
    ),
    Mutant(
        "a transaction is said to change as much as its first branch",
        "txn_rows._extent",
        "        max(then.puts, otherwise.puts),\n",
        "        then.puts,\n",
        test=f"{_DOOR}::test_a_transaction_changes_as_much_as_the_larger_of_its_branches",
    ),
    Mutant(
        "under a session nobody sees how much a write may change",
        "footprint._HEAD_BYTES",
        "64",
        "16",
        test="tests/kv/test_txn.py::test_what_may_change_many_keys_is_known_by_its_bytes",
    ),
)
