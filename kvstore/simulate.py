"""The `kvstore simulate` command: seeds in, a verdict out.

Law: it shows what `kvstore.sim` finds and decides nothing. A seed that fails is
always shown with the command that runs it again.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from kvstore.options import Command, option, options

if TYPE_CHECKING:
    from kvstore.sim.campaign import Summary
    from kvstore.sim.world import Report, Scenario

_HELD: Final = 0
_BROKEN: Final = 1


@click.command(cls=Command, short_help="Run clusters in simulated worlds full of faults.")
@options(
    option("--seed", section="One run", type=click.IntRange(0), help="Run this seed, and tell it."),
    option("--faults", section="One run", metavar="LIST", help="Only these of its faults: 0,4,7."),
    option("--lines", section="One run", default=60, show_default=True, help="Length of a story."),
    option(
        "--svg",
        section="One run",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        help="Draw the run to this file.",
    ),
    option("--window", section="One run", metavar="MS-MS", help="Draw only this time: 2000-3400."),
    option("--seeds", section="Many runs", type=click.IntRange(1), help="Run so many seeds."),
    option(
        "--first",
        section="Many runs",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        help="The first of them.",
    ),
    option(
        "--jobs",
        section="Many runs",
        type=click.IntRange(1, 64),
        default=1,
        show_default=True,
        help="Processes to run them on.",
    ),
)
def simulate(
    seed: int | None,
    faults: str | None,
    lines: int,
    svg: Path | None,
    window: str | None,
    seeds: int | None,
    first: int,
    jobs: int,
) -> int:
    """Run whole clusters in simulated worlds full of faults, and check every promise.

    The same seed is the same run, always. The exit code is 1 if a promise is broken.
    """
    if (seed is None) == (seeds is None):
        raise click.UsageError("say either --seed N, to replay one run, or --seeds N, to run many")
    if seed is not None:
        picture = None if svg is None else Picture(svg, *_window(window))
        return _tell(_plan(seed, faults), lines, picture)
    if faults is not None or svg is not None:
        raise click.UsageError("--faults and --svg go with --seed")
    assert seeds is not None
    return _run_many(range(first, first + seeds), jobs, lines)


# --- One seed -----------------------------------------------------------------------------


class Picture(NamedTuple):
    """Where to draw a run, and which part of it."""

    file: Path
    from_ms: float | None
    to_ms: float | None


def _window(text: str | None) -> tuple[float | None, float | None]:
    if text is None:
        return None, None
    start, _, end = text.partition("-")
    if not (start.isdecimal() and end.isdecimal() and int(start) < int(end)):
        raise click.UsageError("--window takes two times in ms, such as 2000-3400")
    return float(start), float(end)


def _plan(seed: int, kept: str | None) -> Scenario:
    from kvstore.sim.world import only_faults, scenario  # slow to load, and only needed here

    plan = scenario(seed)
    if kept is None:
        return plan
    try:
        numbers = [int(number) for number in kept.split(",") if number.strip()]
        return only_faults(plan, numbers)
    except (ValueError, IndexError):
        raise click.UsageError(
            f"--faults takes numbers from 0 to {len(plan.faults) - 1}, such as 0,4"
        ) from None


def _tell(plan: Scenario, lines: int, picture: Picture | None) -> int:
    """Run it, show how it went, and draw it where that was asked for."""
    from kvstore.sim.film import film
    from kvstore.sim.world import run

    report = run(plan, traced=True)
    _describe(report)
    for line in film(report.trace, lines_max=lines):
        click.echo(line)
    if picture is not None:
        _draw(report, picture)
    return _verdict(report)


def _draw(report: Report, picture: Picture) -> None:
    from kvstore.sim.diagram import draw

    title = f"seed {report.scenario.seed}"
    if report.violation is not None:
        title += f": {report.violation.splitlines()[0]}"
    svg = draw(
        report.trace,
        report.scenario.members,
        title=title,
        from_ms=picture.from_ms,
        to_ms=picture.to_ms,
        is_stretched=True,
    )
    try:
        picture.file.write_text(svg)
    except OSError as error:
        raise click.UsageError(f"cannot write {picture.file}: {error.strerror}") from None
    click.echo(f"drawn to {picture.file}")


def _describe(report: Report) -> None:
    plan = report.scenario
    click.echo(
        f"seed {plan.seed}: {len(plan.members)} nodes, {plan.clients} clients,"
        f" {report.operations} operations, {report.simulated_ms / 1000:.1f} simulated seconds,"
        f" digest {report.digest}"
    )
    for fault in plan.faults:
        click.echo(f"  fault {fault.number}: {fault}")


def _verdict(report: Report) -> int:
    if report.violation is None:
        click.echo("every promise held")
        return _HELD
    click.echo(f"BROKEN  {report.violation}")
    return _BROKEN


# --- Many seeds ---------------------------------------------------------------------------


def _run_many(seeds: Sequence[int], jobs: int, lines: int) -> int:
    from kvstore.sim.campaign import run_campaign

    began = time.monotonic()
    summaries: list[Summary] = []
    shows_progress = sys.stderr.isatty()
    with click.progressbar(length=len(seeds), file=sys.stderr, hidden=not shows_progress) as bar:
        for summary in run_campaign(seeds, jobs):
            summaries.append(summary)
            bar.update(summary.seeds)
    _report(summaries, time.monotonic() - began, jobs)
    failures = sorted(failure for summary in summaries for failure in summary.failures)
    if not failures:
        click.echo("every promise held")
        return _HELD
    click.echo(f"{len(failures)} seeds break a promise, the first is {failures[0][0]}")
    return _tell_smallest(failures[0][0], lines)


def _report(summaries: Sequence[Summary], seconds: float, jobs: int) -> None:
    reached: Counter[str] = Counter()
    for summary in summaries:
        reached.update(summary.reached)
    simulated = sum(summary.simulated_ms for summary in summaries) / 1000
    click.echo(
        f"{sum(summary.seeds for summary in summaries):,} seeds, {simulated:,.0f} simulated seconds"
        f" in {seconds:.1f}: {simulated / seconds / jobs:,.0f} per second and process;"
        f" {sum(summary.operations for summary in summaries):,} operations"
    )
    for what, times in sorted(reached.items()):
        click.echo(f"  {times:9,}  {what}")


def _tell_smallest(seed: int, lines: int) -> int:
    """The story of a failing seed, without the faults that it does not need."""
    from kvstore.sim.shrink import shrink
    from kvstore.sim.world import run, scenario

    plan = shrink(run(scenario(seed)), run)
    code = _tell(plan, lines, None)
    numbers = ",".join(str(fault.number) for fault in plan.faults)
    click.echo(f"again: kvstore simulate --seed {seed} --faults '{numbers}'")
    return code
