"""`python -m kvstore` is `kvstore`."""

from __future__ import annotations

import sys

from kvstore.start import main

if __name__ == "__main__":
    sys.exit(main())
