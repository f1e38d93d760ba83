"""Wrong versions of where a log begins: an entry too early or too late, or always with the first.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

_INSPECT = "tests/storage/test_inspect_log_start.py"
_DISK = "tests/sim/test_disk.py"
_LOST = "tests/sim/test_lost_directories.py"
_LOGS = "tests/sim/test_log_checkers.py"

BEGINNING = (
    Mutant(
        "an inspection counts what a log begins after among its entries",
        "Report.first_index",
        "self.start.index + 1",
        "self.start.index",
        test=f"{_INSPECT}::test_a_sound_directory_is_reported_from_its_first_entry_on",
    ),
    Mutant(
        "an inspection takes what a log never had for damage",
        "_start_of_log",
        "        return extent.start\n",
        "        return LogStart()\n",
        test=f"{_INSPECT}::test_what_is_missing_is_named_wherever_the_log_begins",
    ),
    Mutant(
        "an inspection that cannot read where a log begins misses its first entry",
        "_start_of_log",
        "min(firsts, default=1) - 1",
        "min(firsts, default=1)",
        test=f"{_INSPECT}::test_where_the_start_cannot_be_read_the_log_begins_with_its_first_term",
    ),
    Mutant(
        "an inspection that cannot read where a log begins believes its first record alone",
        "_start_of_log",
        "    firsts = [one.first_index for one in ranges]\n",
        "    firsts: list[int] = []\n",
        test=f"{_INSPECT}::test_where_the_start_cannot_be_read_the_log_begins_with_its_first_term",
    ),
    Mutant(
        "an inspection that can read neither start nor terms calls all missing before a log",
        "_start_of_log",
        "        firsts += map(records.log_index, first_key)\n",
        "        firsts += [1]\n",
        test=f"{_INSPECT}"
        "::test_where_no_term_can_be_read_either_it_begins_with_its_first_record[begins at 2]",
    ),
    Mutant(
        "the first entry of a log need not name the leader whose term it opens",
        "_Reading._may_open_before",
        "            return entry.term == self._start.term\n",
        "            return self._start.index > 0\n",
        test=f"{_INSPECT}::test_the_term_of_the_start_was_opened_before_the_log",
    ),
    Mutant(
        "an inspection passes a state that ends before its log begins",
        "_Reading._check_applied",
        "last_applied < self._start.index and",
        "last_applied < 0 and",
        test=f"{_INSPECT}::test_a_state_that_ends_before_the_log_begins_is_a_finding",
    ),
    Mutant(
        "a node without peers starts on a state that ends before its log begins",
        "_check_pair",
        "    if last_applied < log.start.index and",
        "    if last_applied < 0 and",
        test="tests/storage/test_successor.py"
        "::test_a_node_without_peers_does_not_start_where_nobody_can_tell_what_is_missing",
    ),
    Mutant(
        "logs are compared by the places of their entries",
        "Report.checksums_of",
        "        return self.checksums[first - self.first_index : last - self.start.index]\n",
        "        return self.checksums[first - 1 : last]\n",
        test=f"{_INSPECT}::test_logs_that_begin_at_different_entries_are_compared_where_both_are",
    ),
    Mutant(
        "a log is not held against what another one begins after",
        "_agree_up_to",
        "    if len(terms - {None}) > 1:\n",
        "    if len(terms - {None}) > 2:\n",
        test=f"{_INSPECT}::test_an_entry_of_another_term_than_the_start_is_a_finding",
    ),
    Mutant(
        "logs part one entry later than they do",
        "_agree_up_to",
        "zip(ones, twos, strict=True), before + 1)",
        "zip(ones, twos, strict=True), before + 2)",
        test=f"{_INSPECT}::test_different_entries_are_found_behind_both_starts",
    ),
    Mutant(
        "what is before a log counts as committed only where the state says so",
        "compare._applied",
        ", report.start.index)",
        ", 0)",
        test=f"{_INSPECT}::test_what_is_before_a_log_is_committed_whatever_became_of_the_state",
    ),
    Mutant(
        "a simulated write that is lost leaves its first entry behind",
        "SimulatedLog.lose_unsynced",
        "self.before(before.kept + 1)",
        "before.kept + 1",
        test=f"{_DISK}::test_a_lost_write_takes_its_truncation_with_it",
    ),
    Mutant(
        "simulated damage spares the first entry of a log",
        "SimulatedLog.damage",
        "self.outline.start.index + 1,",
        "self.outline.start.index + 2,",
        test=f"{_DISK}::test_damage_strikes_each_entry_and_nothing_else",
    ),
    Mutant(
        "who judges what disks keep takes it that the first entry of a log is on all of them",
        "Retention._look_at",
        "index > terms.start and",
        "index > terms.start + 1 and",
        test=f"{_LOST}::test_another_entry_at_the_first_index_is_not_the_one_that_is_committed",
    ),
    Mutant(
        "who judges logs takes it that only entry 1 is the first of one",
        "LogMatching.synced",
        "entry.index == terms.start + 1",
        "entry.index == 1",
        test=f"{_LOGS}::test_one_name_is_one_entry_after_one_entry",
    ),
    Mutant(
        "who replays a log begins with revision 0",
        "Replay.__init__",
        "Indexed(self.start.index - 1, [revision])",
        "Indexed(self.start.index - 1, [0])",
        test=f"{_LOGS}::test_revisions_go_on_from_the_start_s",
    ),
    Mutant(
        "who replays a log applies what comes before it",
        "Replay.__init__",
        "Indexed(self.start.index - 1, [revision])",
        "Indexed(self.start.index - 2, [revision])",
        test=f"{_LOGS}::test_revisions_go_on_from_the_start_s",
    ),
    Mutant(
        "what was committed counts as lacking only behind the first entry of the log",
        "LeaderCompleteness.__init__",
        "Indexed[tuple[int, int]](start.index)",
        "Indexed[tuple[int, int]](start.index + 1)",
        test=f"{_LOGS}::test_a_leader_without_what_was_committed_is_found",
    ),
)
