"""tools/soak.py: each limit can be broken, and the pipelines write what they were to write."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"
MB = 10**6


@pytest.fixture
def soak(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("soak")


def judged(
    soak: ModuleType, log: int = 0, private: int = 0, listens_s: float = 1.0, slow: float = 1.0
) -> list[str]:
    """What is broken by a run of three minutes, of which the last has `slow` times the rate."""
    rates = [1_000] * 120 + [round(1_000 * slow)] * 60
    samples = [soak.Sample(float(at), sum(rates[:at])) for at in range(181)]
    small, large = soak.Gauges(0, 0, 0), soak.Gauges(log, 0, private)
    measured = soak.Measured({1: small, 2: large, 3: small}, samples, listens_s, listens_s)
    return [one.what for one in soak.verdicts(measured) if one.holds is False]


def test_a_run_within_all_limits_passes(soak: ModuleType) -> None:
    assert judged(soak, 299 * MB, 149 * MB, 2.9, 0.86) == []


@pytest.mark.parametrize(
    ("what", "run"),
    [
        ("log and state of a node, at most", {"log": 300 * MB}),
        ("private memory of a node, at most", {"private": 150 * MB}),
        ("a killed node listens after", {"listens_s": 3.0}),
        ("rate of the last minute", {"slow": 0.84}),
    ],
)
def test_a_run_beyond_a_limit_fails(soak: ModuleType, what: str, run: dict[str, float]) -> None:
    assert judged(soak, **run) == [what]


def test_a_run_without_two_minutes_tells_nothing_of_its_rate(soak: ModuleType) -> None:
    samples = [soak.Sample(0.0, 0), soak.Sample(60.0, 60_000), soak.Sample(119.0, 60_001)]
    verdicts = soak.verdicts(soak.Measured({1: soak.NOTHING}, samples, 1.0, 1.0))
    assert {one.what for one in verdicts if one.holds is None} == {
        "and has caught up after",
        "rate of the last minute",
    }


def test_the_highest_sum_of_files_is_kept_and_the_highest_memory(soak: ModuleType) -> None:
    one, two = soak.Gauges(10, 5, 1), soak.Gauges(3, 4, 9)
    assert soak.highest(one, two) == soak.highest(two, one) == soak.Gauges(10, 5, 9)


@pytest.mark.parametrize(("share", "keys"), [(1_000, 100), (100, 1_000), (7, 7), (0, 10)])
def test_writers_write_their_shares_and_reach_every_key(
    soak: ModuleType, share: int, keys: int
) -> None:
    """Two writers; together they write all keys, if they are to write as many."""
    writers = soak.Writers(None, count=2, keys=keys, value_bytes=3)
    sent = [batch for number in (0, 1) for batch in writers._batches(number, share)]
    assert sum(size for _, size in sent) == 2 * share
    requests = b"".join(batch for batch, _ in sent)
    assert requests.count(b"$3\r\nvvv\r\n") == 2 * share
    names = {word for word in requests.split(b"\r\n") if word.startswith(b"key:")}
    assert len(names) == min(keys, 2 * share)
