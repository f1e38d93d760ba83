"""What holds for all tests, whoever starts them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from clock import Clock
from hypothesis import Phase, settings

# Shells, nohup and CI runners may start us with signals ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# How long an example takes says how busy the machine is, and nothing about the product.
settings.register_profile("busy machines", deadline=None)
# Whether a wrong version is noticed must not be a matter of chance, and nobody reads the example.
settings.register_profile(
    "hunt", deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate)
)
settings.load_profile("busy machines")


@pytest.fixture
def signals_as_before() -> Iterator[None]:
    """A node leaves them ignored, as its process ends; that of a test does not."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def skipped_pauses(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Clients of this process make no pause between two rounds, but believe that they did."""
    clock = Clock()
    for part in ("blocking", "gate", "link", "links"):
        monkeypatch.setattr(f"kvstore.client.{part}.time", clock)
    return clock
