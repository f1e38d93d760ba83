"""The judge finds what it is there to find: each test shows it something that must not be."""

from __future__ import annotations

from pathlib import Path

import pytest
from process.cluster import ROOT
from process.history import now

from kvstore import api
from kvstore.sim.history import Operation

from .conftest import MakeStage, needs_root
from .judge import judge
from .stage import Stage

pytestmark = [pytest.mark.process, pytest.mark.chaos]

_WITHOUT_SYNC = """
import lmdb
honest = lmdb.open
lmdb.open = lambda path, **options: honest(path, **{**options, "sync": False})
"""
"""Python runs a module called sitecustomize before all others."""


def act_a_little(stage: Stage) -> None:
    with stage.chatter.running():
        stage.cluster.wait_for_leader()
        stage.chatter.wait_for_writes(30, since=now())


def test_a_write_that_was_acknowledged_and_is_missing_is_found(make_stage: MakeStage) -> None:
    stage = make_stage(seed=1)
    act_a_little(stage)
    history, at_ms = stage.chatter.history, now() * 1_000
    invented = Operation(9, at_ms, at_ms, api.Put(b"colour.0.0", b"lost"), api.PutResult(0, True))
    history.record(invented)
    assert any("colour.0.0" in finding for finding in judge(stage.cluster, history))


@needs_root
def test_a_power_cut_of_nodes_that_never_sync_is_found(
    make_stage: MakeStage, tmp_path: Path
) -> None:
    patched = tmp_path / "patched"
    patched.mkdir()
    (patched / "sitecustomize.py").write_text(_WITHOUT_SYNC)
    stage = make_stage(seed=2, environ={"PYTHONPATH": f"{patched}:{ROOT}"})
    act_a_little(stage)
    stage.cluster.cut_power(*stage.cluster.nodes)
    assert stage.find_in_disks(stage.cluster.nodes)
