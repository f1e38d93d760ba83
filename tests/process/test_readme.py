"""What README shows of Python does what it says, on a new cluster, line by line."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from .cluster import DEADLINE_S, ROOT, Cluster
from .conftest import MakeCluster

pytestmark = pytest.mark.process

EXAMPLE = re.compile(r"```python\n(.*?)```\n.*?```\n(.*?)```", re.DOTALL)
"""A program, and what it prints: the block that follows it."""


def examples() -> list[tuple[str, str]]:
    _, _, rest = (ROOT / "README.md").read_text().partition("\n## From Python\n")
    section, _, _ = rest.partition("\n## ")
    return EXAMPLE.findall(section)


def run(program: str, cluster: Cluster, leader: int) -> str:
    """As it stands there, but for the ports: those of README may be somebody else's."""
    ports = {
        f'"127.0.0.1:{9_000 + node.id}"': f'"127.0.0.1:{node.port}"'
        for node in cluster.nodes.values()
    }
    ports |= {
        f"127.0.0.1:{9_000 + node.id}": f"127.0.0.1:{node.port}" for node in cluster.nodes.values()
    }
    ports['"127.0.0.1", 9002'] = f'"127.0.0.1", {cluster.nodes[leader].port}'
    for shown, port in ports.items():
        program = program.replace(shown, port)
    assert not re.search(r"\b900[0-9]\b", program), "a port that is not replaced"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def test_the_examples_in_python_print_what_readme_says(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    leader = cluster.wait_for_leader()
    shown = examples()
    assert [program.split("\n")[0] for program, _ in shown] == [
        "import kvstore",
        "from kvstore import Client, TransactionFailedError, key, keys",
        "import time",
        "import redis",
    ]
    for program, printed in shown:
        assert run(program, cluster, leader) == printed


@pytest.mark.parametrize(("health", "code"), [("true", 0), ("false", 1)])
def test_the_unit_of_readme_does_not_wait_for_a_node_that_has_ended(health: str, code: int) -> None:
    found = re.search(r"^ExecStartPost=/bin/sh -c '(.*)'$", (ROOT / "README.md").read_text(), re.M)
    assert found is not None
    script = found[1].replace("/usr/bin/kvstore health", health).replace("$$", "$")
    with subprocess.Popen(["true"]) as ended:
        ended.wait(DEADLINE_S)
    environ = {**Cluster.clean_environ(), "MAINPID": str(ended.pid)}
    assert (
        subprocess.run(["sh", "-c", script], env=environ, timeout=30, check=False).returncode
        == code
    )
