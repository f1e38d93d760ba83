"""The film is shown to its end, tells the truth, and leaves nothing behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvstore import demo
from kvstore.demo import film

from .cluster import DEADLINE_S, ROOT, Cluster, eventually

pytestmark = pytest.mark.process


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Path]:
    """The directory for temporary files of the film; nothing may be left of it or in it."""
    directory = tmp_path / "stage"
    directory.mkdir()
    yield directory
    assert list(directory.iterdir()) == []
    assert processes_that_name(directory) == []


def processes_that_name(directory: Path) -> list[str]:
    """Command lines of running processes that mention a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(str(directory) in word for word in words):
            found.append(" ".join(words))
    return found


def start_demo(stage: Path) -> subprocess.Popen[str]:
    environ = {**Cluster.clean_environ(), "TMPDIR": str(stage), "KVSTORE_ELECTION_MS": "nonsense"}
    return subprocess.Popen(
        [sys.executable, "-m", "kvstore", "demo"],
        cwd=ROOT,
        env={**environ, "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def test_the_film_tells_the_whole_story_and_every_claim_holds(stage: Path) -> None:
    with start_demo(stage) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "\x1b" not in said, "no colours where there is no terminal"
    assert "✗" not in said
    for words in (
        "leads term 1",
        "is frozen (SIGSTOP)",
        "stepping down: saw term",
        "became follower",
        "NOTLEADER not leader, try node",
        "no term ever had two leaders",
        "Why this is safe",
    ):
        assert words in said, said
    assert f"All {said.count('✓')} claims held" in said


@pytest.mark.parametrize("scene", ["1. ", "4. "])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_film_leaves_nothing_behind(
    stage: Path, scene: str, number: signal.Signals
) -> None:
    with start_demo(stage) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(scene):
                break
        if scene == "1. ":
            eventually(lambda: len(processes_that_name(stage)) > 0, "a node was started")
        process.send_signal(number)
        said = process.stdout.read()
        assert process.wait(DEADLINE_S) == 130, said
    assert "Traceback" not in said


def test_a_claim_that_does_not_hold_fails_the_film(
    stage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(stage))
    monkeypatch.setattr(film.Film, "_settled_on", lambda _film, _node: "stale")
    assert demo.run() == 1
    said = capsys.readouterr().out
    assert "colour = stale: no." in said
    assert "Not every claim held" in said
