"""What monitors read: in the words of Redis where it has them, else under names of our own."""

from __future__ import annotations

import re

import pytest
from process.cluster import connect, eventually
from process.resp import ask_for_text, dial

from .servers import Redis, Server

pytestmark = pytest.mark.process

OURS = ("kvstore_", "raft_", "revision")
"""How fields begin that Redis does not have."""


def test_a_field_of_info_has_the_name_section_and_type_that_redis_gives_it(
    store: Server, redis: Redis
) -> None:
    with connect(store.port) as ours, connect(redis.port) as theirs:
        ours.set("k", "v")
        theirs.set("k", "v")
        with dial(store.port) as connection:
            sections = re.findall(r"# (\w+)", ask_for_text(connection, b"INFO"))
        for section in sections:
            known = theirs.info(section)
            for name, value in ours.info(section).items():
                if not name.startswith(OURS):
                    assert name in known, f"{name} is in no section {section} of Redis"
                    assert type(value) is type(known[name]), name


def test_a_field_of_client_list_has_the_name_that_redis_gives_it(
    store: Server, redis: Redis
) -> None:
    with connect(store.port) as ours, connect(redis.port) as theirs:
        since_7_2 = {"lib-name", "lib-ver"}
        assert ours.client_list()[0].keys() - theirs.client_list()[0].keys() <= since_7_2


def test_a_field_of_cluster_info_has_the_name_that_redis_gives_it(
    store: Server, redis_cluster: Redis
) -> None:
    with connect(store.port) as ours, connect(redis_cluster.port) as theirs:
        assert ours.cluster("INFO").keys() <= theirs.cluster("INFO").keys()


def test_a_client_is_idle_since_it_said_something(store: Server) -> None:
    with connect(store.port, client_name="silent") as silent, connect(store.port) as other:
        silent.ping()

        def idle_s() -> int:
            return next(int(c["idle"]) for c in other.client_list() if c["name"] == "silent")

        eventually(lambda: idle_s() >= 1, "it is idle for a second")
        eventually(lambda: silent.ping() and idle_s() == 0, "it has just said something")
