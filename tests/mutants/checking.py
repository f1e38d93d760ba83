"""Wrong versions of the digests by which replicas are compared.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

DIGESTS = "tests/storage/test_state_digest.py"

CHECKING = (
    Mutant(
        "a digest does not tell where a key ends",
        "Digesting.go_on",
        "(_LENGTHS.pack(len(stored), len(value)), stored, value)",
        "(stored, value)",
        test=f"{DIGESTS}::test_where_a_key_ends_is_a_part_of_it",
    ),
    Mutant(
        "a digest tells only what the last slice held",
        "Digesting.go_on",
        "self._hash.update(b",
        "hashlib.blake2b(b",
        test=f"{DIGESTS}::test_whatever_differs_makes_another_digest",
    ),
    Mutant(
        "a digest that is done goes on to pin its commit",
        "Digesting.go_on",
        "            reading.close()\n",
        "",
        test=f"{DIGESTS}::test_a_slice_takes_no_more_than_it_may_and_the_last_one_closes_the_reading",
    ),
    Mutant(
        "most of those who answered are taken for most",
        "comparison_of",
        "2 * count > voters",
        "2 * count > len(digests)",
        test=f"{DIGESTS}::test_a_node_is_named_only_if_most_voters_agree_against_it",
    ),
    Mutant(
        "half of the voters are taken for most",
        "comparison_of",
        "2 * count > voters",
        "2 * count >= voters",
        test=f"{DIGESTS}::test_a_node_is_named_only_if_most_voters_agree_against_it",
    ),
    Mutant(
        "a revision that differs is no difference",
        "comparison_of",
        "if other != digest)",
        "if other.digest != digest.digest)",
        test=f"{DIGESTS}::test_who_has_the_same_records_and_another_revision_differs",
    ),
)
