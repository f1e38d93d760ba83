"""What holds for all tests, whoever starts them."""

from __future__ import annotations

import signal

from hypothesis import settings

# Shells and CI runners may start us with SIGINT ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes says how busy the machine is, and nothing about the product.
settings.register_profile("busy machines", deadline=None)
settings.load_profile("busy machines")
