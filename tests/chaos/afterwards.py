"""What a backup that was taken under load, and a directory that is left alone, make of a cluster.

Law: key by key. What did not change after the moment of a backup must be in it as it is in the
end, to the last byte and revision; of what did, whatever was acknowledged until then. A
recovered directory, of a node that had applied everything, holds all there was in the end.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from process.cluster import Cluster, running
from process.history import Outcome
from process.successors import Alone, Restored, told

from kvstore import Client, api
from kvstore.sim.history import Operation

from .cluster import ChaosCluster
from .stage import Stage
from .workload import Calls, outcome_of

Held: TypeAlias = Mapping[bytes, api.KeyValue]

_PATIENCE_MS = 30_000


class Saved(NamedTuple):
    """A backup, and as of which revision it is."""

    file: Path
    node_id: int
    revision: int


def back_up(stage: Stage, file: Path) -> Saved:
    """Take a backup of one node, while clients write."""
    node_id = stage.rng.choice(list(stage.cluster.nodes))
    stage.say(f"takes a backup of {node_id}")
    said = told("backup", str(file), "--to", stage.cluster.address(node_id))
    return Saved(file, node_id, said["revision"])


def held_by(cluster: Cluster) -> Held:
    """All records of a cluster that nobody writes to."""
    nodes = [cluster.address(node_id) for node_id in cluster.nodes]
    with Client(nodes, _PATIENCE_MS) as client:
        return {item.key: item for item in client.scan()}


def check_backup(saved: Saved, held: Held, history: Calls, directory: Path) -> list[str]:
    """Verify a backup, make a cluster of it, and hold that against the end and the history."""
    verified = told("verify", str(saved.file))
    restored = _restored(saved.file, directory)
    findings = []
    if (verified["revision"], verified["keys"]) != (saved.revision, len(restored)):
        findings.append(f"verify says {verified} of a backup of {saved} with {len(restored)} keys")
    findings += differences(restored, saved.revision, held, history.operations)
    return [f"in the backup of node {saved.node_id}: {finding}" for finding in findings]


def check_recovery(cluster: ChaosCluster, node_id: int, held: Held, directory: Path) -> list[str]:
    """Recover a copy of a directory, whose node has ended, and hold it against the end."""
    directory.mkdir()
    place = directory / f"n{node_id}"
    shutil.copytree(cluster.nodes[node_id].data_dir, place)
    told("recover", "--data", str(place), "--yes")
    with running(Alone(directory, node_id)) as alone:
        alone.wait_for_leader()
        found = held_by(alone)
        findings = alone.audit()
    findings += [
        f"{key!r} is {found.get(key)}, and was {held.get(key)}"
        for key in sorted(found.keys() | held.keys())
        if found.get(key) != held.get(key)
    ]
    return [f"recovered from node {node_id}: {finding}" for finding in findings]


def _restored(file: Path, directory: Path) -> Held:
    directory.mkdir()
    cluster = Restored(directory)
    for node_id in cluster.nodes:
        cluster.restore(node_id, file)
    with running(cluster):
        cluster.wait_for_leader()
        held = held_by(cluster)
        cluster.wait_until_level()
        assert not cluster.audit()
    return held


def differences(
    found: Held, revision: int, held: Held, operations: Sequence[Operation]
) -> Iterator[str]:
    """What a copy as of a revision cannot be, given the end and all that clients were told."""
    unchanged = {key: one for key, one in held.items() if one.mod_revision <= revision}
    for key, one in unchanged.items():
        if found.get(key) != one:
            yield f"{key!r} is {found.get(key)}, and was {one} all the time"
    last, doubtful = dict(_last_writes(operations, revision)), _maybe_deleted(operations)
    for key, (at, value) in last.items():
        one = found.get(key)
        if one is None and key in doubtful:
            continue
        if key not in unchanged and not _may_be(one, at, value, revision):
            yield f"{key!r} is {one}, and was {value!r} at revision {at}"
    for key in found.keys() - unchanged.keys() - last.keys():
        if found[key].mod_revision > revision:
            yield f"{key!r} is of a later revision: {found[key]}"


def _may_be(one: api.KeyValue | None, at: int, value: bytes | None, revision: int) -> bool:
    """Whether a key may be so, of which this was acknowledged last; others may have come after."""
    if one is None:
        return value is None
    if one.mod_revision == at:
        return one.value == value
    return at < one.mod_revision <= revision


def _maybe_deleted(operations: Sequence[Operation]) -> set[bytes]:
    """Keys that were to be deleted, and nobody knows whether and when they were."""
    doubtful = (one.request for one in operations if one.is_unknown)
    return {key for one in doubtful if isinstance(one, api.Delete) for key in one.keys}


def _last_writes(
    operations: Sequence[Operation], revision: int
) -> Iterator[tuple[bytes, tuple[int, bytes | None]]]:
    """What was acknowledged of each key, in the order of revisions, up to that one."""
    done = [one for one in operations if outcome_of(one) is Outcome.OK]
    writes = [write for one in done for write in _writes(one)]
    for at, key, value in sorted(writes, key=lambda write: write[0]):
        if at <= revision:
            yield key, (at, value)


def _writes(done: Operation) -> Iterator[tuple[int, bytes, bytes | None]]:
    """(revision, key, value or None) of each key that it changed for certain."""
    match done.request, done.result:
        case api.Put(key=key, value=value), api.PutResult(revision=at, written=True):
            yield at, key, value
        case api.PutMany(pairs=pairs), api.PutResult(revision=at, written=True):
            for key, value in dict(pairs).items():
                yield at, key, value
        case api.Increment(key=key), api.IncrementResult(revision=at, value=number):
            yield at, key, b"%d" % number
        case api.Delete(keys=keys), api.DeleteResult(revision=at, deleted=deleted) if deleted:
            for key in keys:
                yield at, key, None
