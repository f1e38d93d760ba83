"""What is tried in vain is told once, and tried ever less often until it succeeds."""

from __future__ import annotations

from kvstore.server.setback import Setback


def waits_ms(setback: Setback, times: int) -> list[float]:
    """How long each of so many tries in vain is waited for, as whole steps of a second."""
    found, now_ms = list[float](), 0.0
    for _ in range(times):
        assert setback.is_over(now_ms)
        setback.add("no room", now_ms)
        steps = next(step for step in range(100) if setback.is_over(now_ms + 1_000.0 * step))
        found.append(1_000.0 * steps)
        now_ms += found[-1]
    return found


def test_each_wait_is_twice_the_last_one_up_to_a_minute() -> None:
    setback = Setback()
    assert waits_ms(setback, 9) == [1e3, 2e3, 4e3, 8e3, 16e3, 32e3, 60e3, 60e3, 60e3]


def test_what_has_succeeded_is_tried_again_as_soon_as_if_it_had_never_failed() -> None:
    """Else who needs a snapshot an hour later waits a minute for what takes a second."""
    setback = Setback()
    waits_ms(setback, 9)
    setback.clear()
    assert setback.reason == ""
    assert waits_ms(setback, 2) == [1e3, 2e3]


def test_why_it_cannot_be_is_news_once_until_it_succeeds() -> None:
    setback = Setback()
    assert setback.add("no room", 0.0)
    assert not setback.add("no map", 1_000.0)
    assert setback.reason == "no map"
    setback.clear()
    assert setback.add("no map", 2_000.0)
