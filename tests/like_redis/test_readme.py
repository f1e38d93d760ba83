"""The README says what the tables show."""

from __future__ import annotations

from process.cluster import ROOT

from . import differences
from .cases import Difference
from .table import CASES, TOLD

REASONS = [d.reason for d in vars(differences).values() if isinstance(d, Difference)]


def test_the_readme_lists_the_differences_in_these_words() -> None:
    _, _, rest = (ROOT / "README.md").read_text().partition("<!-- differences -->\n")
    listed = rest.partition("\n\n")[0].removeprefix("- ").split("\n- ")
    assert [" ".join(item.split()) for item in listed] == REASONS


def test_each_difference_is_shown() -> None:
    assert {case.reason for case in TOLD} - {""} == set(REASONS)


def test_no_script_is_told_twice() -> None:
    scripts = [(case.script, case.in_cluster) for case in TOLD]
    assert len(scripts) == len(set(scripts))


def test_there_are_as_many_scripts_as_the_readme_says() -> None:
    assert len(CASES) >= 1_000
