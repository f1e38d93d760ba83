"""Hunts the mutants of a run, one on each processor, and shows the kill table at its end."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from .mutant import Kill, Mutant, hunt

HUNTS = pytest.StashKey[dict[Mutant, Future[Kill | None]]]()


@pytest.fixture(scope="session")
def hunts(request: pytest.FixtureRequest) -> Iterator[dict[Mutant, Future[Kill | None]]]:
    """The hunts for all mutants that this run asks for, in the order of their tests."""
    tests = (getattr(test, "callspec", None) for test in request.session.items)
    wanted = [test.params["mutant"] for test in tests if test and "mutant" in test.params]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        under_way = {mutant: pool.submit(_hunt, mutant) for mutant in wanted}
        request.config.stash[HUNTS] = under_way
        yield under_way
        pool.shutdown(cancel_futures=True)


def _hunt(mutant: Mutant) -> Kill | None:
    with tempfile.TemporaryDirectory() as directory:
        return hunt(mutant, Path(directory))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    under_way = config.stash.get(HUNTS, {})
    kills = {
        mutant: one.result()
        for mutant, one in under_way.items()
        if one.done() and not one.cancelled() and one.exception() is None
    }
    if not kills:
        return
    terminalreporter.section(f"{len(kills)} mutants")
    width = max(len(mutant.name) for mutant in kills)
    for mutant, kill in kills.items():
        end = "SURVIVES" if kill is None else f"{kill.seconds:5.1f} s  {kill.by}"
        terminalreporter.write_line(f"{mutant.name:{width}}  {end}")
