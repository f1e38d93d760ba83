"""Those who are asked, for all sequences of a process."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from .etcd import etcd_running, is_installed
from .gateway import Gateway


def _etcd() -> Iterator[Gateway]:
    if not is_installed() and "CI" not in os.environ:
        pytest.skip("etcd-server is not installed")
    with etcd_running() as etcd:
        yield etcd


etcd = pytest.fixture(scope="session", name="etcd")(_etcd)
second_etcd = pytest.fixture(scope="session", name="second_etcd")(_etcd)
