"""Many seeds on several processors.

Law: a seed's result does not depend on who runs it or beside what. Summaries come
in any order; the caller puts them in one.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from kvstore.sim.world import run, scenario

_BATCH = 10


class Summary(msgspec.Struct, frozen=True):
    """What came of some seeds."""

    seeds: int
    failures: tuple[tuple[int, str], ...]
    """(seed, violation)."""
    simulated_ms: float
    operations: int
    reached: dict[str, int]


def run_campaign(seeds: Sequence[int], jobs: int) -> Iterator[Summary]:
    """Run every seed; a summary for each batch as it is done."""
    batches = [seeds[start : start + _BATCH] for start in range(0, len(seeds), _BATCH)]
    if jobs == 1:
        yield from map(_run_batch, batches)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_run_batch, batches)


def _run_batch(seeds: Sequence[int]) -> Summary:
    reports = [run(scenario(seed)) for seed in seeds]
    reached: Counter[str] = Counter()
    for report in reports:
        reached.update(report.reached)
    return Summary(
        seeds=len(reports),
        failures=tuple(
            (report.scenario.seed, report.violation)
            for report in reports
            if report.violation is not None
        ),
        simulated_ms=sum(report.simulated_ms for report in reports),
        operations=sum(report.operations for report in reports),
        reached=reached,
    )
