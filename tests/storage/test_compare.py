"""Directories held against each other: what Raft rules out, and what it does not."""

from __future__ import annotations

import shutil

import pytest

from kvstore.raft.types import Entry
from kvstore.storage.compare import Comparison, compare
from kvstore.storage.inspect import inspect_directories
from storage.samples import command, commands, flip_text, led, make_node


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Makes one directory for each (entries, applied), named n1, n2, ..."""
    monkeypatch.chdir(tmp_path)

    def make(*nodes: tuple[list[Entry], int], **settings) -> Comparison:
        for node_id, (entries, applied) in enumerate(nodes, 1):
            make_node(
                tmp_path / f"n{node_id}", entries, applied=applied, node_id=node_id, **settings
            )
        return compared(len(nodes))

    def compared(count: int) -> Comparison:
        paths = [(tmp_path / f"n{number}").relative_to(tmp_path) for number in range(1, count + 1)]
        return compare(inspect_directories(paths))

    make.again = compared
    return make


COMMON = led(1, 6, 1, 1)


def test_equal_directories_have_neither_findings_nor_notes(cluster):
    assert cluster((COMMON, 5), (COMMON, 5), (COMMON, 3)) == Comparison(5, 3, (), ())


def test_directories_that_applied_nothing_yet_are_no_finding(cluster):
    assert cluster((COMMON, 0), ([], 0)) == Comparison(0, 0, (), ())


def test_a_log_that_is_behind_is_a_note(cluster):
    result = cluster((COMMON, 5), (COMMON, 5), (COMMON[:2], 2))
    assert result.findings == ()
    assert (result.committed_index, result.holders) == (5, 2)
    assert result.notes == ("n3: behind; its log ends at 2, 5 is committed",)


def test_a_tail_that_was_never_committed_is_a_note(cluster):
    """Node 1 led term 1, was cut off and took entries alone; term 2 went on without it."""
    went_on = [*COMMON, *led(6, 9, 2, 2)]
    took_alone = [*COMMON, *commands(6, 12, 1)]
    result = cluster((took_alone, 5), (went_on, 8), (went_on, 5))
    assert result.findings == ()
    assert (result.committed_index, result.holders) == (8, 2)
    assert result.notes == (
        "n1: its log parts from n2 at entry 6;"
        " n2 has applied its own, so this tail will be rolled back",
    )


def test_two_tails_of_which_none_is_committed_are_a_note(cluster):
    result = cluster(([*COMMON, *commands(6, 8, 1)], 5), ([*COMMON, *led(6, 7, 2, 2)], 5))
    assert result.findings == ()
    assert result.notes == (
        "n2: its log parts from n1 at entry 6;"
        " neither is known to be committed, and one will be rolled back",
    )


def test_two_leaders_in_one_term_are_a_finding(cluster):
    result = cluster(
        ([*COMMON, *led(6, 8, 2, 1)], 5), ([*COMMON, *led(6, 8, 2, 3)], 5), (COMMON, 5)
    )
    assert result.findings == ("two leaders in term 2: node 1 (in n1), node 3 (in n2)",)


def test_different_entries_applied_at_one_index_are_a_finding(cluster):
    other = [*COMMON[:3], command(4, 1, b"other"), *COMMON[4:]]
    one, two = cluster((COMMON, 5), (COMMON, 5), (other, 4)).findings
    assert one.startswith("n1 and n3 both applied entry 4, but hold different ones: term 1, crc32c")
    assert two.startswith("n2 and n3 both applied entry 4, but hold different ones: term 1, crc32c")


def test_every_pair_that_applied_different_entries_is_named(cluster):
    other = [*COMMON[:3], command(4, 1, b"other"), *COMMON[4:]]
    findings = cluster((COMMON, 5), (other, 4), (COMMON, 3)).findings
    assert [finding.partition(" both applied")[0] for finding in findings] == ["n1 and n2"]


def test_different_terms_applied_at_one_index_are_a_finding(cluster):
    one, two = [*COMMON, *led(6, 8, 2, 1)], [*COMMON, *led(6, 8, 3, 1)]
    (finding,) = cluster((one, 6), (two, 6)).findings
    assert "both applied entry 6, but hold different ones: term 2, crc32c" in finding
    assert "term 3, crc32c" in finding


def test_an_applied_entry_that_no_majority_holds_is_a_finding(cluster):
    result = cluster((COMMON, 5), (COMMON[:3], 3), (COMMON[:4], 3))
    assert result.findings == ("entry 5 was applied by n1, but only 1 of 3 nodes hold it",)


def test_an_applied_entry_may_be_held_by_nodes_that_were_not_given(cluster):
    assert cluster((COMMON, 5), (COMMON[:3], 3)).findings == ()


def test_five_nodes_need_three_holders(cluster):
    members = [1, 2, 3, 4, 5]
    short = (COMMON[:3], 3)
    result = cluster((COMMON, 5), (COMMON, 3), short, short, short, members=members)
    assert result.findings == ("entry 5 was applied by n1, but only 2 of 5 nodes hold it",)


def test_an_unread_record_is_no_disagreement(cluster, tmp_path):
    entries = [*COMMON[:3], command(4, 1, b"precious"), *COMMON[4:]]
    cluster((entries, 5), (entries, 5), (entries, 5))
    flip_text(tmp_path / "n2" / "raft" / "data.mdb", b"precious")
    assert cluster.again(3) == Comparison(5, 3, (), ())


def test_a_log_that_cannot_be_read_may_hold_anything(cluster, tmp_path):
    cluster((COMMON, 5), (COMMON, 5), (COMMON[:3], 3))
    (tmp_path / "n2" / "raft" / "data.mdb").write_bytes(b"")
    assert cluster.again(3).findings == ()


def test_directories_of_two_clusters_are_a_finding_and_not_compared_further(tmp_path):
    one = make_node(tmp_path / "n1", COMMON, applied=5, node_id=1)
    two = make_node(tmp_path / "n2", led(1, 9, 1, 2), applied=5, node_id=2, cluster_id="other")
    result = compare(inspect_directories([one, two]))
    assert result.findings == (
        f"{one} and {two} belong to different clusters: 'local' and 'other'",
    )


def test_two_directories_of_one_node_are_a_finding(tmp_path):
    one = make_node(tmp_path / "n1", COMMON, node_id=1, incarnation="a" * 32)
    two = make_node(tmp_path / "n2", COMMON, node_id=1, incarnation="b" * 32)
    assert compare(inspect_directories([one, two])).findings == (
        f"{one} and {two} both belong to node 1",
    )


def test_copies_of_a_directory_are_a_finding(tmp_path):
    one = make_node(tmp_path / "n1", COMMON)
    two = shutil.copytree(one, tmp_path / "n2")
    assert compare(inspect_directories([one, two])).findings == (
        f"{one} and {two} are copies of one directory",
    )
