"""Many seeds on several processors, all of them, whatever fails.

Law: a seed's result does not depend on who runs it or beside what. Summaries come
in any order; the caller puts them in one.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from kvstore.sim.run import Report, run
from kvstore.sim.scenario import scenario

_BATCH = 10


class Failure(msgspec.Struct, frozen=True, order=True):
    """A seed that broke a promise, and how, in one line."""

    seed: int
    theorem: str
    finding: str


class Summary(msgspec.Struct, frozen=True):
    """What came of some seeds."""

    seeds: int
    failures: tuple[Failure, ...]
    simulated_ms: float
    operations: int
    reached: dict[str, int]


class Group(msgspec.Struct, frozen=True):
    """All failures of one theorem, by seed."""

    theorem: str
    failures: tuple[Failure, ...]

    @property
    def shortest(self) -> str:
        """The finding with the fewest words to read."""
        return min((failure.finding for failure in self.failures), key=len)


def run_campaign(seeds: Sequence[int], jobs: int) -> Iterator[Summary]:
    """Run every seed; a summary for each batch as it is done."""
    batches = [seeds[start : start + _BATCH] for start in range(0, len(seeds), _BATCH)]
    if jobs == 1:
        yield from map(_run_batch, batches)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_run_batch, batches)


def group(failures: Iterable[Failure]) -> list[Group]:
    """By theorem, the one that is broken most often first."""
    by_theorem: dict[str, list[Failure]] = {}
    for failure in sorted(failures):
        by_theorem.setdefault(failure.theorem, []).append(failure)
    groups = [Group(theorem, tuple(found)) for theorem, found in by_theorem.items()]
    return sorted(groups, key=lambda one: -len(one.failures))


def _run_batch(seeds: Sequence[int]) -> Summary:
    reports = [run(scenario(seed)) for seed in seeds]
    reached: Counter[str] = Counter()
    for report in reports:
        reached.update(report.reached)
    return Summary(
        seeds=len(reports),
        failures=tuple(_failure(report) for report in reports if report.violation is not None),
        simulated_ms=sum(report.simulated_ms for report in reports),
        operations=sum(report.operations for report in reports),
        reached=reached,
    )


def _failure(report: Report) -> Failure:
    assert report.theorem is not None
    assert report.violation is not None
    finding = report.violation.partition("\n")[0].removeprefix(f"{report.theorem}: ")
    return Failure(report.scenario.seed, report.theorem, finding)
