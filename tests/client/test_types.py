"""A program that uses the package, as a strict type checker sees it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest
from test_architecture import ROOT

from kvstore import Client
from kvstore.client.blocking import Settings

PROGRAM = """
import kvstore
from kvstore import Client, KeyValue

def use(client: Client, pairs: dict[str, bytes]) -> int | None:
    record: KeyValue | None = client.get(memoryview(b"k"))
    token: int = client.put("lock", bytearray(b"me"), if_absent=True).revision
    client.put_many(pairs, guard=("lock", token))
    client.put_many((key, value) for key, value in pairs.items())
    found: list[KeyValue | None] = client.get_many(["a", b"b"])
    keys: list[bytes] = [one.key for one in client.scan("a", limit=2, reverse=True)]
    try:
        client.delete("a", *keys, guard=("lock", token))
    except kvstore.GuardFailedError as error:
        return error.mod_revision
    except kvstore.NotLeaderError as error:
        print(error.leader, error.code, error.retryable, kvstore.__version__)
    return len(found) if record else None

class Mine(Client):
    pass

mine: Mine = Mine.from_env(timeout_ms=5, addresses=["db1.example"])
"""
WRONG = {
    "Client.from_env(timeout=5)": 'Unexpected keyword argument "timeout"',
    "Client.from_env(timeout_ms=0.5)": 'Argument "timeout_ms"',
    "mine.put('k', 5)": 'Argument 2 to "put"',
    "mine.put_many({'k': 5})": 'Argument 1 to "put_many"',
    "mine.get('k').value": 'has no attribute "value"',
}


def checked(program: str, place: Path) -> list[str]:
    """What mypy finds, a line each."""
    file = place / "program.py"
    file.write_text(program)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--config-file="]
    ran = subprocess.run(
        [*command, str(file)], cwd=ROOT, capture_output=True, text=True, timeout=110, check=False
    )
    assert ran.stderr == ""
    return [line for line in ran.stdout.splitlines() if " error: " in line]


def test_a_program_has_types_and_what_is_wrong_in_it_is_told(tmp_path: Path) -> None:
    lines = PROGRAM.count("\n")
    found = checked(PROGRAM + "\n".join(WRONG), tmp_path)
    assert [line.split(":")[1] for line in found] == [
        str(lines + number) for number, _ in enumerate(WRONG, 1)
    ]
    for line, words in zip(found, WRONG.values(), strict=True):
        assert words in line


def test_from_env_takes_all_that_a_client_takes() -> None:
    assert set(Settings.__annotations__) == set(inspect.signature(Client).parameters)
    with pytest.raises(TypeError, match="timeout"):
        Client.from_env(timeout=5)  # type: ignore[call-arg]
