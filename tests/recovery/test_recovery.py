"""A directory that survived becomes a cluster of one: with all that it held, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from founding import founders
from process.trace import why_strace_cannot_run
from raft.disk import configured
from storage.filesystem_calls import Said, record
from storage.power_cut import Disk, make
from storage.samples import content, flip_text, noop, open_node

from kvstore.config.limits import RECOVER_BUMP
from kvstore.errors import ConfigError, DamagedError, DirectoryRefusedError
from kvstore.kv.record import HEAD_BYTES, unpack_head
from kvstore.kv.view import Applied, Past
from kvstore.raft.configuration import NOT_ADMITTED, Configuration, Member
from kvstore.raft.types import DurableUpdate, Entry, EntryKind, HardState, LogStart
from kvstore.raft.versions import version_data
from kvstore.recovery import TERM_BUMP, prospect_of, recover
from kvstore.storage import recovered_log
from kvstore.storage.defragmenting import defragment_directory
from kvstore.storage.inspect import inspect_directory
from kvstore.storage.recovering import survivor
from kvstore.storage.whose import whose

from . import recovering_child
from .recovering_child import APPLIED, TERM, entries, made

LAST = len(entries())
PAGE = 4096


def recovered(data_dir: Path):
    with survivor(data_dir) as found:
        return prospect_of(found), recover(found, os.urandom)


def opened(data_dir: Path, cluster_id: str):
    return open_node(data_dir, 3, cluster_id=cluster_id)


def values(node) -> dict[bytes, bytes]:
    return {key: record[HEAD_BYTES:] for key, record in node.state.scan(b"")}


def test_all_entries_that_are_held_are_kept_and_the_log_begins_anew(tmp_path):
    data_dir = made(tmp_path / "n3")
    prospect, done = recovered(data_dir)
    assert (prospect.applied_index, prospect.last_index, prospect.last_term) == (APPLIED, LAST, 6)
    assert (prospect.term, prospect.members, prospect.unreadable) == (TERM, (1, 2, 3), 0)
    node = opened(data_dir, done.cluster_id)
    assert values(node) == {b"b": b"2", b"n": b"7"}
    assert list(node.state.sessions.scan(b"")) == []
    found = node.log.recover()
    assert (found.start, found.last_index) == (LogStart(LAST, 6), LAST)
    assert not found.configurations
    assert found.configuration == Configuration((Member(3, "h:9003"),))
    assert node.lineage.known == {}
    assert node.notes == (), "nothing had to be mended"
    node.close()
    assert not inspect_directory(data_dir).findings


def test_term_and_revision_are_beyond_all_of_before(tmp_path):
    _, done = recovered(made(tmp_path / "n3"))
    node = opened(tmp_path / "n3", done.cluster_id)
    hard_state = node.log.recover().hard_state
    assert hard_state == HardState(TERM + TERM_BUMP, None, 0)
    assert done.term == TERM + TERM_BUMP
    applied = node.state.applied()
    past = Past(floor=6 + RECOVER_BUMP, live_bytes=2 * (1 + HEAD_BYTES + 1))
    assert applied == Applied(LAST, 6 + RECOVER_BUMP, 950, 2, past)
    assert done.revision == applied.revision
    assert max(unpack_head(record)[1] for _, record in node.state.scan(b"")) < RECOVER_BUMP
    node.close()


def test_the_revision_goes_up_by_as_much_as_is_asked(tmp_path):
    """As for a second directory of a cluster of which another one was recovered before."""
    with survivor(made(tmp_path / "n3")) as found:
        done = recover(found, os.urandom, revision_bump=1 << 41)
    assert done.revision == 6 + (1 << 41)
    with (
        survivor(made(tmp_path / "other")) as found,
        pytest.raises(ConfigError, match="raise it by less"),
    ):
        recover(found, os.urandom, revision_bump=1 << 62)


def test_a_version_of_the_cluster_that_is_held_is_kept(tmp_path):
    """What is behind it may need it."""
    data_dir = made(tmp_path / "n3")
    node = open_node(data_dir, 3)
    entry = Entry(LAST + 1, 6, EntryKind.VERSION, version_data(3))
    node.log.write(DurableUpdate(entries=[entry]))
    node.close()
    _, done = recovered(data_dir)
    node = opened(data_dir, done.cluster_id)
    assert node.state.applied().cluster_version == 3
    node.close()


def test_it_is_another_cluster_and_another_directory(tmp_path):
    one, two = (recovered(made(tmp_path / name))[1] for name in ("one", "two"))
    assert one.cluster_id != two.cluster_id
    assert one.cluster_id.startswith("local-")
    node = opened(tmp_path / "one", one.cluster_id)
    assert node.log.identity.incarnation != f"{3:032x}"
    assert node.log.identity.is_founder
    node.close()
    with pytest.raises(DirectoryRefusedError, match="belongs to cluster"):
        open_node(tmp_path / "two", 3, cluster_id=one.cluster_id)


def test_the_old_log_stays_beside(tmp_path):
    data_dir = made(tmp_path / "n3")
    recovered(data_dir)
    names = sorted(path.name for path in data_dir.iterdir())
    assert names == ["lock", "raft", "raft.before", "state"]
    _, again = recovered(data_dir)
    assert again.term > 2 * TERM_BUMP
    assert sorted(path.name for path in data_dir.iterdir()) == names


def test_until_it_is_replaced_nothing_is_changed(tmp_path):
    data_dir = made(tmp_path / "n3")
    before = held_by(data_dir)
    with survivor(data_dir) as found:
        assert prospect_of(found).last_index == LAST
    assert held_by(data_dir) == before
    with pytest.raises(RuntimeError), survivor(data_dir) as found:
        recover_half(found)
    assert held_by(data_dir) == before
    assert sorted(path.name for path in data_dir.iterdir()) == ["lock", "raft", "state"]


def recover_half(found) -> None:
    """All is applied, and then something goes wrong."""
    for _ in found.entries_after(APPLIED):
        found.state.put(b"x", b"y" * 100_000)
    raise RuntimeError


def held_by(data_dir: Path) -> list[object]:
    node = open_node(data_dir, 3)
    try:
        found = node.log.recover()
        return [found, values(node), node.state.applied(), node.log.identity]
    finally:
        node.close()


def test_entries_behind_a_damaged_one_are_lost_and_counted(tmp_path):
    data_dir = made(tmp_path / "n3")
    flip_text(data_dir / "raft" / "data.mdb", entries()[7].data)
    prospect, done = recovered(data_dir)
    assert (prospect.last_index, prospect.last_term, prospect.unreadable) == (7, 6, 3)
    node = opened(data_dir, done.cluster_id)
    assert values(node) == {b"a": b"1", b"b": b"2", b"n": b"5"}
    assert node.log.recover().start == LogStart(7, 6)
    node.close()


def test_damage_among_what_is_applied_costs_nothing(tmp_path):
    data_dir = made(tmp_path / "n3")
    flip_text(data_dir / "raft" / "data.mdb", entries()[1].data)
    prospect, _ = recovered(data_dir)
    assert (prospect.last_index, prospect.unreadable) == (LAST, 0)


def test_a_directory_that_was_never_admitted_says_so(tmp_path):
    data_dir = made(tmp_path / "n3")
    node = open_node(data_dir, 3)
    node.log.write(DurableUpdate(HardState(TERM, None, -1)))
    node.close()
    with survivor(data_dir) as found:
        assert not prospect_of(found).is_voter


def test_a_recovery_that_is_not_finished_is_known_by_whoever_looks(tmp_path, monkeypatch):
    """Killed between its last two renames it has no log under the old name."""
    data_dir = made(tmp_path / "n3")
    finish = recovered_log.finish

    def killed(there, raft):
        if not (there / recovered_log.RECOVERED).exists():
            return finish(there, raft)
        assert whose(data_dir).cluster_id != "local", "what was decided counts"
        raft.rename(there / recovered_log.BEFORE)
        raise KeyboardInterrupt

    monkeypatch.setattr(recovered_log, "finish", killed)
    with pytest.raises(KeyboardInterrupt):
        recovered(data_dir)
    monkeypatch.undo()
    assert not (data_dir / "raft").exists()
    identity = whose(data_dir)
    assert identity.node_id == 3
    assert identity.cluster_id != "local"
    assert [one.name for one in defragment_directory(data_dir)] == ["state", "raft"]
    with survivor(data_dir) as found:
        assert found.identity == identity


def test_a_directory_in_use_and_one_that_is_none_are_refused(tmp_path):
    data_dir = made(tmp_path / "n3")
    node = open_node(data_dir, 3)
    with pytest.raises(DirectoryRefusedError, match="in use"), survivor(data_dir):
        pass
    node.close()
    with pytest.raises(DirectoryRefusedError, match="no node has"), survivor(tmp_path / "none"):
        pass
    assert not (tmp_path / "none").exists()


def test_a_directory_that_holds_nothing_is_refused(tmp_path):
    open_node(tmp_path / "n3", 3).close()
    with pytest.raises(DirectoryRefusedError, match="nothing can be made of that"):
        recovered(tmp_path / "n3")


def damage_state(data_dir: Path) -> None:
    flip_text(data_dir / "state" / "data.mdb", b"last_applied")


def lose_state(data_dir: Path) -> None:
    shutil.rmtree(data_dir / "state")


@pytest.mark.parametrize("damage", [damage_state, lose_state])
def test_damaged_data_come_anew_from_a_log_that_tells_all_of_them(tmp_path, damage):
    data_dir = made(tmp_path / "n3")
    damage(data_dir)
    before = content(data_dir)
    with survivor(data_dir) as found:
        [told] = found.mended
        assert told.endswith("the log tells the data anew")
        assert prospect_of(found).applied_index == 0, "of more it is not known"
    assert content(data_dir) == before, "nothing is done before somebody has said so"
    _, done = recovered(data_dir)
    node = opened(data_dir, done.cluster_id)
    assert values(node) == {b"b": b"2", b"n": b"7"}
    assert node.notes == ()
    node.close()
    assert not list(data_dir.glob("*.saved"))


def test_damaged_data_of_which_the_log_has_lost_some_are_refused_untouched(tmp_path):
    data_dir = made(tmp_path / "n3")
    damage_state(data_dir)
    flip_text(data_dir / "raft" / "data.mdb", entries()[1].data)
    before = content(data_dir)
    with pytest.raises(DamagedError, match="Nothing here tells what was in it: recover another"):
        recovered(data_dir)
    assert content(data_dir) == before


def test_of_a_log_with_damaged_pages_what_is_sound_is_kept(tmp_path):
    data_dir = made(tmp_path / "n3")
    path = data_dir / "raft" / "data.mdb"
    lose_pages_of(path, entries()[7].data)
    before = content(data_dir)
    with survivor(data_dir) as found:
        [told] = found.mended
        assert told.endswith("what is sound of it is kept")
        assert prospect_of(found).applied_index == APPLIED
    assert content(data_dir) == before
    _, done = recovered(data_dir)
    node = opened(data_dir, done.cluster_id)
    assert values(node) == {b"a": b"1", b"n": b"5"}, "as of what was applied"
    node.close()
    assert not list(data_dir.glob("*.saved"))


def lose_pages_of(path: Path, text: bytes) -> None:
    """Lose the pages on which this stands, and so all entries that stand there with it."""
    blob = bytearray(path.read_bytes())
    while (at := blob.find(text)) >= 0:
        begin = at // PAGE * PAGE
        blob[begin : begin + PAGE] = bytes(PAGE)
    path.write_bytes(blob)


@pytest.mark.parametrize("kept", [recovered_log.RECOVERING, recovered_log.RECOVERED])
def test_the_one_rename_decides(tmp_path, kept, monkeypatch):
    """What stands there when a process is killed just before it, or just behind."""
    data_dir = made(tmp_path / "n3")
    before = held_by(data_dir)
    name = "decide" if kept == recovered_log.RECOVERING else "finish"
    original = getattr(recovered_log, name)
    seen = []

    def killed(*paths):
        if name == "finish" and not (data_dir / kept).exists():
            return original(*paths)
        seen.append(paths)
        raise KeyboardInterrupt

    monkeypatch.setattr(recovered_log, name, killed)
    with pytest.raises(KeyboardInterrupt):
        recovered(data_dir)
    monkeypatch.undo()
    assert seen
    looked_at = inspect_directory(data_dir)
    assert not looked_at.findings
    is_new = looked_at.identity.cluster_id != "local"
    assert is_new == (kept == recovered_log.RECOVERED)
    if kept == recovered_log.RECOVERING:
        assert held_by(data_dir) == before
    else:
        with survivor(data_dir) as found:
            assert prospect_of(found).members == (3,)
            assert found.last_index == LAST


@pytest.mark.skipif(why_strace_cannot_run() is not None, reason=str(why_strace_cannot_run()))
@pytest.mark.timeout(300)
def test_a_kill_or_a_power_cut_at_any_step_leaves_the_old_directory_or_the_new_one(tmp_path):
    """After each call to the file system, all that the disk may hold is looked at."""
    work = tmp_path / "work"
    work.mkdir()
    program = Path(recovering_child.__file__)
    calls = record(program, "run", str(work), trace=tmp_path / "trace")
    old = held_by(made(tmp_path / "n3"))
    disk = Disk(work)
    seen: dict[int, bool] = {}
    said: list[str] = []
    for call in calls:
        disk.apply(call)
        if isinstance(call, Said):
            said.append(call.line)
        if not said:
            continue
        for tree in (disk.now(), *disk.after_a_cut()):
            if hash(tree) not in seen:
                with tempfile.TemporaryDirectory(dir=tmp_path) as place:
                    make(tree, Path(place) / "cut")
                    seen[hash(tree)] = is_recovered(Path(place) / "cut" / "n3", old)
            assert seen[hash(tree)] or len(said) < 2
    assert len(seen) > 10
    assert {*seen.values()} == {True, False}


def is_recovered(data_dir: Path, old: list[object]) -> bool:
    """Whether the directory is the new one, whole; else it is the old one, untouched."""
    node = open_node(data_dir, 3)
    is_new = node.log.identity.cluster_id != "local"
    node.close()
    if is_new:
        node = open_node(data_dir, 3)
        assert values(node) == {b"b": b"2", b"n": b"7"}
        assert node.log.recover().start == LogStart(LAST, 6)
        assert node.state.applied().last_applied == LAST
        node.close()
        return True
    assert held_by(data_dir) == old
    return False


def test_a_node_that_was_removed_is_recovered_where_it_was_before(tmp_path):
    data_dir = made(tmp_path / "n3")
    node = opened(data_dir, "local")
    without = configured(LAST + 1, 7, founders((1, 2)))
    node.log.write(DurableUpdate(HardState(7), None, [without]))
    node.close()
    _, done = recovered(data_dir)
    node = opened(data_dir, done.cluster_id)
    assert node.log.recover().configuration == Configuration((Member(3, "h:9003"),))
    node.close()


def test_who_was_never_a_member_by_its_own_log_is_refused_untouched(tmp_path):
    """Nobody could reach it."""
    data_dir = tmp_path / "n4"
    node = open_node(data_dir, 4, joins=True)
    known = [noop(1, 1, 1), configured(2, 1, founders((1, 2, 3)))]
    node.log.write(DurableUpdate(HardState(1, None, NOT_ADMITTED), None, known))
    node.close()
    before = content(data_dir)
    with pytest.raises(DirectoryRefusedError, match="says where node 4 is reached"):
        recovered(data_dir)
    assert content(data_dir) == before
