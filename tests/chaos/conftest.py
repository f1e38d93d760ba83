"""Stages for tests: made, judged by the tests, and gone after each, with nothing left behind."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from process.conftest import CLUSTERS
from process.conftest import pytest_runtest_makereport as pytest_runtest_makereport

from .cluster import ChaosCluster, abilities
from .machine import is_root, made_by
from .stage import Stage
from .workload import Chatter

MakeStage = Callable[..., Stage]

needs_root = pytest.mark.skipif(not is_root(), reason="needs root: namespaces and mounts")


@pytest.fixture
def make_stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStage]:
    """Start a cluster and set up its clients: `make_stage(seed, environ={...})`."""
    clusters = request.node.stash.setdefault(CLUSTERS, [])
    with contextlib.ExitStack() as stack:

        def make(seed: int, environ: Mapping[str, str] | None = None, spares: int = 0) -> Stage:
            cluster = ChaosCluster(tmp_path, environ=environ, spares=spares)
            clusters.append(cluster)
            stack.enter_context(cluster.running())
            return Stage(cluster, Chatter(cluster, seed), seed)

        yield make
    if is_root():
        assert made_by(os.getpid()) == []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what chaos could not do here, beside what it found."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    if any("/chaos/" in getattr(report, "nodeid", "") for report in reports):
        terminalreporter.section("chaos on this machine")
        for line in abilities():
            terminalreporter.line(line)
