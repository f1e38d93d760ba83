"""COMMAND DOCS, by which redis-cli helps: in words of our own, in the form of Redis."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

import pytest
from process.cluster import DEADLINE_S, connect

from .cases import parts
from .servers import Redis, Server

pytestmark = pytest.mark.process


def arguments(server: Server, name: str) -> list[dict[str, Any]]:
    with connect(server.port, protocol=3, decode_responses=True) as client:
        told = client.execute_command("COMMAND DOCS", name)[name].get("arguments", [])
    return [{k: v for k, v in one.items() if k != "display_text"} for one in told]


@pytest.mark.parametrize(
    "name",
    parts("""
        get | del | exists | mget | incr | incrby | decr | decrby | strlen | dbsize | echo | ping
        select | info | client|id | client|getname | multi | readonly
    """),
)
def test_arguments_are_told_as_redis_tells_them(name: str, store: Server, redis: Redis) -> None:
    assert arguments(store, name) == arguments(redis, name)


def test_redis_cli_helps_with_what_there_is(store: Server) -> None:
    tool = shutil.which("redis-cli")
    if tool is None:
        pytest.skip("redis-cli is not installed")
    done = subprocess.run(
        [tool, "-p", str(store.port)],
        input="help set\nhelp client list\n",
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    assert "SET key value [NX|XX|IFEQ value] [GET]" in text
    assert "CLIENT LIST [TYPE NORMAL|MASTER|REPLICA|PUBSUB|ID id [id ...]]" in text
