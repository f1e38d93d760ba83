"""`kvstore restore`: which cluster it makes, and who is of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from .shell import Run
from .test_backups import snapshot

WORDS = ("--id", "1", "--port", "7001", "--peers", "7002,7003")


@pytest.fixture
def made(run: Run, tmp_path: Path) -> Any:
    """Make a directory of a backup with so many keys; the id of its cluster."""

    def make(*words: str, keys: int = 3) -> str:
        number = len(list(tmp_path.iterdir()))
        file = tmp_path / f"backup{number}"
        file.write_bytes(snapshot(keys))
        data_dir = tmp_path / f"n{number}"
        ran = run("restore", str(file), *words, "--data", str(data_dir), "--json")
        assert ran.code == 0, ran
        return str(json.loads(ran.out)["cluster"])

    return make


def test_members_that_are_restored_alike_are_of_one_cluster(made: Any) -> None:
    other = ("--id", "2", "--port", "7002", "--peers", "7001,7003")
    assert made(*WORDS) == made(*other)
    assert made(*WORDS, "--cluster", "prod") == made(*other, "--cluster", "prod")


def test_a_slip_makes_a_stranger_and_no_member_that_differs_unseen(made: Any) -> None:
    """Also under a name that is given."""
    slips: list[dict[str, Any]] = [
        {},
        {"more": ("--bump-revision", "15")},
        {"words": ("--id", "1", "--port", "7001", "--peers", "7002")},
        {"words": ("--id", "1", "--port", "7001", "--peers", "none")},
        {"keys": 4},
    ]
    for name in ((), ("--cluster", "prod")):
        ids = [
            made(*slip.get("words", WORDS), *slip.get("more", ()), *name, keys=slip.get("keys", 3))
            for slip in slips
        ]
        assert len(set(ids)) == len(slips), ids
        assert not name or all(one.startswith("prod-") for one in ids)


def test_a_name_without_room_for_what_comes_behind_it_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "b"
    file.write_bytes(snapshot())
    for length, code in ((55, 0), (56, 2)):
        words = (*WORDS, "--cluster", "c" * length, "--data", str(tmp_path / str(length)))
        ran = run("restore", str(file), *words)
        assert ran.code == code
    assert "give a name of at most 55 characters" in ran.err
    assert not (tmp_path / "56").exists()


def test_settings_of_a_node_that_joins_are_not_restored_with(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They name no members, and a cluster of nobody would be of no use."""
    file = tmp_path / "b"
    file.write_bytes(snapshot())
    monkeypatch.setenv("KVSTORE_JOIN", "127.0.0.1:7002")
    ran = run("restore", str(file), *WORDS[:4], "--data", str(tmp_path / "n1"))
    assert ran.code == 2
    assert "name the other nodes of the new cluster with --peers" in ran.err
    assert not (tmp_path / "n1").exists()


def test_the_revision_goes_up_by_more_than_recoveries_raise_it(run: Run, tmp_path: Path) -> None:
    """So tokens stay in order where a cluster was recovered, and then a backup of before is
    restored."""
    file = tmp_path / "b"
    file.write_bytes(snapshot())
    ran = run("restore", str(file), *WORDS, "--data", str(tmp_path / "n1"), "--json")
    assert json.loads(ran.out)["revision"] == 5 + 16 * (1 << 40)
