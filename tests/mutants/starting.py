"""Wrong versions of a start: what it syncs, whom it lets in, what it calls damage.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

_FAILURES = "tests/storage/test_failures.py"
_FILE = "tests/storage/test_power_cuts.py"
POWER_CUT = f"{_FILE}::test_what_was_promised_outlasts_every_power_cut"
KILLED_BEFORE = (
    f"{_FILE}::test_what_a_start_relies_on_outlasts_a_power_cut_whoever_was_killed_before"
)

STARTING = (
    Mutant(
        "the directory of a new log is renamed and not synced",
        "directory.create",
        "    filesystem.sync_directory(data_dir)\n",
        "",
        test=f"{POWER_CUT}[first_start]",
    ),
    Mutant(
        "an unfinished log may be gone while the state that follows it is there",
        "new_environment",
        "    sync_directory(environment)\n    sync_directory(environment.parent)\n",
        "    sync_directory(environment)\n",
        test=f"{POWER_CUT}[first_start]",
    ),
    Mutant(
        "the state of an unfinished creation comes back when the log of it is gone",
        "_remove_unfinished",
        "                shutil.rmtree(state)\n"
        "                filesystem.sync_directory(data_dir)\n",
        "                shutil.rmtree(state)\n",
        test=f"{POWER_CUT}[creation_that_was_interrupted_twice]",
    ),
    Mutant(
        "a damaged state that was set aside comes back",
        "set_state_aside",
        "    filesystem.sync_directory(data_dir)\n",
        "",
        test=f"{POWER_CUT}[state_that_is_set_aside_while_it_runs_twice]",
    ),
    Mutant(
        "a salvaged log is put in place and not synced",
        "_put_in_place",
        "    sync_directory(environment)\n    _remove(target)\n",
        "    _remove(target)\n",
        test=f"{POWER_CUT}[log_that_is_damaged_twice]",
    ),
    Mutant(
        "a start relies on a rename that a killed one had not synced",
        "_settle_names",
        "    filesystem.sync_directory(data_dir)\n    recovered_log",
        "    recovered_log",
        test=f"{KILLED_BEFORE}[first_start]",
    ),
    Mutant(
        "a start relies on a salvage that a killed one had not synced",
        "_settle_names",
        "        filesystem.sync_directory(data_dir / RAFT)\n",
        "        pass\n",
        test=f"{KILLED_BEFORE}[log_that_is_damaged_twice]",
    ),
    Mutant(
        "the names above what a link leads to are not synced",
        "make_directory",
        "    for named in {path.absolute(), path.resolve()}:\n",
        "    for named in {path.absolute()}:\n",
        test=f"{_FILE}::test_the_names_above_what_a_link_leads_to_are_synced_too",
    ),
    Mutant(
        "the name of the data directory itself is not synced",
        "make_directory",
        "            sync_directory(directory.parent)\n",
        "            pass\n",
        test=f"{POWER_CUT}[first_start]",
    ),
    Mutant(
        "two signals at once are taken for two requests",
        "Signals._on_stop",
        "        elif now_ms - self._asked_ms > _SAME_REQUEST_MS:\n",
        "        else:\n",
        test="tests/server/test_signals.py"
        "::test_two_at_once_are_one_request_and_a_later_one_is_another",
    ),
    Mutant(
        "a node that is told again to stop makes its checkpoint all the same",
        "loop._run",
        "        if not signals.is_pressed:\n",
        "        if True:\n",
        test="tests/server/test_loop.py::test_who_is_told_again_to_stop_makes_no_checkpoint",
    ),
    Mutant(
        "a signal in the midst of the end makes a good end of a failed start",
        "Signals.__exit__",
        "        self.may_interrupt = False\n        for",
        "        for",
        test="tests/server/test_signals.py"
        "::test_a_signal_in_the_midst_of_the_end_takes_no_exit_code_from_a_start_that_failed",
    ),
    Mutant(
        "signals are not held back while modules load",
        "main.before",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
        "signal.pthread_sigmask(signal.SIG_BLOCK, ())",
        test="tests/process/test_first_moments.py"
        "::test_a_node_that_is_told_to_stop_while_it_loads_ends_as_in_any_start",
    ),
    Mutant(
        "a node never hears what was held back while it loaded",
        "Signals.hear_what_was_held",
        "        signal.pthread_sigmask(signal.SIG_SETMASK, ())\n",
        "        pass\n",
        test="tests/server/test_signals.py"
        "::test_what_was_held_back_is_heard_when_there_is_somebody_to_hear_it",
    ),
    Mutant(
        "what was started with nohup ends with its terminal",
        "Signals.__enter__",
        "            if not _is_nohup(number):\n",
        "            if True:\n",
        test="tests/server/test_signals.py"
        "::test_a_terminal_that_is_closed_does_not_end_what_was_started_with_nohup",
    ),
    Mutant(
        "callers are let in before they can be answered",
        "bind",
        "        sock.bind((address.host, address.port))\n",
        "        sock.bind((address.host, address.port))\n        sock.listen(_BACKLOG)\n",
        test="tests/process/test_starts.py"
        "::test_a_start_tells_how_far_it_is_and_lets_nobody_in_before_it_can_answer",
    ),
    Mutant(
        "a map that does not fit is taken for damage",
        "_open",
        "        raise _no_address_space(environment, map_bytes) from None\n",
        '        raise DamagedError(f"{environment}: cannot be opened") from None\n',
        test=f"{_FAILURES}::test_a_map_that_does_not_fit_says_so_and_what_to_do",
    ),
    Mutant(
        "a file that cannot be read for any reason is taken for damaged",
        "read_failed",
        "    if error.errno in UNREADABLE:\n        return DamagedError",
        "    if error.errno:\n        return DamagedError",
        test=f"{_FAILURES}"
        "::test_whatever_has_no_descriptor_is_not_damaged_and_nothing_is_set_aside",
    ),
    Mutant(
        "whatever the engine refuses is taken for damage",
        "read_error",
        "    if isinstance(error, (DamagedError, *_SAYS_DAMAGE)):\n",
        "    if isinstance(error, (DamagedError, lmdb.Error)):\n",
        test=f"{_FAILURES}"
        "::test_whatever_has_no_descriptor_is_not_damaged_and_nothing_is_set_aside",
    ),
    Mutant(
        "a page that the disk does not give back ends the salvage of all others",
        "PageReader._read",
        "            if error.errno in UNREADABLE:\n",
        "            if not error.errno:\n",
        test=f"{_FAILURES}::test_a_disk_that_does_not_give_a_page_back_is_damage_of_that_page",
    ),
    Mutant(
        "everybody may read what is above a data directory that was made",
        "make_directory",
        "            missing.mkdir(PRIVATE, exist_ok=True)\n",
        "            missing.mkdir(exist_ok=True)\n",
        test=f"{_FAILURES}::test_what_is_made_is_for_its_user_alone",
    ),
    Mutant(
        "everybody may read the data files",
        "_open.env",
        "            mode=FILE_MODE,\n",
        "",
        test=f"{_FAILURES}::test_what_is_made_is_for_its_user_alone",
    ),
    Mutant(
        "a directory that others may list, and not enter, is all that is told",
        "_OF_OTHERS",
        "_OF_OTHERS: Final = 0o077\n",
        "_OF_OTHERS: Final = 0o066\n",
        test=f"{_FAILURES}::test_a_directory_that_others_may_enter_is_told_with_what_to_do",
    ),
    Mutant(
        "whoever runs a node is told of what only another user could change",
        "exposure_of",
        " or os.geteuid() not in (found.st_uid, 0):\n",
        ":\n",
        test=f"{_FAILURES}::test_what_whoever_runs_the_node_cannot_change_is_not_told",
    ),
    Mutant(
        "the engine's lock file may have holes on a full disk",
        "_open",
        "        _allocate_lock(environment)\n",
        "",
        test=f"{_FAILURES}"
        "::test_the_engine_s_lock_file_has_no_hole_that_a_full_disk_could_not_fill",
    ),
    Mutant(
        "a cluster of nobody is made of a backup",
        "restore.restore",
        "    if not node.members:\n",
        "    if False:\n",
        test="tests/cli/test_restore.py::test_settings_of_a_node_that_joins_are_not_restored_with",
    ),
)
