"""`kvstore backup`, `verify`, `restore` and `defrag`: a file that is whole, or none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from crc32c import crc32c
from founding import founders
from scripted_node import INVALID, ClosedPort, Misbehave, ScriptedNode, status_of
from storage.defragmenting_child import made
from storage.samples import counts

from kvstore import api
from kvstore.cli import render
from kvstore.kv.view import Applied
from kvstore.storage.records import encode_value
from kvstore.storage.snapshot_format import Header, SnapshotEncoder

from .shell import Run


def snapshot(keys: int = 3) -> bytes:
    header = Header("c1", 3, Applied(7, 5, 900), founders((1, 2, 3)), counts(keys=keys, sessions=1))
    encoder = SnapshotEncoder(header)
    names = [b"k%03d" % number for number in range(keys)]
    pairs = [(name, encode_value(name, b"x" * 24 + name)) for name in names]
    session = (b"s12345678", encode_value(b"s12345678", b"a session"))
    return encoder.begin() + encoder.block(pairs) + encoder.block([session]) + encoder.end()


def pieces_of(data: bytes, size: int = 100) -> list[api.BackupPiece]:
    found = []
    for at in range(0, len(data), size):
        part = data[at : at + size]
        is_last = at + size >= len(data)
        found.append(api.BackupPiece(7, at, part, crc32c(part), 7, 5, at, 4, is_last))
    return found


WHOLE = snapshot()
LEADS = status_of(1)


def test_a_backup_is_saved_under_its_name_when_it_is_whole(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "b"
    with ScriptedNode(LEADS, *pieces_of(WHOLE)) as node:
        ran = run("backup", str(path), "--to", node.address)
    assert (ran.code, ran.out) == (0, b"")
    assert "saved 4 records as of index 7 (revision 5), 526 B from node at" in ran.err
    assert path.read_bytes() == WHOLE
    assert list(tmp_path.iterdir()) == [path]


def test_it_goes_to_standard_output_with_a_dash(run: Run) -> None:
    with ScriptedNode(LEADS, *pieces_of(WHOLE)) as node:
        ran = run("backup", "-", "--to", node.address)
    assert (ran.code, ran.out) == (0, WHOLE)


@pytest.mark.parametrize("end", [INVALID, Misbehave.HANG_UP], ids=["given up", "gone"])
def test_a_backup_that_breaks_off_leaves_no_file_and_keeps_the_old_one(
    run: Run, tmp_path: Path, end: object
) -> None:
    path = tmp_path / "b"
    path.write_bytes(b"of yesterday")
    with ScriptedNode(LEADS, *pieces_of(WHOLE)[:-1], end, end) as node:
        ran = run("backup", str(path), "--to", node.address)
    assert ran.code in (3, 5)
    assert path.read_bytes() == b"of yesterday"
    assert list(tmp_path.iterdir()) == [path]


def test_bytes_that_are_no_whole_backup_get_no_name(run: Run, tmp_path: Path) -> None:
    """Though each piece arrived as it was sent."""
    damaged = WHOLE[:-5] + bytes((WHOLE[-5] ^ 1,)) + WHOLE[-4:]
    for data in (damaged, WHOLE[:-1], WHOLE + b"x"):
        with ScriptedNode(LEADS, *pieces_of(data)) as node:
            ran = run("backup", str(tmp_path / "b"), "--to", node.address)
        assert ran.code == 3
        assert "snapshot" in ran.err
        assert not list(tmp_path.iterdir())


def test_where_no_file_can_be_nobody_is_asked(run: Run, tmp_path: Path) -> None:
    with ScriptedNode() as node:
        ran = run("backup", str(tmp_path / "no" / "b"), "--to", node.address)
    assert (ran.code, node.requests) == (3, [])
    assert "No such file" in ran.err


def test_its_outcome_is_one_object_with_json(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "b"
    with ScriptedNode(LEADS, *pieces_of(WHOLE)) as node:
        ran = run("backup", str(path), "--json", "--to", node.address)
    assert ran.err == ""
    assert json.loads(ran.out) == {
        "file": str(path),
        "index": 7,
        "revision": 5,
        "records": 4,
        "bytes": len(WHOLE),
        "node": node.address,
        "is_of_leader": True,
    }


def test_it_is_said_if_the_node_did_not_lead(run: Run, tmp_path: Path) -> None:
    follows = status_of(1, role="follower")
    for status, is_said in ((follows, True), (LEADS, False)):
        with ScriptedNode(status, *pieces_of(WHOLE)) as node:
            ran = run("backup", str(tmp_path / "b"), "--to", node.address)
        assert ran.code == 0
        assert ("which did not lead: what others acknowledged" in ran.err) == is_said


@pytest.mark.parametrize("kind", ["pipe", "directory"])
def test_what_is_no_file_is_not_replaced_by_one(run: Run, tmp_path: Path, kind: str) -> None:
    """As root it would be `/dev/null`, for everybody."""
    path = tmp_path / "b"
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    was = path.stat()
    with ScriptedNode() as node:
        ran = run("backup", str(path), "--to", node.address)
    assert (ran.code, node.requests) == (3, [])
    assert "no file that could be replaced: name another one" in ran.err
    assert os.path.samestat(path.stat(), was)
    assert list(tmp_path.iterdir()) == [path]


def test_behind_a_link_the_file_is_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "b", tmp_path / "link"
    link.symlink_to(file)
    with ScriptedNode(LEADS, *pieces_of(WHOLE)) as node:
        assert run("backup", str(link), "--to", node.address).code == 0
    assert link.is_symlink()
    assert file.read_bytes() == WHOLE
    assert list(file.parent.iterdir()) == [file]


def test_json_has_no_place_where_the_backup_goes(run: Run) -> None:
    ran = run("backup", "-", "--json", "--to", "127.0.0.1:1")
    assert ran.code == 2
    assert "leave --json out" in json.loads(ran.out)["error"]["message"]


def test_nobody_there_is_told(run: Run, tmp_path: Path) -> None:
    with ClosedPort() as nobody:
        ran = run("backup", str(tmp_path / "b"), "--to", nobody.address, "--timeout-ms", "300")
    assert ran.code == 5
    assert not list(tmp_path.iterdir())


# --- Verify -------------------------------------------------------------------------------


def test_a_whole_backup_is_told_what_it_is_of(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_bytes(WHOLE)
    ran = run("verify", str(path))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(b"whole: cluster c1 as of index 7 of term 3, revision 5\n0 changes, ")
    found = json.loads(run("verify", str(path), "--json").out)
    assert found.pop("digest") == ran.out.split()[-1].decode()
    assert found == {
        "file": str(path),
        "cluster": "c1",
        "index": 7,
        "term": 3,
        "revision": 5,
        "changes": 0,
        "keys": 3,
        "leases": 0,
        "sessions": 1,
    }


def test_it_is_read_from_standard_input_too(run: Run) -> None:
    assert run("verify", "-", stdin=WHOLE).code == 0
    ran = run("verify", "-", stdin=WHOLE[:-1])
    assert (ran.code, ran.err[:22]) == (3, "error: standard input:")


@pytest.mark.parametrize("cut", [0, 10, 60, len(WHOLE) - 1])
def test_a_backup_that_is_cut_short_is_refused(run: Run, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "b"
    path.write_bytes(WHOLE[:cut])
    ran = run("verify", str(path))
    assert (ran.code, ran.out) == (3, b"")
    assert ran.err == f"error: {path}: the snapshot is cut short: it ends at byte {cut}\n"
    assert json.loads(run("verify", str(path), "--json").out)["error"]["code"] == "DAMAGED"


def test_one_of_a_newer_version_is_refused_with_advice(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "b"
    raw = (9).to_bytes(4, "big")
    path.write_bytes(WHOLE[:8] + raw + crc32c(raw).to_bytes(4, "big") + WHOLE[16:])
    ran = run("verify", str(path))
    assert ran.code == 3
    assert "has format version 9, this program reads 2: use the kvstore release" in ran.err
    assert json.loads(run("verify", str(path), "--json").out)["error"]["code"] == "SNAPSHOT"


def test_a_file_that_is_not_there_is_told(run: Run, tmp_path: Path) -> None:
    ran = run("verify", str(tmp_path / "b"))
    assert ran.code == 74
    assert "No such file" in ran.err


# --- Restore ------------------------------------------------------------------------------


def test_what_was_restored_is_told_with_the_revision_from_which_it_goes_on(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "b"
    file.write_bytes(WHOLE)
    words = ("restore", str(file), "--id", "1", "--peers", "none", "--bump-revision", "100")
    ran = run(*words, "--data", str(tmp_path / "n1"), "--json")
    found = json.loads(ran.out)
    assert ran.code == 0
    assert found.pop("cluster") != "c1"
    assert found == {
        "data": str(tmp_path / "n1"),
        "node": 1,
        "index": 7,
        "revision": 105,
        "keys": 3,
        "leases": 0,
    }
    ran = run(*words, "--data", str(tmp_path / "n2"))
    assert ran.out.decode().startswith("restored 3 keys, 0 leases as of index 7 of cluster c1\n")
    assert ran.out.decode().endswith("; its revisions go on from 105\n")


# --- Defrag -------------------------------------------------------------------------------


def test_what_defragmenting_gives_back_is_told(run: Run, tmp_path: Path) -> None:
    data_dir = made(tmp_path / "n1")
    ran = run("defrag", "--data", str(data_dir), "--json")
    found = json.loads(ran.out)
    assert (ran.code, ran.err, found["data"]) == (0, "", str(data_dir))
    assert found["before_bytes"]["state"] > 10 * found["after_bytes"]["state"]
    data_dir = made(tmp_path / "n2")
    files = [data_dir / name / "data.mdb" for name in ("state", "raft")]
    before = [render.size(file.stat().st_size) for file in files]
    ran = run("defrag", "--data", str(data_dir))
    now = [render.size(file.stat().st_size) for file in files]
    assert ran.out.decode().splitlines() == [
        f"{data_dir / 'state'}: {before[0]} before, {now[0]} now",
        f"{data_dir / 'raft'}: {before[1]} before, {now[1]} now",
    ]


def test_there_is_nothing_to_defragment_where_no_node_was(run: Run, tmp_path: Path) -> None:
    ran = run("defrag", "--data", str(tmp_path / "n1"))
    assert (ran.code, ran.out) == (3, b"")
    assert "no node has this directory" in ran.err
