"""How a shell sees the command, and what scripted nodes answer it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO, NamedTuple

from kvstore import api

MISSING = api.GetResult(1, (None,))


def record(key: bytes, value: bytes) -> api.KeyValue:
    return api.KeyValue(key, value, create_revision=1, mod_revision=2, version=3)


def found(key: bytes, value: bytes) -> api.GetResult:
    return api.GetResult(2, (record(key, value),))


def status(node_id: int, role: str) -> api.StatusResult:
    return api.StatusResult(
        node_id=node_id,
        cluster_id="kvstore-1a2b3c4d",
        incarnation="i",
        role=role,
        term=7,
        voted_for=1,
        leader_id=1,
        leader_address="127.0.0.1:9001",
        commit_index=30,
        last_applied=29,
        last_log_index=31,
        revision=12,
        keys=5,
        members={1: "127.0.0.1:9001"},
        match_index={},
    )


class Ran(NamedTuple):
    code: int
    out: bytes
    err: str


Run = Callable[..., Ran]


def spawn(words: Sequence[str], stdout: int | BinaryIO) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "kvstore", *words]
    # Buffered as for users, because it is at exit that a buffer may complain.
    environ = {name: os.environ[name] for name in os.environ if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, env=environ)
