#!/usr/bin/env python3
"""`kvstore inspect`, straight from the checkout: nothing needs to be installed or active.

Law: a door, and nothing behind it. Where its dependencies are not installed, it starts
itself again in the environment that `make` built.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
ENVIRONMENT = CHECKOUT / ".venv" / "bin" / "python"
sys.path.insert(0, str(CHECKOUT))

try:
    from kvstore.cli.main import main
except ImportError as error:
    if "KVSTORE_INSPECT_AGAIN" in os.environ or not ENVIRONMENT.exists():
        sys.stderr.write(
            f"inspect_log: {error}\n"
            f"Its environment {CHECKOUT / '.venv'} is missing or incomplete:"
            f" run `make test` in {CHECKOUT} once, it builds it.\n"
        )
        sys.exit(2)
    os.environ["KVSTORE_INSPECT_AGAIN"] = "1"
    sys.stdout.flush()
    os.execv(ENVIRONMENT, [str(ENVIRONMENT), *sys.argv])  # noqa: S606 - our own interpreter

if __name__ == "__main__":
    sys.exit(main(["inspect", *sys.argv[1:]]))
