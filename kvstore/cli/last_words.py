"""What `kvstore serve` says on standard error beside its log: above all, why it ends.

Law: where JSON is asked for, every line is JSON, however little of the command line can be
understood, and whoever speaks: this program, its threads, or Python.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from kvstore import logs
from kvstore.cli import streams
from kvstore.config.sources import wanted_log_format


class LastWords:
    """Speaks for a process that is to serve, from its first moment to its last.

    * Python's own ways to speak are taken over while it is entered.
    """

    def __init__(self, words: Sequence[str], environ: Mapping[str, str]) -> None:
        self._first_format = wanted_log_format(words, environ)

    def __enter__(self) -> Self:
        logs.configure(self._first_format)
        self._before = threading.excepthook, sys.unraisablehook, warnings.showwarning
        threading.excepthook = _tell_of_thread
        sys.unraisablehook = _tell_of_unraisable
        warnings.showwarning = _tell_warning
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        threading.excepthook, sys.unraisablehook, warnings.showwarning = self._before

    def say(self, kind: type[Exception], text: str) -> None:
        """Why the process ends, in one line."""
        if logs.are_json():
            logs.logger_for().critical(text, code=logs.code_of(kind))
        else:
            streams.tell(f"error: {text}")

    def crashed(self, error: Exception) -> None:
        """It ends by a mistake of its own, and whoever mends it wants to know where."""
        logs.logger_for().critical(
            f"ended by a mistake of its own: {type(error).__name__}: {error}",
            code="crashed",
            exc_info=error,
        )


def _tell_of_thread(hook: threading.ExceptHookArgs) -> None:
    _tell("a thread ended by an exception", hook.exc_value)


def _tell_of_unraisable(hook: Any) -> None:
    _tell(hook.err_msg or "an exception that nobody could be told of", hook.exc_value)


def _tell(text: str, error: BaseException | None) -> None:
    logs.logger_for().error(text, code="uncaught", exc_info=error)


def _tell_warning(
    message: Warning | str, category: type[Warning], *_where: object, **_more: object
) -> None:
    logs.logger_for().warning(f"{category.__name__}: {message}", code="python_warning")
