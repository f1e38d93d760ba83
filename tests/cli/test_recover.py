"""`kvstore recover`: it tells first what may be lost, and does nothing before somebody agreed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from founding import founders
from raft.disk import configured
from recovery.recovering_child import APPLIED, TERM, entries, made
from storage.samples import content, flip_text, open_node

from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.types import DurableUpdate, HardState
from kvstore.storage.base import Divergence
from kvstore.storage.lmdb_successor import DIFFERING

from .shell import Run

LAST = len(entries())


def test_what_is_held_and_what_may_be_lost_is_told_before_it_is_asked(
    run: Run, tmp_path: Path
) -> None:
    data_dir = made(tmp_path / "n3")
    before = content(data_dir)
    ran = run("recover", "--data", str(data_dir))
    assert ran.code == 2
    assert "nobody can be asked here: say --yes" in ran.err
    lines = ran.out.decode().splitlines()
    assert lines[0] == (f"{data_dir}: node 3 of cluster local, term 7; the other members were 1,2")
    assert lines[1] == f"known to be committed: all up to entry {APPLIED}"
    assert lines[2].startswith(
        f"held, and not known to be committed: {LAST - APPLIED} more, up to entry {LAST} of term 6."
    )
    assert "nobody can tell from here" in lines[3]
    assert content(data_dir) == before


def test_with_yes_it_is_done_and_said_how_to_go_on(run: Run, tmp_path: Path) -> None:
    data_dir = made(tmp_path / "n3")
    ran = run("recover", "--data", str(data_dir), "--yes")
    assert (ran.code, ran.err) == (0, "")
    last = ran.out.decode().splitlines()[-1]
    assert last.startswith(f"recovered: {data_dir} is node 3, the only one of cluster local-")
    assert last.endswith("add nodes with `kvstore member add`")


def test_its_outcome_is_one_object_with_json(run: Run, tmp_path: Path) -> None:
    data_dir = made(tmp_path / "n3")
    refused = json.loads(run("recover", "--data", str(data_dir), "--json").out)
    assert refused["error"]["code"] == "USAGE"
    done = json.loads(run("recover", "--data", str(data_dir), "--yes", "--json").out)
    assert done.pop("cluster").startswith("local-")
    assert done.pop("term") > 7
    assert done.pop("revision") > 1 << 40
    assert done == {
        "data": str(data_dir),
        "node": 3,
        "keys": 2,
        "old_cluster": "local",
        "applied_index": APPLIED,
        "last_index": LAST,
        "last_term": 6,
        "unreadable": 0,
        "is_member": True,
        "is_voter": True,
        "differs_at": 0,
        "mended": [],
    }


def test_entries_that_cannot_be_read_are_counted(run: Run, tmp_path: Path) -> None:
    data_dir = made(tmp_path / "n3")
    flip_text(data_dir / "raft" / "data.mdb", entries()[7].data)
    ran = run("recover", "--data", str(data_dir))
    assert "lost: 3 entries that are damaged, or behind a damaged one" in ran.out.decode()


def test_of_a_directory_that_was_never_admitted_it_is_said_that_it_may_lack_much(
    run: Run, tmp_path: Path
) -> None:
    data_dir = made(tmp_path / "n3")
    never = "this directory was never admitted, and may lack much: is there no better one?"
    assert never not in run("recover", "--data", str(data_dir)).out.decode()
    node = open_node(data_dir, 3)
    node.log.write(DurableUpdate(HardState(TERM, None, NOT_ADMITTED)))
    node.close()
    assert never in run("recover", "--data", str(data_dir)).out.decode().splitlines()


def test_data_that_differ_from_those_of_the_others_are_told_of_and_kept_aside(
    run: Run, tmp_path: Path
) -> None:
    data_dir = made(tmp_path / "n3")
    node = open_node(data_dir, 3)
    node.state.record_divergence(Divergence(APPLIED, bytes(32)))
    node.close()
    ran = run("recover", "--data", str(data_dir))
    assert f"wrong: as of entry {APPLIED} these data differ" in ran.out.decode()
    done = json.loads(run("recover", "--data", str(data_dir), "--yes", "--json").out)
    assert done["differs_at"] == APPLIED
    node = open_node(data_dir, 3, cluster_id=done["cluster"])
    assert node.state.divergence is None
    node.close()
    assert (data_dir / DIFFERING / "data.mdb").exists()


def test_of_a_node_that_was_removed_it_is_said_that_the_others_went_on(
    run: Run, tmp_path: Path
) -> None:
    data_dir = made(tmp_path / "n3")
    node = open_node(data_dir, 3)
    removal = configured(len(entries()) + 1, TERM, founders((1, 2)))
    node.log.write(DurableUpdate(HardState(TERM), None, [removal]))
    node.close()
    told = run("recover", "--data", str(data_dir)).out.decode()
    assert "by its own log node 3 was removed, and the others went on without it" in told
    done = json.loads(run("recover", "--data", str(data_dir), "--yes", "--json").out)
    assert done["is_member"] is False


@pytest.mark.parametrize("words", [(), ("--yes",)])
def test_where_no_directory_is_there_is_nothing_to_recover(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    ran = run("recover", "--data", str(tmp_path / "n3"), *words)
    assert (ran.code, ran.out) == (3, b"")
    assert "no node has this directory" in ran.err
