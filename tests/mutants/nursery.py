"""Where hunts are born: a process that has loaded what all of them need, and forks for each.

Law: it knows nothing of the product. A hunt takes that from the directory that it is given, and
whatever it does ends with it.

A line in is a hunt, `{"directory": ..., "arguments": [...], "output": FILE}`; a line out is its
exit code. A hunt whose first argument is a file runs that, any other is one of pytest.
"""

from __future__ import annotations

import json
import os
import runpy
import select
import signal
import sys
import traceback
from importlib import import_module
from typing import NoReturn

import pytest

for name in ("click", "crc32c", "hiredis", "hypothesis", "lmdb", "msgspec", "redis", "structlog"):
    import_module(name)

NEVER_BEGAN = 70
DEADLINE_S = 240.0
"""Only against a hunt that never ends; far above what any needs."""


def bear(directory: str, arguments: list[str], output: str) -> int:
    """Run one hunt to its end; its exit code, below zero for the signal that ended it."""
    child = os.fork()
    if child == 0:
        live(directory, arguments, output)
    ends = os.pidfd_open(child)
    if not select.select([ends], [], [], DEADLINE_S)[0]:
        os.killpg(child, signal.SIGKILL)
    os.close(ends)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def live(directory: str, arguments: list[str], output: str) -> NoReturn:
    """The hunt itself, in a process of its own, which leads all that it starts."""
    code = NEVER_BEGAN
    try:
        os.setpgid(0, 0)
        for stream in (1, 2):
            os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(directory)
        os.environ["PYTHONPATH"] = directory
        sys.path[0] = directory
        code = 1
        code = hunt(arguments)
    except Exception:
        # Pytest raises what nobody could be told of earlier, after a test that failed.
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def hunt(arguments: list[str]) -> int:
    if not arguments[0].endswith(".py"):
        return int(pytest.main(arguments))
    sys.argv = arguments
    try:
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    return 0


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(f"{bear(**json.loads(line))}\n")
        sys.stdout.flush()
