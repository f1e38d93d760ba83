"""What all hunts are made from, and the kill table at their end."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from .mutant import HINTS, HINTS_FILE, make_original
from .table import MUTANTS


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The right version, copied and compiled."""
    directory = tmp_path_factory.mktemp("mutants") / "original"
    make_original(directory)
    return directory


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ends = dict(
        properties["mutant"]
        for reports in terminalreporter.stats.values()
        for report in reports
        if "mutant" in (properties := dict(getattr(report, "user_properties", ())))
    )
    if not ends:
        return
    terminalreporter.section(f"{len(ends)} mutants")
    width = max(map(len, ends))
    for name in (mutant.name for mutant in MUTANTS if mutant.name in ends):
        terminalreporter.write_line(f"{name:{width}}  {ends[name]}")
    if os.environ.get("MUTANT_HINTS") == "rewrite":
        _rewrite_hints(ends)


def _rewrite_hints(ends: dict[str, str]) -> None:
    found = {name: re.search(r"seed (\d+)", end) for name, end in ends.items()}
    hints = {**HINTS, **{name: int(seed[1]) for name, seed in found.items() if seed}}
    names = [mutant.name for mutant in MUTANTS if mutant.test is None]
    kept = {name: hints[name] for name in names if name in hints}
    HINTS_FILE.write_text(json.dumps(kept, indent=1) + "\n")
