"""Shows the kill table at the end of a run that hunted mutants."""

from __future__ import annotations

import pytest

from .mutant import Kill, Mutant

KILLS = pytest.StashKey[dict[Mutant, Kill | None]]()


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> dict[Mutant, Kill | None]:
    """What became of each mutant so far."""
    return request.config.stash.setdefault(KILLS, {})


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    kills = config.stash.get(KILLS, {})
    if not kills:
        return
    terminalreporter.section(f"{len(kills)} mutants")
    width = max(len(mutant.name) for mutant in kills)
    for mutant, kill in kills.items():
        end = "SURVIVES" if kill is None else f"{kill.seconds:5.1f} s  {kill.by}"
        terminalreporter.write_line(f"{mutant.name:{width}}  {end}")
