"""What a node is asked by signals, from before it starts until it has ended.

Law: SIGTERM, SIGINT and SIGHUP ask it to stop. While it starts, that ends the start, wherever
it is: nothing was promised to anybody, and a start may be killed at any moment. Later the first
one lets it hand over and answer, and the next one does not wait for that. SIGUSR1 and SIGUSR2
mean nothing, and say so in the log. No signal but SIGKILL, SIGQUIT and those of broken
programs ends it without a word.

It must not know what stopping takes. Its handlers only note; who has a turn of the loop reads.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Final

from structlog.typing import FilteringBoundLogger

_STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_MEAN_NOTHING: Final = (signal.SIGUSR1, signal.SIGUSR2)
_SAME_REQUEST_MS: Final = 200.0
"""`timeout`, and a supervisor beside a terminal, send two at once, and mean one."""


class Stopped(BaseException):
    """The node was asked to stop while it started."""


class Signals:
    """Notes signals while its `with` block runs; after it, they are ignored.

    * `stops`: the node was asked to stop; `is_pressed`: again, so it should not wait.
    * Until `may_interrupt` is taken back, being asked to stop raises `Stopped`.
    * Whichever comes, `waker` becomes readable, and `on_events` is to be called.
    """

    comes_first = True
    served = 0

    def __init__(self, clock_ms: Callable[[], float], log: FilteringBoundLogger) -> None:
        self.stops = False
        self.asked_by = ""
        """The name of the signal that asked first."""
        self.is_pressed = False
        self.may_interrupt = True
        self._asked_ms = 0.0
        self._clock_ms = clock_ms
        self._log = log
        self.waker, self._wakes = socket.socketpair()

    def __enter__(self) -> Signals:
        for end in (self.waker, self._wakes):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        for number in (*_STOPS, *_MEAN_NOTHING):
            if not _is_nohup(number):
                signal.signal(number, self._on_stop if number in _STOPS else _on_nothing)
        return self

    def hear_what_was_held(self) -> None:
        """Hear what came while the program loaded, which held it back for us."""
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def __exit__(self, *_: object) -> None:
        # The process ends by itself now, and no late signal may take its exit code from it.
        self.may_interrupt = False
        for number in (*_STOPS, *_MEAN_NOTHING):
            signal.signal(number, signal.SIG_IGN)
        signal.set_wakeup_fd(-1)
        self.waker.close()
        self._wakes.close()

    def on_events(self, _mask: int) -> None:
        """Take what has come; say what means nothing."""
        for number in self.waker.recv(64):
            if number in _MEAN_NOTHING:
                name = signal.Signals(number).name
                text = f"{name} means nothing to a node, and changes nothing"
                self._log.info(text, code="signal_ignored")

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        now_ms = self._clock_ms()
        if not self.stops:
            self.stops, self._asked_ms = True, now_ms
            self.asked_by = signal.Signals(number).name
        elif now_ms - self._asked_ms > _SAME_REQUEST_MS:
            self.is_pressed = True
        if self.may_interrupt:
            self.may_interrupt = False
            raise Stopped


def _on_nothing(_number: int, _frame: FrameType | None) -> None:
    """The loop tells of it."""


def _is_nohup(number: signal.Signals) -> bool:
    """Whether who started the node wants it to outlive the terminal."""
    return number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN
