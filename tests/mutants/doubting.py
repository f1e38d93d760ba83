"""Wrong versions of what a node does whose data cannot be trusted, or not be read."""

from __future__ import annotations

from .mutant import Mutant

_REBUILDING = "tests/storage/test_rebuilding.py"

DOUBTING = (
    Mutant(
        "a lone node waits for a snapshot that nobody gives",
        "source_of_data",
        '    return None if is_alone else "a snapshot of the leader\'s"\n',
        '    return "a snapshot of the leader\'s"\n',
        test=f"{_REBUILDING}::test_a_lone_node_whose_log_was_shortened_touches_nothing",
    ),
    Mutant(
        "a learner is taken for one that gives snapshots",
        "source_of_data",
        "known.voters_besides(node_id)",
        "known.members_besides(node_id)",
        test=f"{_REBUILDING}::test_a_lone_node_whose_log_was_shortened_touches_nothing",
    ),
    Mutant(
        "a lone node builds its data anew from a log with holes",
        "source_of_data",
        '        return None if is_alone and found.damaged else "the log"\n',
        '        return "the log"\n',
        test=f"{_REBUILDING}::test_a_lone_node_whose_log_lost_entries_touches_nothing",
    ),
    Mutant(
        "an empty state is made though nothing tells the data",
        "_open_state",
        "    elif source is None:\n",
        "    elif False:\n",
        test=f"{_REBUILDING}::test_a_lone_node_whose_log_was_shortened_touches_nothing",
    ),
    Mutant(
        "the only data are set aside for one key of them",
        "give_up_state",
        "    if source is None:\n",
        "    if not source and not found.start.index:\n",
        test=f"{_REBUILDING}::test_a_damaged_key_of_a_lone_node_leaves_all_others_to_be_read",
    ),
)
