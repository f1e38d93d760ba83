"""The tables of wrong versions keep up with the code; what each does is for `make mutants`."""

from __future__ import annotations

import ast

import pytest

from .mutant import ROOT, Mutant
from .table import MUTANTS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_wrong_version_fits_the_code(mutant: Mutant) -> None:
    """Who moves a line learns of it before all mutants are hunted."""
    source = (ROOT / mutant.file).read_text()
    assert source.count(mutant.old) == 1
    ast.parse(source.replace(mutant.old, mutant.new))
    if mutant.test is not None:
        assert (ROOT / mutant.test.partition("::")[0]).exists()


def test_there_are_enough_of_them_and_no_two_alike() -> None:
    assert len(MUTANTS) >= 30
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    assert len({(mutant.file, mutant.old, mutant.new) for mutant in MUTANTS}) == len(MUTANTS)
