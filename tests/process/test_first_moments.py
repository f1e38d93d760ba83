"""Signals that come while a program still loads its modules: they end it in order, or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from .cluster import DEADLINE_S, ROOT, Cluster

pytestmark = pytest.mark.process

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
MOMENTS = (1, 2, 10, 50, 100, 150)
"""Which import it is that the signal comes with."""

# It sends itself the signal, so that no test has to be fast.
STRIKES = """
import os, signal, sys
number, moment, *words = sys.argv[1:]
seen = 0
def strike(event, arguments):
    global seen
    if event == "import":
        seen += 1
        if seen == int(moment):
            os.kill(os.getpid(), int(number))
signal.signal(signal.SIGHUP, signal.SIG_DFL)
sys.argv = ["kvstore", *words]
from kvstore.start import main
sys.addaudithook(strike)
code = main()
assert seen >= int(moment), seen
sys.exit(code)
"""


def command(number: signal.Signals, moment: int, *words: object) -> list[str]:
    strikes = [sys.executable, "-c", STRIKES, str(int(number)), str(moment)]
    return [*strikes, *map(str, words)]


def run(number: signal.Signals, moment: int, *words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(number, moment, *words),
        cwd=ROOT,
        env=Cluster.clean_environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("number", STOPS)
def test_a_node_that_is_told_to_stop_while_it_loads_ends_as_in_any_start(
    tmp_path: Path, number: signal.Signals, moment: int
) -> None:
    """It reads its settings from a pipe that nobody writes, and waits there if nothing ends it."""
    pipe = tmp_path / "settings"
    os.mkfifo(pipe)
    done = run(number, moment, "serve", "--id", 1, "--config", pipe)
    assert done.returncode == 0, done.stderr
    assert "stopped while it was starting" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_while_a_command_loads_ends_it_quietly(moment: int) -> None:
    done = run(signal.SIGINT, moment, "inspect", "--help")
    assert (done.returncode, done.stderr.strip()) == (130, "")


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_what_means_nothing_to_a_node_ends_none_that_loads(
    tmp_path: Path, number: signal.Signals
) -> None:
    cluster = Cluster(tmp_path, 1)
    _, _, _, *words = cluster.command(1)
    try:
        cluster.nodes[1].spawn(command(number, 50, *words), cluster.process_environ())
        cluster.wait_for_log(1, f"{number.name} means nothing to a node")
        cluster.wait_until_answers(1)
    finally:
        cluster.close()
