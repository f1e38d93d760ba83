"""A directory that nobody needs any more, given back to the disk a little at a time.

Law: no step takes longer because there is more of it. To free a large file takes as long as to
write some of it, so it is cut shorter from its end on before it goes. Killed anywhere in between
it leaves less of what a start throws away.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from kvstore.errors import DiskWriteError

STEP_BYTES: Final = 32 << 20


def remove_some(directory: Path) -> bool:
    """Free some of what `directory` holds, or the last of it; whether more is left.

    What is gone already is no fault. Raises `DiskWriteError`.
    """
    try:
        for path in directory.iterdir() if directory.exists() else ():
            left_bytes = path.stat().st_size - STEP_BYTES
            if left_bytes > 0:
                os.truncate(path, left_bytes)
                return True
        remove_all(directory)
    except OSError as error:
        raise DiskWriteError(f"{directory}: {error.strerror}") from error
    return False


def remove_all(directory: Path) -> None:
    """Free all of it at once, if it is there. Raises `OSError`."""
    if directory.exists():
        shutil.rmtree(directory)
