"""Clusters for tests: ended and audited after each, their logs shown with a failure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, running

LOG_LINES_SHOWN = 60
CLUSTERS = pytest.StashKey[list[Cluster]]()

MakeCluster = Callable[..., Cluster]


@pytest.fixture
def make_cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeCluster]:
    """Start a cluster: `make_cluster(size=3, links=False, environ={...})`."""
    clusters = request.node.stash.setdefault(CLUSTERS, [])
    with contextlib.ExitStack() as stack:

        def make(size: int = 3, **options: object) -> Cluster:
            directory = tmp_path / f"cluster{len(clusters)}"
            directory.mkdir()
            cluster = Cluster(directory, size, **options)  # type: ignore[arg-type]
            clusters.append(cluster)
            return stack.enter_context(running(cluster))

        yield make
    for cluster in clusters:
        if cluster.is_audited:
            assert cluster.audit() == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the servers logged beside the failure of a test."""
    report = yield
    if report.failed:
        for cluster in item.stash.get(CLUSTERS, []):
            for node in cluster.nodes.values():
                tail = "\n".join(node.log.splitlines()[-LOG_LINES_SHOWN:])
                report.sections.append((f"log of node {node.id}", tail))
    return report
