"""Whole simulated runs: the same seed is the same run, and what runs reach is worth a run."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from kvstore.cli.main import main
from kvstore.config.limits import LOG_KEPT_BYTES
from kvstore.raft.types import LogStart
from kvstore.sim.network import FAIR
from kvstore.sim.releases import Releases
from kvstore.sim.run import Report, run
from kvstore.sim.scenario import Scenario, only_faults, scenario
from kvstore.sim.shrink import shrink
from kvstore.sim.trace import Crashed, Noted, Persisted, Sent
from kvstore.sim.world import World

README = Path(__file__).resolve().parents[2] / "README.md"

SEEDS_MAX = 200
"""Within so many, all of it must be reached."""
WORTH_REACHING = {
    "election",
    "step-down",
    "truncation",
    "vote refused",
    "crash",
    "unsynced write lost",
    "restart with a log",
    "pause of a leader",
    "damage found",
    "damage repaired",
    "directory lost",
    "old directory put back",
    "directory refused",
    "admission",
    "short of room",
    "room is back",
    "answer NOSPACE",
    "answer BUSY",
    "append rejected",
    "page",
    "page that goes on",
    "write of several keys",
    "deletion of several keys",
    "read of several keys",
    "count of keys",
    "call refused as stale",
    "page by a cursor",
    "read of what was applied",
    "handover told",
    "fault: forged term",
    "fault: lost term",
    "fault: joining under load",
    "fault: other release",
    "fault: changed record",
    "states compared",
    "version raised",
    "append of several entries",
    "log compacted",
    "data differ",
    "differing data replaced",
    "answer OK",
    "answer NOTLEADER",
    "answer UNKNOWN",
}


def test_one_seed_is_one_run() -> None:
    one, two = run(scenario(7), traced=True), run(scenario(7), traced=True)
    assert one.digest == two.digest != ""
    assert one.trace == two.trace


@pytest.mark.parametrize(
    "start", [LogStart(1, 1), LogStart(300, 7), LogStart(999_999_999, 3)], ids=str
)
def test_a_world_lives_wherever_its_logs_begin(start: LogStart) -> None:
    """Raft Figure 3, and all that is promised beyond it, on disks that break."""
    for seed in range(6):
        plan = msgspec.structs.replace(scenario(seed), start=start)
        report = run(plan, traced=True)
        assert report.violation is None
        first = {one.first_index for one in report.trace if isinstance(one, Persisted)} - {0}
        assert min(first) == start.index + 1


def test_half_of_all_worlds_begin_with_the_first_entry_and_the_others_anywhere() -> None:
    firsts = [scenario(seed).start.index + 1 for seed in range(400)]
    assert 150 < firsts.count(1) < 250
    assert min(firsts.count(first) for first in (2, 1_000_000_000)) > 30
    assert sum(100 < first < 1_000 for first in firsts) > 30


def test_many_worlds_keep_little_of_their_logs_and_others_are_as_they_were() -> None:
    plans = [scenario(seed) for seed in range(400)]
    kept = Counter(plan.log_kept_bytes for plan in plans)
    assert sorted(kept) == [1, 200, 2_000, LOG_KEPT_BYTES]
    assert min(kept.values()) > 20


def test_nodes_come_to_have_logs_that_begin_at_different_entries() -> None:
    """Raft §7: each drops for itself."""
    calm = only_faults(scenario(4), [])
    world = World(msgspec.structs.replace(calm, log_kept_bytes=1, checkpoint_interval_ms=50))
    for host in world.hosts.values():
        host.start()
    for client in world.clients:
        client.make_calls(60, 3_000.0)
    seen: set[int] = set()
    for at_ms in range(0, 3_000, 5):
        world.schedule.run_until(float(at_ms))
        starts = {host.disk.log.start.index for host in world.hosts.values()}
        seen |= starts if len(starts) > 1 else set()
    assert max(seen) > world.plan.start.index + 20


def test_other_seeds_are_other_runs() -> None:
    assert len({run(scenario(seed), traced=True).digest for seed in range(5)}) == 5


def test_looking_on_changes_nothing() -> None:
    """A run that failed untraced must fail when it is traced."""
    for seed in range(5):
        blind, traced = run(scenario(seed)), run(scenario(seed), traced=True, modelled=True)
        assert blind.reached == traced.reached
        assert blind.simulated_ms == traced.simulated_ms
        assert blind.operations == traced.operations


def test_a_trace_tells_of_every_crash_and_every_event() -> None:
    report = run(scenario(9), traced=True)
    assert report.reached["crash"] == sum(isinstance(one, Crashed) for one in report.trace)
    assert any(isinstance(one, Noted) for one in report.trace)
    assert any(isinstance(one, Sent) for one in report.trace)


def test_runs_keep_every_promise_and_reach_what_is_worth_a_promise() -> None:
    """A storm in which nothing happens would prove nothing. More seeds are for `make simulate`."""
    reached: Counter[str] = Counter()
    for seed in range(SEEDS_MAX):
        report = run(scenario(seed))
        assert report.violation is None, f"seed {seed}: {report.violation}"
        reached.update(report.reached)
        if seed > 20 and all(reached[what] for what in WORTH_REACHING):
            break
    assert {what for what in WORTH_REACHING if not reached[what]} == set()
    assert reached["election"] > seed
    assert reached["answer OK"] > 10 * seed


def test_without_faults_and_in_fair_weather_one_leader_serves_to_the_end() -> None:
    calm = only_faults(scenario(2), [])
    fair = msgspec.structs.replace(
        calm, drift=0.0, weather=FAIR, clients=5, operators=0, releases=Releases()
    )
    report = run(fair)
    assert report.violation is None
    assert report.reached["election"] == 2, "the second is the handover of the calm"
    assert report.reached["handover begun"] == 1
    assert "crash" not in report.reached


def test_the_picture_in_the_readme_is_what_its_command_draws(tmp_path: Path) -> None:
    docs = README.parent / "docs"
    shown = re.search(
        r"kvstore simulate --plan docs/(\S+) --window (\S+) --svg docs/([a-z.]+)",
        README.read_text(),
    )
    assert shown is not None
    drawn = tmp_path / shown[3]
    plan, window = str(docs / shown[1]), shown[2]
    assert main(["simulate", "--plan", plan, "--window", window, "--svg", str(drawn)]) == 0
    assert drawn.read_text() == (docs / shown[3]).read_text()


def test_shrinking_keeps_only_the_faults_that_the_failure_needs() -> None:
    plan = scenario(1)
    assert len(plan.faults) > 4
    guilty = plan.faults[3].number

    def run_as_if(tried: Scenario) -> Report:
        fails = any(fault.number == guilty for fault in tried.faults)
        return Report(tried, "x" if fails else None, "x: y" if fails else None, 0.0, {}, 0)

    assert [fault.number for fault in shrink(run_as_if(plan), run_as_if).faults] == [guilty]


def test_leaving_a_fault_out_changes_no_other() -> None:
    plan = scenario(1)
    assert only_faults(plan, [0, 2]).faults == (plan.faults[0], plan.faults[2])
