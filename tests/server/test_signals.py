"""What signals are noted as, sent to this process under a clock of the test's own."""

from __future__ import annotations

import os
import selectors
import signal
import threading
from collections.abc import Iterator

import pytest
import structlog

from kvstore.server.signals import Signals, Stopped

pytestmark = pytest.mark.usefixtures("signals_as_before")

STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
NOTHING = (signal.SIGUSR1, signal.SIGUSR2)


class Noted:
    """The signals of a node that has started, and a clock."""

    def __init__(self) -> None:
        self.now_ms = 0.0
        self.signals = Signals(lambda: self.now_ms, structlog.get_logger())
        self.signals.may_interrupt = False

    def send(self, number: int) -> None:
        os.kill(os.getpid(), number)


@pytest.fixture
def noted() -> Iterator[Noted]:
    noted = Noted()
    with noted.signals:
        yield noted


@pytest.mark.parametrize("number", STOPS)
def test_a_signal_that_stops_is_noted_and_wakes_who_sleeps(
    noted: Noted, number: signal.Signals
) -> None:
    noted.send(number)
    assert noted.signals.stops
    assert not noted.signals.is_pressed
    with selectors.DefaultSelector() as selector:
        selector.register(noted.signals.waker, selectors.EVENT_READ)
        assert selector.select(5.0)
        noted.signals.on_events(selectors.EVENT_READ)
        assert not selector.select(0.0)


def test_two_at_once_are_one_request_and_a_later_one_is_another(noted: Noted) -> None:
    """`timeout` sends two, and so does Ctrl-C beside a supervisor."""
    noted.send(signal.SIGINT)
    noted.now_ms = 100.0
    noted.send(signal.SIGTERM)
    assert not noted.signals.is_pressed
    noted.now_ms = 1_000.0
    noted.send(signal.SIGTERM)
    assert noted.signals.is_pressed


@pytest.mark.parametrize("number", STOPS)
def test_a_start_is_interrupted_wherever_it_is_and_once(
    noted: Noted, number: signal.Signals
) -> None:
    noted.signals.may_interrupt = True
    with pytest.raises(Stopped):
        noted.send(number)
    noted.send(number)
    assert noted.signals.stops


@pytest.mark.parametrize("number", NOTHING)
def test_what_means_nothing_says_so(
    noted: Noted, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    noted.signals.may_interrupt = True
    noted.send(number)
    noted.signals.on_events(selectors.EVENT_READ)
    assert not noted.signals.stops
    assert f"{number.name} means nothing to a node" in "".join(capsys.readouterr())


def test_a_signal_that_comes_after_the_end_takes_no_exit_code_from_it() -> None:
    with Signals(lambda: 0.0, structlog.get_logger()):
        pass
    for number in (*STOPS, *NOTHING):
        os.kill(os.getpid(), number)


def test_a_signal_in_the_midst_of_the_end_takes_no_exit_code_from_a_start_that_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`Stopped` in place of what went wrong would be a good end."""
    ignore = signal.signal

    def told_meanwhile(number: int, handler: signal.Handlers) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        ignore(number, handler)

    def start() -> None:
        with Signals(lambda: 0.0, structlog.get_logger()):
            monkeypatch.setattr(signal, "signal", told_meanwhile)
            raise RuntimeError("the disk")

    with pytest.raises(RuntimeError, match="the disk"):
        start()


def test_what_was_held_back_is_heard_when_there_is_somebody_to_hear_it() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    # Other threads of the tests do not hold it back.
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
    with Signals(lambda: 0.0, structlog.get_logger()) as signals:
        assert not signals.stops
        with pytest.raises(Stopped):
            signals.hear_what_was_held()
        assert signals.asked_by == "SIGTERM"


def test_a_terminal_that_is_closed_does_not_end_what_was_started_with_nohup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Signals(lambda: 0.0, structlog.get_logger()) as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not signals.stops
