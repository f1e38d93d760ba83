"""Data that nothing tells anew are left where they are, and the node says what can be done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kvstore.errors import DamagedError, DamagedStateError
from kvstore.kv.view import Applied
from kvstore.raft.configuration import NOT_ADMITTED, Configuration, Member
from kvstore.raft.types import DurableUpdate, HardState, LogStart
from kvstore.storage.directory import RAFT, STATE, STATE_ASIDE, give_up_state
from storage.samples import begin_after, flip_text, led, make_node, open_node

START = LogStart(8, 1)
WITH_LEARNER = Configuration((Member(1), Member(2, admitted_at=NOT_ADMITTED)))
NOBODY = Configuration()
SEVERAL = Configuration((Member(1), Member(2), Member(3)))
ALONE = Configuration((Member(1),))


def node_of(
    data_dir: Path, configuration: Configuration, *, start: LogStart = START, keys: int = 60
) -> Path:
    """A closed node of these members, whose log begins there, with some keys."""
    begin_after(start, data_dir, configuration=configuration)
    node = open_node(data_dir)
    entries = led(start.index + 1, start.index + 12, 2, 1)
    node.log.write(DurableUpdate(HardState(2, 1), None, entries))
    for number in range(keys):
        node.state.put(b"key %d" % number, b"record %d" % number)
    node.state.commit(Applied(start.index + 4, start.index + 4))
    node.close()
    return data_dir


def contents(data_dir: Path) -> dict[str, bytes]:
    """All files but those of locks."""
    return {
        str(path.relative_to(data_dir)): path.read_bytes()
        for path in sorted(data_dir.rglob("*"))
        if path.is_file() and path.name not in ("lock", "lock.mdb")
    }


def truncated(data_dir: Path) -> None:
    os.truncate(data_dir / STATE / "data.mdb", 5000)


def missing(data_dir: Path) -> None:
    shutil.rmtree(data_dir / STATE)


@pytest.mark.parametrize("damage", [truncated, missing])
@pytest.mark.parametrize("configuration", [ALONE, WITH_LEARNER])
def test_a_lone_node_whose_log_was_shortened_touches_nothing(
    tmp_path: Path, configuration: Configuration, damage: object
) -> None:
    assert callable(damage)
    node_of(tmp_path, configuration)
    damage(tmp_path)
    before = contents(tmp_path)
    for _ in range(2):
        with pytest.raises(DamagedStateError, match=r"begins after entry 8.*kvstore restore"):
            open_node(tmp_path)
        assert contents(tmp_path) == before
        assert (tmp_path / STATE).exists() == (damage is truncated)


def test_a_lone_node_whose_log_lost_entries_touches_nothing(tmp_path: Path) -> None:
    """Though its log begins with the first entry."""
    make_node(tmp_path, led(1, 12, 1, 1), applied=8, members=(1,))
    flip_text(tmp_path / RAFT / "data.mdb", b"command 5 of")
    truncated(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(DamagedStateError, match="the log has lost entries"):
        open_node(tmp_path, members=(1,))
    assert contents(tmp_path) == before


def test_a_lone_node_with_all_of_its_log_builds_its_data_anew(tmp_path: Path) -> None:
    make_node(tmp_path, led(1, 12, 1, 1), applied=8, members=(1,))
    truncated(tmp_path)
    node = open_node(tmp_path, members=(1,))
    assert node.state.applied() == Applied()
    assert "anew from the log" in node.notes[-1]
    node.close()


@pytest.mark.parametrize("damage", [truncated, missing])
@pytest.mark.parametrize("configuration", [SEVERAL, NOBODY])
def test_a_node_of_several_whose_log_was_shortened_waits_for_a_snapshot(
    tmp_path: Path, configuration: Configuration, damage: object
) -> None:
    """Also one that joined, and was not told yet who the members are."""
    assert callable(damage)
    node_of(tmp_path, configuration)
    damage(tmp_path)
    node = open_node(tmp_path)
    assert node.state.applied() == Applied()
    assert "anew from a snapshot of the leader's" in node.notes[-1]
    node.close()
    assert (tmp_path / STATE_ASIDE).exists() == (damage is truncated)


def damage_of_key_33(data_dir: Path) -> str:
    """What a server says that ends because it cannot read this key."""
    flip_text(data_dir / STATE / "data.mdb", b"record 33")
    node = open_node(data_dir)
    with pytest.raises(DamagedStateError, match="key 33") as caught:
        node.state.get(b"key 33")
    said = give_up_state(data_dir, node.log, caught.value)
    node.close()
    return str(said)


@pytest.mark.parametrize("configuration", [ALONE, WITH_LEARNER])
def test_a_damaged_key_of_a_lone_node_leaves_all_others_to_be_read(
    tmp_path: Path, configuration: Configuration
) -> None:
    node_of(tmp_path, configuration)
    said = damage_of_key_33(tmp_path)
    assert "key 33" in said
    assert "anew from" not in said
    assert "Restore a backup" in said
    assert f"kvstore inspect {tmp_path}" in said
    assert not (tmp_path / STATE_ASIDE).exists()
    node = open_node(tmp_path)
    assert node.notes == ()
    found = {number: node.state.get(b"key %d" % number) for number in range(60) if number != 33}
    assert found == {number: b"record %d" % number for number in found}
    node.close()


def test_a_damaged_key_of_a_node_of_several_is_told_by_the_leader(tmp_path: Path) -> None:
    node_of(tmp_path, SEVERAL)
    said = damage_of_key_33(tmp_path)
    assert said.endswith("start again: the data will be built anew from a snapshot of the leader's")
    node = open_node(tmp_path)
    assert node.state.count() == 0
    node.close()
    assert (tmp_path / STATE_ASIDE / "data.mdb").exists()


def test_a_lone_node_with_a_state_of_before_its_log_is_told_to_bring_the_right_one(
    tmp_path: Path,
) -> None:
    begin_after(START, tmp_path, configuration=WITH_LEARNER, applied=5)
    with pytest.raises(
        DamagedError, match=r"only up to 5.*Bring the right state/ back, or restore"
    ):
        open_node(tmp_path)
