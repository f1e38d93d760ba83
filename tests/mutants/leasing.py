"""Wrong versions of what ends by time: leases, and who tends them."""

from __future__ import annotations

from .mutant import Mutant

_OF_LEASES = "tests/kv/test_leases.py::"
_TENDED = "tests/server/test_leases.py::"

LEASING = (
    Mutant(
        "a lease of which a part has ended is renewed",
        "Leases.is_alive",
        "times is not None and times[0] != _OVER",
        "times is not None",
        test=f"{_OF_LEASES}test_a_lease_of_which_a_part_has_ended_is_renewed_no_more",
    ),
    Mutant(
        "a lease is due before its end",
        "Leases._due_leases",
        "            if ends_ms > self._clock.time_ms:",
        "            if ends_ms > self._clock.time_ms + 1:",
        test=f"{_OF_LEASES}test_a_lease_lasts_for_its_ttl_and_the_grace_and_no_longer",
    ),
    Mutant(
        "a lease has no grace",
        "Leases._end_of",
        " + ttl_ms + self._rules.grace_ms",
        " + ttl_ms",
        test=f"{_OF_LEASES}test_a_lease_lasts_for_its_ttl_and_the_grace_and_no_longer",
    ),
    Mutant(
        "a renewal leaves the end that there was",
        "Leases._move",
        "        self._ends.delete(_END.pack(before_ms, _OF_LEASE, lease))\n",
        "",
        test=f"{_OF_LEASES}test_a_renewal_begins_the_ttl_anew",
    ),
    Mutant(
        "a lease that is ended leaves its end",
        "Leases.end",
        "            self._ends.delete(_END.pack(ends_ms, _OF_LEASE, lease))\n",
        "",
        test=f"{_OF_LEASES}test_a_lease_lasts_for_its_ttl_and_the_grace_and_no_longer",
    ),
    Mutant(
        "what ends next is believed to stay what it was",
        "Leases._set",
        "        self._knows_next = False\n",
        "",
        test=f"{_OF_LEASES}test_what_ends_next_is_known_after_each_change",
    ),
    Mutant(
        "a lease's keys are those of all leases from it on",
        "Leases.keys",
        "            if not name.startswith(prefix):\n                return\n",
        "",
        test=f"{_OF_LEASES}test_keys_go_with_their_lease_and_with_no_other_one",
    ),
    Mutant(
        "a lease is ended with a part of its keys",
        "Leases.due",
        "                return self._part_of(lease, of_it)\n",
        "                return Due((lease,), of_it[: api.KEYS_MAX], has_more=True)\n",
        test=f"{_OF_LEASES}"
        "test_no_lease_is_split_but_one_that_has_more_keys_than_one_entry_may_delete",
    ),
    Mutant(
        "as many leases are ended at once as are due",
        "Leases.due",
        "            if leases and len(leases) + len(keys) + len(of_it) >= keys_max:",
        "            if leases and len(keys) + len(of_it) >= keys_max:",
        test=f"{_OF_LEASES}test_leases_that_are_due_end_in_the_order_of_their_ends",
    ),
    Mutant(
        "a lease is given the number of another one",
        "Leases._free_number",
        "            index += 1\n",
        "            break\n",
        test=f"{_OF_LEASES}test_who_chooses_no_number_gets_that_of_the_entry_or_the_next_free_one",
    ),
    Mutant(
        "a key stays with the lease that it was under",
        "Keyspace.write",
        "        self.leases.move(key, lease_of(old), lease)\n",
        "        self.leases.move(key, 0, lease)\n",
        test="tests/kv/test_lease_commands.py::test_a_key_is_under_the_lease_of_its_last_put",
    ),
    Mutant(
        "a key that is deleted stays with its lease",
        "Keyspace.remove",
        "        self.leases.move(key, lease_of(old), 0)\n",
        "",
        test="tests/kv/test_lease_commands.py::test_a_key_is_under_the_lease_of_its_last_put",
    ),
    Mutant(
        "a new leader ends at once what is due",
        "Tending._until_end_ms",
        "max(next_end_ms - self._time_ms, self._held_until_ms - self._now_ms)",
        "next_end_ms - self._time_ms",
        test=f"{_TENDED}test_a_node_that_stood_still_holds_off_with_ends",
    ),
    Mutant(
        "what is due comes before renewals that wait",
        "Node._tend",
        "        if self._renewals.may_propose and self.raft.takes_commands:\n"
        "            self._answers += self._renewals.propose(self._propose_renewals)\n"
        "        self._tending.tick(now_ms, self._cluster_time_ms())\n",
        "        self._tending.tick(now_ms, self._cluster_time_ms())\n"
        "        if self._renewals.may_propose and self.raft.takes_commands:\n"
        "            self._answers += self._renewals.propose(self._propose_renewals)\n",
        test=f"{_TENDED}test_a_renewal_that_waits_comes_before_what_is_due_by_then",
    ),
    Mutant(
        "each renewal is an entry",
        "WaitingRenewals.may_propose",
        "self.under_way is None and bool(self.waiting)",
        "bool(self.waiting)",
        test=f"{_TENDED}"
        "test_renewals_that_come_together_are_one_entry_and_each_gets_its_own_answer",
    ),
    Mutant(
        "a renewal is answered with those of others",
        "WaitingRenewals._end",
        "                    own = api.KeptResult(result.ttls_ms[at : at + leases])\n",
        "                    own = api.KeptResult(result.ttls_ms[:leases])\n",
        test=f"{_TENDED}"
        "test_renewals_that_come_together_are_one_entry_and_each_gets_its_own_answer",
    ),
    Mutant(
        "nobody tells the log the time while leases are far from their ends",
        "Tending._wait_ms",
        "min(self._until_end_ms(), self._rules.beat_ms - since_ms)",
        "self._until_end_ms()",
        test=f"{_TENDED}"
        "test_while_there_are_leases_the_log_is_told_the_time_and_else_it_falls_silent",
    ),
    Mutant(
        "a node sleeps while something is due",
        "Node.due_ms",
        "self._tending.due_ms, ",
        "",
        test=f"{_TENDED}test_a_node_wakes_by_itself_when_something_is_due",
    ),
)
