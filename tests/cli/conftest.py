"""A command line that runs in this process."""

from __future__ import annotations

import io
import os
import sys

import pytest

from kvstore.cli.main import main

from .shell import Ran, Run


@pytest.fixture
def run(
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
    signals_as_before: None,
) -> Run:
    """Runs a command line in this process."""
    # A machine that is busy is no reason for a line that no test expects.
    monkeypatch.setattr("kvstore.cli.patience.MOMENT_S", 60.0)
    for name in [name for name in os.environ if name.startswith("KVSTORE_")]:
        monkeypatch.delenv(name)

    def run_line(*words: str, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(words)
        captured = capfdbinary.readouterr()
        return Ran(code, captured.out, captured.err.decode())

    return run_line
