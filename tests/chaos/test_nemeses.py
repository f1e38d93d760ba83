"""Each nemesis strikes a cluster under load, and what was acknowledged is there in the end."""

from __future__ import annotations

import pytest

from .conftest import MakeStage, needs_root
from .judge import judge
from .nemeses import NEMESES, Nemesis, cut_power, fill_disk, kill
from .snapshots import cut_power_amid_installation, kill_amid_installation
from .stage import Stage, cut_power_of

FINDINGS_SHOWN = 10
SEEDS = {
    kill: 6,
    fill_disk: 1,
    cut_power: 1,
    kill_amid_installation: 5,
    cut_power_amid_installation: 5,
}
"""With these, all nodes are killed, the leader is who has a full disk or no power, and both who
sends a snapshot and who receives it are struck."""

pytestmark = [pytest.mark.process, pytest.mark.chaos]


@pytest.mark.parametrize("nemesis", NEMESES, ids=lambda nemesis: nemesis.__name__)
def test_what_was_acknowledged_survives(make_stage: MakeStage, nemesis: Nemesis) -> None:
    perform(make_stage(SEEDS.get(nemesis, 4)), nemesis)


@needs_root
def test_what_was_acknowledged_survives_power_cuts_of_all_nodes(make_stage: MakeStage) -> None:
    def cut_all_power(stage: Stage) -> None:
        cut_power_of(stage, list(stage.cluster.nodes))

    perform(make_stage(seed=5), *[cut_all_power] * 3)


def perform(stage: Stage, *nemeses: Nemesis) -> None:
    with stage.chatter.running():
        stage.prepare()
        for nemesis in nemeses:
            nemesis(stage)
            stage.recover()
    findings = judge(stage.cluster, stage.chatter.history)
    assert not findings, "\n".join([stage.chatter.history.summary, *findings[:FINDINGS_SHOWN]])
