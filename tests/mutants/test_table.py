"""The tables of wrong versions keep up with the code; what each does is for `make mutants`."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from process.newer import EDITS

from .mutant import HINTS, SEEDS, Mutant
from .places import ROOT, place_of
from .table import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_version_fits_the_code(mutant: Mutant) -> None:
    """Who changes a line learns of it before all mutants are hunted."""
    place = place_of(mutant.place)
    ast.parse(place.edited((ROOT / place.file).read_text(), mutant.old, mutant.new))
    if mutant.test is not None:
        file, _, test = mutant.test.partition("::")
        assert f"def {test.partition('[')[0]}" in (ROOT / file).read_text()


def test_no_wrong_version_speaks_of_what_it_does_not_know(tmp_path: Path) -> None:
    """It would be noticed by a `NameError`, whatever it does wrong."""
    for number, mutant in enumerate(MUTANTS):
        place = place_of(mutant.place)
        edited = place.edited((ROOT / place.file).read_text(), mutant.old, mutant.new)
        (tmp_path / f"{number}.py").write_text(edited)
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", "-q"]
    options = ["--output-format", "concise", "--target-version", "py311"]
    found = subprocess.run([*ruff, *options, "."], cwd=tmp_path, capture_output=True, text=True)
    said = {
        MUTANTS[int(line.partition(".")[0])].name: line.rpartition("F821 ")[2]
        for line in found.stdout.splitlines()
    }
    assert said == {}


def test_there_are_enough_of_them_and_no_two_alike() -> None:
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.place, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)


def test_a_hint_is_one_of_the_seeds_that_are_searched_for_a_mutant_that_there_is() -> None:
    """Else run `MUTANT_HINTS=rewrite make mutants`."""
    assert HINTS.keys() <= {mutant.name for mutant in MUTANTS if mutant.test is None}
    assert all(seed in range(SEEDS) for seed in HINTS.values())


@pytest.mark.parametrize(("place", "old", "new"), EDITS)
def test_the_next_release_can_be_made_of_this_one(place: str, old: str, new: str) -> None:
    """As `tests/process/test_upgrade.py` does, which takes longer to tell."""
    found = place_of(place)
    assert new in found.edited((ROOT / found.file).read_text(), old, new)
