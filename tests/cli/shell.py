"""How a shell sees the command, and what scripted nodes answer it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import BinaryIO, NamedTuple

from scripted_node import status_of

from kvstore import api

PATIENT = ("--timeout-ms", "20000")
"""For commands that would not wait long for an answer, where one comes."""
MISSING = api.GetResult(1, (None,))


def record(key: bytes, value: bytes) -> api.KeyValue:
    return api.KeyValue(key, value, create_revision=1, mod_revision=2, version=3)


def found(key: bytes, value: bytes) -> api.GetResult:
    return api.GetResult(2, (record(key, value),))


def status(node_id: int, role: str) -> api.StatusResult:
    return status_of(node_id, role=role)


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
