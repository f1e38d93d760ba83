"""Run as a program: a file takes the place of another one, for who records what that does."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kvstore.storage.whole_file import WholeFile

BEFORE, AFTER = b"of yesterday", b"of today"


def save(directory: Path) -> None:
    for data in (BEFORE, AFTER):
        file = WholeFile(directory / "backup")
        file.write(data)
        file.finish()
        os.write(1, b"finished\n")


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
