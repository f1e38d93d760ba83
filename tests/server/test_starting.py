"""What a start says while it takes long, under a clock of the test's own."""

from __future__ import annotations

import pytest
import structlog
from structlog.testing import CapturingLogger

from kvstore.server.starting import ApplyLog, StartLog


@pytest.fixture
def said() -> CapturingLogger:
    return CapturingLogger()


def logger(said: CapturingLogger) -> structlog.typing.FilteringBoundLogger:
    return structlog.make_filtering_bound_logger(0)(said, [], {})


def told(said: CapturingLogger) -> list[str]:
    return [call.kwargs["event"] for call in said.calls]


def test_a_fast_start_says_nothing_and_a_slow_one_a_line_a_second(said: CapturingLogger) -> None:
    now_ms = [0.0]
    start_log = StartLog(lambda: now_ms[0], logger(said))
    for done in range(0, 1_000_000, 1_000):
        start_log.heard("log entries", done, 1_000_000)
        now_ms[0] += 3.5
    assert told(said) == [
        f"starting: checked {done} of 1000000 log entries ({done // 10_000} %)"
        for done in (286_000, 572_000, 858_000)
    ]


def test_who_is_level_within_a_second_says_nothing(said: CapturingLogger) -> None:
    apply_log = ApplyLog(logger(said))
    for now_ms in range(0, 10_000, 100):
        behind = now_ms % 1_000 != 0
        apply_log.tick(now_ms, now_ms, now_ms + 50 * behind)
    assert told(said) == []


def test_who_applies_for_long_says_how_far_it_is_and_when_it_has_all(said: CapturingLogger) -> None:
    apply_log = ApplyLog(logger(said))
    apply_log.tick(0, 0, 0)
    for now_ms in range(100, 3_001, 100):
        apply_log.tick(now_ms, now_ms, 3_000)
    apply_log.tick(3_100, 3_000, 3_000)
    assert told(said) == [
        "applied 1000 of 3000 log entries (33 %)",
        "applied 2000 of 3000 log entries (66 %)",
        "applied all 3000 log entries",
    ]


def test_who_comes_no_further_does_not_repeat_itself(said: CapturingLogger) -> None:
    apply_log = ApplyLog(logger(said))
    apply_log.tick(0, 0, 0)
    for now_ms in range(100, 9_000, 100):
        apply_log.tick(now_ms, 7, 3_000)
    assert told(said) == ["applied 7 of 3000 log entries (0 %)"]
