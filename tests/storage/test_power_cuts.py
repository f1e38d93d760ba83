"""Power fails at any moment of a start, and what was promised by then is there afterwards.

Every call to the file system is recorded by strace, those of LMDB too; after each of them all
that the disk may hold is built (`power_cut.py`) and opened. It is owed what was promised, or,
if nothing was, a start like any other; and a second start is owed the same.
"""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process.trace import why_strace_cannot_run

from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.storage.directory import STATE
from kvstore.storage.lmdb_successor import DIFFERING
from storage import power_child
from storage.filesystem_calls import Call, Said, Synced, record
from storage.power_child import digest_of, kept, promise
from storage.power_cut import Disk, Tree, make
from storage.samples import open_node

PROGRAM = Path(power_child.__file__)
DATA = Path("deep") / "n1"

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(why_strace_cannot_run() is not None, reason=str(why_strace_cannot_run())),
]

Promise = dict[str, Any]


@pytest.mark.parametrize("story", power_child.STORIES, ids=lambda story: story.__name__)
def test_what_was_promised_outlasts_every_power_cut(story, tmp_path):
    recorded = record_story(story, tmp_path)
    seen: set[int] = set()
    for disk, promised in moments(recorded, Disk(tmp_path / "disk")):
        for tree in disk.after_a_cut():
            check_once(tree, promised, seen, tmp_path, joins=joins(story))
    assert len(seen) > 50


@pytest.mark.parametrize("story", power_child.STORIES, ids=lambda story: story.__name__)
def test_what_a_start_relies_on_outlasts_a_power_cut_whoever_was_killed_before(story, tmp_path):
    """A process is killed at any moment; the next one finds names that nobody has synced."""
    recorded = record_story(story, tmp_path)
    disks: dict[Tree, Disk] = {}
    for disk, _ in moments(recorded, Disk(tmp_path / "disk")):
        if not disk.is_settled:
            disks.setdefault(disk.now(), copy.deepcopy(disk))
    again = tmp_path / "again"
    again.mkdir()
    for number, tree in enumerate(disks):
        make(tree, again / str(number))
    program = "one_more_start_by_joining" if joins(story) else "one_more_start"
    calls = record(PROGRAM, program, str(again), trace=tmp_path / "trace")
    seen: set[int] = set()
    for (number, part), disk in zip(starts(calls), disks.values(), strict=True):
        disk.moved_to(again / number)
        for call in part:
            disk.apply(call)
            if isinstance(call, Said):
                for tree in disk.after_a_cut():
                    promised = json.loads(call.line)
                    check_once(tree, promised, seen, tmp_path, joins=joins(story))
    assert len(seen) > 10


def test_the_names_above_what_a_link_leads_to_are_synced_too(tmp_path):
    """Whoever made the link, and what it leads to, need not have."""
    near, far = tmp_path / "near", tmp_path / "far"
    for directory in (near, far / "disk"):
        directory.mkdir(parents=True)
    (near / "n1").symlink_to(far / "disk")
    calls = record(PROGRAM, "first_start", str(near / "n1"), trace=tmp_path / "trace")
    first = next(
        at for at, call in enumerate(calls) if isinstance(call, Said) and call.line != "[]"
    )
    synced = {call.path for call in calls[:first] if isinstance(call, Synced)}
    assert synced >= {str(one) for one in (near, far, far / "disk")}


def record_story(story: Callable[[Path], None], place: Path) -> list[Call]:
    (place / "disk").mkdir()
    data_dir = str(place / "disk" / DATA)
    return record(PROGRAM, story.__name__, data_dir, trace=place / "trace")


def joins(story: Callable[[Path], None]) -> bool:
    return "joining" in story.__name__


def moments(calls: Iterable[Call], disk: Disk) -> Iterator[tuple[Disk, Promise | None]]:
    """The disk after each call from the mark on, and what is promised by then."""
    promised: Promise | None = None
    is_marked = False
    for call in calls:
        disk.apply(call)
        if isinstance(call, Said):
            words = json.loads(call.line)
            is_marked = is_marked or words == []
            promised = words or promised
        if is_marked:
            yield disk, promised


def starts(calls: Iterable[Call]) -> Iterator[tuple[str, list[Call]]]:
    """The calls of each start, by the number of its directory."""
    number, part = "", []
    for call in calls:
        if isinstance(call, Said) and isinstance(words := json.loads(call.line), str):
            if number:
                yield number, part
            number, part = words, []
        else:
            part.append(call)
    yield number, part


def check_once(
    tree: Tree, promised: Promise | None, seen: set[int], place: Path, *, joins: bool
) -> None:
    name = hash((tree, json.dumps(promised)))
    if name in seen:
        return
    seen.add(name)
    with tempfile.TemporaryDirectory(dir=place) as directory:
        make(tree, Path(directory) / "after")
        for _ in range(2):
            check(Path(directory) / "after" / DATA, promised, joins=joins)
            promised = promised and {**promised, "kept": {}}


def check(data_dir: Path, promised: Promise | None, *, joins: bool) -> None:
    """Start, and hold what is there against what was promised."""
    if promised is not None:
        found_kept = kept(data_dir)
        for name, content in promised.get("kept", {}).items():
            assert found_kept.get(name) == content, f"{name} is not what it was said to be"
        if "differs" in promised:
            there = (
                found_kept.get(f"{DIFFERING}/data.mdb"),
                digest_of(data_dir / STATE / "data.mdb"),
            )
            assert promised["differs"] in there, "what differs is neither in its place nor aside"
    node = open_node(data_dir, incarnation="f" * 32, start=b"the last", joins=joins)
    found = promise(node)
    last_applied, start = node.state.applied().last_applied, node.log.start
    divergence = node.state.divergence
    node.close()
    assert last_applied >= start.index, "the log begins behind what the data tells"
    if joins:
        assert found["hard_state"][2] == NOT_ADMITTED
    if promised is None:
        return
    assert found["incarnation"] == promised["incarnation"], "it began as another directory"
    assert found["starts"].startswith(promised["starts"])
    for peer, known in promised["known"].items():
        # Each later start that was seen of it has a greater name.
        assert found["known"][peer] >= known, f"what was seen of node {peer} is forgotten"
    (term, vote, admitted_at), (found_term, found_vote, found_admitted_at) = (
        promised["hard_state"],
        found["hard_state"],
    )
    assert found_admitted_at == admitted_at
    assert found_term > term or (found_term == term and found_vote == vote)
    assert found["last_index"] >= promised["last_index"]
    assert last_applied >= promised.get("last_applied", 0), "data is gone that no log tells again"
    if "damaged" in promised:
        assert found["damaged"] == promised["damaged"]
    if "divergence" in promised:
        told, began = promised["divergence"]
        is_replaced = divergence is None and start.index > began
        assert is_replaced or repr(divergence) == told, "a state is trusted that is not to be"
