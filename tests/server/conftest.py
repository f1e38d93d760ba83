"""Connections for tests: to a node that leads alone, and to one of three that follows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .line import Line


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


@pytest.fixture
def follower() -> Iterator[Line]:
    line = Line(members=3)
    yield line
    line.close()
