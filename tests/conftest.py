"""What holds for all tests, whoever starts them."""

from __future__ import annotations

import signal

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
