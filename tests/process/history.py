"""What clients and observers saw of a cluster, and whether it can be true.

Law: an outcome is recorded as what the client knows and no better. `ok` needs a
positive reply, `refused` a reply that promises that nothing was changed, and
everything else is `unknown`, which permits both.
"""

from __future__ import annotations

import enum
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .cluster import Status

REFUSALS = ("NOTLEADER", "NOLEADER", "BUSY", "NOSPACE")


class Outcome(enum.Enum):
    """What a client knows of its write."""

    OK = "ok"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Write:
    """One attempt of one client; a second attempt writes something else.

    * With a `counter`, it added 1 to it, and `returned` is the sum, if acknowledged.
    * Otherwise it wrote `value` under `key`, which nobody else ever writes.
    """

    key: str
    value: str
    node_id: int
    invoked: float
    completed: float
    outcome: Outcome
    reply: str
    counter: bool = False
    returned: int | None = None


@dataclass(frozen=True)
class Sample:
    """What INFO said of a node; `starts` tells its processes apart, `directory` what they knew."""

    node_id: int
    starts: int
    status: Status
    directory: int = 1


@dataclass
class History:
    """Writes and samples in the order of their completion, from any number of threads."""

    writes: list[Write] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, event: Write | Sample) -> None:
        with self._lock:
            if isinstance(event, Write):
                self.writes.append(event)
            else:
                self.samples.append(event)

    def count(self, outcome: Outcome, since: float = 0.0) -> int:
        """How many writes that were invoked after `since` ended so."""
        with self._lock:
            return sum(
                1 for write in self.writes if write.outcome is outcome and write.invoked >= since
            )

    @property
    def summary(self) -> str:
        counts = ", ".join(f"{self.count(outcome)} {outcome.value}" for outcome in Outcome)
        return f"{len(self.writes)} writes ({counts}), {len(self.samples)} samples"


def outcome_of(reply: str) -> Outcome:
    """What an error reply lets a client know."""
    return Outcome.REFUSED if reply.startswith(REFUSALS) else Outcome.UNKNOWN


def check_writes(writes: Sequence[Write], stored: Mapping[str, str]) -> list[str]:
    """Findings about a history, given what the cluster holds after it; none if it can be true."""
    plain = [write for write in writes if not write.counter]
    counters: dict[str, list[Write]] = defaultdict(list)
    for write in writes:
        if write.counter:
            counters[write.key].append(write)
    findings = [finding for write in plain for finding in _check_plain(write, stored)]
    for key, group in counters.items():
        findings += _check_counter(key, group, int(stored.get(key, "0")))
    written = {write.key for write in writes}
    return findings + [f"{key} was never written" for key in stored if key not in written]


def _check_plain(write: Write, stored: Mapping[str, str]) -> Iterable[str]:
    found = stored.get(write.key)
    if write.outcome is Outcome.OK and found is None:
        yield f"acknowledged write is missing: {write}"
    elif write.outcome is Outcome.REFUSED and found is not None:
        yield f"refused write is visible: {write}"
    elif found not in (None, write.value):
        yield f"{write.key} holds {found!r}, never written: {write}"


def _check_counter(key: str, group: Sequence[Write], total: int) -> Iterable[str]:
    acknowledged = [write for write in group if write.outcome is Outcome.OK]
    possible = [write for write in group if write.outcome is not Outcome.REFUSED]
    if not len(acknowledged) <= total <= len(possible):
        yield f"{key} is {total}, must be from {len(acknowledged)} to {len(possible)}"
    sums = sorted(write.returned or 0 for write in acknowledged)
    yield from (f"{key}: two additions returned {one}" for one, two in pairwise(sums) if one == two)
    # An addition that began after another had ended must return the larger sum.
    highest_ended = 0
    ends = sorted(acknowledged, key=lambda write: write.completed)
    position = 0
    for write in sorted(acknowledged, key=lambda write: write.invoked):
        while position < len(ends) and ends[position].completed < write.invoked:
            highest_ended = max(highest_ended, ends[position].returned or 0)
            position += 1
        if (write.returned or 0) <= highest_ended:
            yield f"{key} went back from {highest_ended}: {write}"


def check_samples(samples: Sequence[Sample]) -> list[str]:
    """Findings about terms, votes, leaders and commit indexes over time."""
    findings = list(_check_leaders(samples))
    by_directory: dict[tuple[int, int], list[Sample]] = defaultdict(list)
    for sample in samples:
        by_directory[sample.node_id, sample.directory].append(sample)
    for sequence in by_directory.values():
        for one, two in pairwise(sequence):
            findings += _check_step(one, two)
    return findings


def _check_leaders(samples: Sequence[Sample]) -> Iterable[str]:
    leaders: dict[int, int] = {}
    for sample in samples:
        status = sample.status
        if status.role == "leader" and leaders.setdefault(status.term, sample.node_id) != (
            sample.node_id
        ):
            yield f"two leaders in term {status.term}: {leaders[status.term]} and {sample.node_id}"


def _check_step(before: Sample, after: Sample) -> Iterable[str]:
    one, two = before.status, after.status
    if two.term < one.term:
        yield f"node {after.node_id}: term went back: {before} then {after}"
    if two.term == one.term and one.voted_for not in (None, two.voted_for):
        yield f"node {after.node_id}: vote changed within a term: {before} then {after}"
    # After a restart the commit index is learned anew; within one life it only grows.
    if before.starts == after.starts and two.commit_index < one.commit_index:
        yield f"node {after.node_id}: commit index went back: {before} then {after}"


def now() -> float:
    return time.monotonic()
