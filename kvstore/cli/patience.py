"""What a command tells of its waiting, before somebody takes it for dead.

Law: a line on standard error for each thing that is waited for longer than a moment. What is
done stays as it is, and so does standard output.

This module must not know what is waited for, nor who waits.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from kvstore.cli import streams

MOMENT_S = 1.0
"""Who waits no longer than that need not be told."""
_LOOK_S: Final = 0.1

Waiting: TypeAlias = tuple[float, str]
"""Since when (`time.monotonic`), and what for."""


@contextlib.contextmanager
def told(waiting: Callable[[], Waiting | None]) -> Iterator[None]:
    """Within this context, tell once of everything that is waited for."""
    has_ended = threading.Event()

    def watch() -> None:
        last = 0.0
        while not has_ended.wait(_LOOK_S):
            found = waiting()
            if found is None or found[0] == last or time.monotonic() - found[0] < MOMENT_S:
                continue
            last = found[0]
            streams.tell(f"waiting: {found[1]}")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()
        thread.join()
