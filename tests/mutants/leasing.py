"""Wrong versions of what ends by time: leases, and who tends them."""

from __future__ import annotations

from .mutant import Mutant

_OF_LEASES = "tests/kv/test_leases.py::"

LEASING = (
    Mutant(
        "a renewal counts after the end as well, until somebody has ended the lease",
        "Leases._renew",
        "        if times is None or times[1] <= self._clock.time_ms:",
        "        if times is None:",
        test=f"{_OF_LEASES}test_a_renewal_at_the_end_is_too_late_though_nobody_has_ended_the_lease",
    ),
    Mutant(
        "a lease is alive at its end",
        "Leases.is_alive",
        "times[1] > self._clock.time_ms",
        "times[1] >= self._clock.time_ms",
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
        "            self._ends.delete(_END.pack(times[1], _OF_LEASE, lease))\n",
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
        "                return Due((), of_it[: api.KEYS_MAX], has_more=True)\n",
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
)
