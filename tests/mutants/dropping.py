"""Wrong versions of compaction: too much goes from the front of a log, or too little, or too soon.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

_STORES = "tests/storage/test_compaction.py"

DROPPING = (
    Mutant(
        "what is dropped from a log stays in its file",
        "LmdbLog._remove",
        "            _drop(txn.cursor(self._log), update.start.index)\n",
        "",
        test=f"{_STORES}::test_what_is_at_and_before_the_start_is_dropped_and_nothing_else",
    ),
    Mutant(
        "the entry after which a log begins stays in its file",
        "_drop",
        "key <= last",
        "key < last",
        test=f"{_STORES}::test_what_is_at_and_before_the_start_is_dropped_and_nothing_else",
    ),
    Mutant(
        "the term of what is left begins where it began before",
        "Outline._begun_after",
        "        behind = self.ranges[self.ranges_before(first + 1) :]\n",
        "        behind = self.ranges[self.ranges_before(first) :]\n",
        test=f"{_STORES}::test_what_is_at_and_before_the_start_is_dropped_and_nothing_else",
    ),
    Mutant(
        "a log may begin after an entry of another term than it holds",
        "Outline._begun_after",
        " or self.term(start.index) != start.term:",
        ":",
        test=f"{_STORES}::test_a_start_that_the_log_does_not_hold_is_a_mistake_of_the_caller",
    ),
    Mutant(
        "a log that was emptied may begin before what it began after",
        "Outline._begun_after",
        "not self.count and start.index >= self.start.index",
        "not self.count",
        test=f"{_STORES}::test_the_start_never_goes_back",
    ),
    Mutant(
        "a log is dropped before its tail is truncated",
        "Outline.after",
        """        if update.truncate_from is not None:
            left = left._truncated(update.truncate_from)
        if update.start is not None:
            left = left._begun_after(update.start)
""",
        """        if update.start is not None:
            left = left._begun_after(update.start)
        if update.truncate_from is not None:
            left = left._truncated(update.truncate_from)
""",
        test=f"{_STORES}::test_a_log_that_is_emptied_may_begin_anywhere_behind",
    ),
    Mutant(
        "what is dropped counts as if it were there",
        "Sizes._forget",
        "        self.total_bytes -= sum(self._bytes[runs])\n",
        "",
        test=f"{_STORES}::test_what_records_take_is_known_by_runs_whatever_happens",
    ),
    Mutant(
        "of a run that is cut, all counts",
        "Sizes.truncate",
        "        if is_cut:\n",
        "        if is_cut and not self._firsts:\n",
        test=f"{_STORES}::test_what_records_take_is_known_by_runs_whatever_happens",
    ),
    Mutant(
        "each entry is a run of its own",
        "Sizes.append",
        "runs[-1] < self._run_bytes and",
        "not runs[-1] and",
        test=f"{_STORES}"
        "::test_what_is_kept_in_memory_of_a_log_follows_its_runs_and_not_what_was_dropped",
    ),
    Mutant(
        "a run more is dropped than leaves what is to be kept",
        "Sizes.droppable",
        "left < kept_bytes",
        "left + size < kept_bytes",
        test=f"{_STORES}::test_the_front_may_go_by_whole_runs_and_what_is_kept_stays",
    ),
    Mutant(
        "all that may be dropped goes at once",
        "Sizes.droppable",
        "self._bytes[:runs_max]",
        "self._bytes",
        test=f"{_STORES}::test_the_front_may_go_by_whole_runs_and_what_is_kept_stays",
    ),
)
