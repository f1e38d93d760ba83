"""The verdict on a run: what clients were told, what nodes said, and what the disks hold.

Law: every fault is healed before it judges, so that whatever is still missing is lost.
It changes nothing but by reading, and says everything that it finds.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import msgspec
from process.cluster import eventually
from process.history import Outcome, check_samples
from process.workload import check_disks, read_everything

from kvstore import api
from kvstore.sim.checkers.linearizability import check_history
from kvstore.sim.checkers.revisions import check_revisions
from kvstore.sim.checkers.serializability import check_real_time

from .cluster import ChaosCluster
from .workload import Caller, Calls

_READER = 1_000
"""The client that reads every key in the end."""


def judge(cluster: ChaosCluster, history: Calls) -> list[str]:
    """Findings; ends the nodes. All of them must run, and no client may be writing."""
    read_all_keys(cluster, history)
    cluster.wait_until_level()
    findings = check_history(history.operations) + check_revisions(history.operations)
    findings += check_real_time(history.operations)
    findings += check_samples(history.samples) + _check_replicas(cluster)
    cluster.end_all()
    findings += check_disks(cluster, history) + cluster.audit()
    if not history.count(Outcome.OK):
        findings.append("nothing was ever acknowledged")
    if not history.samples:
        findings.append("no node was ever observed")
    return findings


def read_all_keys(cluster: ChaosCluster, history: Calls) -> None:
    """Read what every key holds at last: the history must explain that too."""
    with contextlib.closing(Caller(cluster, _READER)) as caller:

        def is_read(key: bytes) -> bool:
            # Whoever leads now: elections go on, and only a leader answers.
            operation = caller.ask(cluster.wait_for_leader(), api.Get((key,)))
            if operation is None or not isinstance(operation.result, api.GetResult):
                return False
            history.record(operation)
            return True

        for key in sorted(history.keys):
            eventually(lambda key=key: is_read(key), f"{key!r} is read")


def keep(cluster: ChaosCluster, history: Calls, findings: list[str], place: Path) -> None:
    """Save what a finding can be understood from; the nodes have ended."""
    place.mkdir(parents=True)
    for node in cluster.nodes.values():
        if node.data_dir.exists():
            shutil.copytree(node.data_dir, place / f"n{node.id}")
        if node.log_path.exists():
            shutil.copy(node.log_path, place)
    (place / "findings.txt").write_text("\n".join(findings) + "\n")
    with (place / "history.jsonl").open("wb") as lines:
        for operation in history.operations:
            lines.write(msgspec.json.encode(operation) + b"\n")
    samples = [[sample.node_id, sample.starts, vars(sample.status)] for sample in history.samples]
    (place / "samples.json").write_text(json.dumps(samples))


def _check_replicas(cluster: ChaosCluster) -> list[str]:
    """All nodes are level, so all must hold the same."""
    first, *others = [(node_id, read_everything(cluster, node_id)) for node_id in cluster.awake]
    return [
        f"nodes {first[0]} and {node_id} hold different values of {key}:"
        f" {first[1].get(key)!r} and {held.get(key)!r}"
        for node_id, held in others
        for key in sorted(first[1].keys() | held.keys())
        if first[1].get(key) != held.get(key)
    ]
