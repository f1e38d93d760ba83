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

from kvstore.cli.options import Command, option, options
from kvstore.printable import printable

if TYPE_CHECKING:
    from kvstore.sim.campaign import Group, Summary
    from kvstore.sim.run import Report
    from kvstore.sim.scenario import Scenario

_HELD: Final = 0
_BROKEN: Final = 1
_SEEDS_SHOWN: Final = 5
"""Of each theorem that was broken."""
_SHRINKING_S: Final = 120.0
"""For all stories together: a story that is not the shortest is told as well."""


@click.command(cls=Command, short_help="Run clusters in simulated worlds full of faults.")
@options(
    option("--seed", section="One run", type=click.IntRange(0), help="Run this seed, and tell it."),
    option(
        "--plan",
        section="One run",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Run the plan in this file, and tell it.",
    ),
    option("--faults", section="One run", metavar="LIST", help="Only these of its faults: 0,4,7."),
    option(
        "--shrink", section="One run", is_flag=True, help="Only the faults that a failure needs."
    ),
    option(
        "--save",
        section="One run",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        help="Write its plan to this file.",
    ),
    option("--lines", section="One run", default=60, show_default=True, help="Length of a story."),
    option(
        "--svg",
        section="One run",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        help="Draw the run to this file.",
    ),
    option("--window", section="One run", metavar="MS-MS", help="Draw only this time: 2000-3400."),
    option(
        "--seeds", section="Many runs", type=click.IntRange(1, 1 << 48), help="Run so many seeds."
    ),
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
    plan: Path | None,
    faults: str | None,
    shrink: bool,
    save: Path | None,
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
    if sum(given is not None for given in (seed, plan, seeds)) != 1:
        raise click.UsageError(
            "say either --seed N or --plan FILE, to replay one run, or --seeds N, to run many"
        )
    if seeds is not None:
        if faults is not None or svg is not None or save is not None or shrink:
            raise click.UsageError("--faults, --shrink, --save and --svg go with --seed or --plan")
        return _run_many(range(first, first + seeds), jobs, lines)
    scenario = _of_seed(seed) if plan is None else _of_file(plan)
    if faults is not None:
        scenario = _with_only(scenario, faults)
    if shrink:
        scenario = _shrunk(scenario, time.monotonic() + _SHRINKING_S)
    picture = None if svg is None else Picture(svg, *_window(window))
    return _tell(scenario, lines, picture, save)


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


def _of_seed(seed: int | None) -> Scenario:
    from kvstore.sim.scenario import scenario  # slow to load, and only needed here

    assert seed is not None
    return scenario(seed)


def _of_file(file: Path) -> Scenario:
    from kvstore.sim import recorded

    try:
        return recorded.read(file.read_bytes()).scenario
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file} is not a plan: {error}") from None


def _with_only(scenario: Scenario, kept: str) -> Scenario:
    from kvstore.sim.scenario import only_faults

    try:
        return only_faults(scenario, [int(number) for number in kept.split(",") if number.strip()])
    except ValueError:
        numbers = ",".join(str(fault.number) for fault in scenario.faults)
        raise click.UsageError(f"--faults takes some of its numbers, {numbers}") from None


def _shrunk(scenario: Scenario, deadline_s: float) -> Scenario:
    """Without the faults that its failure does not need, as far as there is time to try."""
    from kvstore.sim.run import run
    from kvstore.sim.shrink import shrink

    report = run(scenario)
    if report.violation is None:
        return scenario
    return shrink(report, run, lambda: time.monotonic() >= deadline_s)


def _tell(
    scenario: Scenario, lines: int, picture: Picture | None = None, save: Path | None = None
) -> int:
    """Run it, show how it went, and draw it and write it down where that was asked for."""
    from kvstore.sim.film import film
    from kvstore.sim.run import run

    report = run(scenario, traced=True)
    _describe(report)
    for line in film(report.trace, lines_max=lines):
        click.echo(line)
    if picture is not None:
        _draw(report, picture)
    if save is not None:
        _save(report, save)
    return _verdict(report)


def _save(report: Report, file: Path) -> None:
    from kvstore.sim import recorded

    about = (report.violation or "every promise held").partition("\n")[0]
    _write(file, recorded.write(recorded.Recorded(about, report.scenario)))
    click.echo(f"again: kvstore simulate --plan {printable(str(file))}")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise click.UsageError(f"cannot write {file}: {error.strerror}") from None


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
    _write(picture.file, svg)
    click.echo(f"drawn to {printable(str(picture.file))}")


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
    from kvstore.sim.campaign import group, run_campaign

    began = time.monotonic()
    summaries: list[Summary] = []
    shows_progress = sys.stderr.isatty()
    with click.progressbar(length=len(seeds), file=sys.stderr, hidden=not shows_progress) as bar:
        for summary in run_campaign(seeds, jobs):
            summaries.append(summary)
            bar.update(summary.seeds)
            for failure in summary.failures:
                click.echo(f"seed {failure.seed} breaks a promise: {failure.theorem}", err=True)
    _report(summaries, time.monotonic() - began, jobs)
    groups = group(failure for summary in summaries for failure in summary.failures)
    if not groups:
        click.echo("every promise held")
        return _HELD
    _list(groups)
    for broken in groups:
        _tell_smallest(broken, lines, _SHRINKING_S / len(groups))
    return _BROKEN


def _list(groups: Sequence[Group]) -> None:
    """All that failed, by theorem."""
    total = sum(len(broken.failures) for broken in groups)
    click.echo(f"{total:,} seeds break a promise")
    for broken in groups:
        click.echo(f"{len(broken.failures):9,}  {broken.theorem}: {broken.shortest}")
        for failure in broken.failures[:_SEEDS_SHOWN]:
            click.echo(f"           kvstore simulate --seed {failure.seed}")


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


def _tell_smallest(broken: Group, lines: int, shrinking_s: float) -> None:
    """The story of the first failing seed, without the faults that it does not need."""
    seed = broken.failures[0].seed
    scenario = _shrunk(_of_seed(seed), time.monotonic() + shrinking_s)
    click.echo("")
    _tell(scenario, lines)
    numbers = ",".join(str(fault.number) for fault in scenario.faults)
    click.echo(f"again: kvstore simulate --seed {seed} --faults '{numbers}'")
