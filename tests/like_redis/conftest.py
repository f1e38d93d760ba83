"""Both servers, for all scripts of a process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .servers import Redis, Server, redis_running, store_running


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with store_running(tmp_path_factory.mktemp("store")) as store:
        yield store


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_running(tmp_path_factory.mktemp("redis")) as redis:
        if redis is None:
            pytest.skip("redis-server is not installed")
        yield redis


@pytest.fixture(scope="session")
def redis_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with redis_running(tmp_path_factory.mktemp("redis"), as_cluster=True) as redis:
        if redis is None:
            pytest.skip("redis-server is not installed")
        yield redis
