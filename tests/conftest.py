"""What holds for all tests, whoever starts them."""

from __future__ import annotations

import signal

# Shells and CI runners may start us with SIGINT ignored, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
