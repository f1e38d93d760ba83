"""What is said of etcd in `differences.py` is so."""

from __future__ import annotations

import pytest

from .answers import play
from .differences import DIFFERENCES, Difference
from .gateway import Gateway
from .naive import Naive


@pytest.mark.process
@pytest.mark.parametrize("told", DIFFERENCES, ids=str)
def test_etcd_differs_where_it_is_said_to_differ(told: Difference, etcd: Gateway) -> None:
    *same, differs = zip(play(etcd, told.steps), play(Naive(), told.steps), strict=True)
    assert all(theirs == wanted for theirs, wanted in same)
    theirs, wanted = differs
    assert theirs != wanted, "the difference is no more: draw it"
