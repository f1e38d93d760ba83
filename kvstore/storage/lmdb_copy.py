"""A copy of an LMDB environment in which no page is out of use.

Law: a copy that is returned is durable, passes every check that comes before mapping, and
holds what the original does. The original is not changed.

The engine numbers the transactions of a copy anew, and each must lead to a record that names it
(`lmdb_files.py`): so two more are made, which change nothing else.
"""

from __future__ import annotations

from pathlib import Path

import lmdb

from kvstore.storage import filesystem, lmdb_files
from kvstore.storage.lmdb_pages import META_PAGES
from kvstore.storage.progress import OnProgress, nobody


def copy_pages_in_use(environment: Path, target: Path, on_progress: OnProgress = nobody) -> None:
    """Make the directory `target` with a copy of what `environment` holds. Nobody may be writing.

    Raises `DamagedError`, `DiskWriteError` and `OSError`.
    """
    map_bytes = lmdb_files.check_data_file(environment, on_progress).map_bytes
    target.mkdir(filesystem.PRIVATE)
    env = lmdb_files.open_own(environment, map_bytes)
    try:
        env.copy(str(target), compact=True)
    except lmdb.Error as error:
        raise lmdb_files.write_error(target, error) from error
    finally:
        env.close()
    (target / lmdb_files.DATA_FILE).chmod(lmdb_files.FILE_MODE)
    _sign(target, map_bytes)
    lmdb_files.check_data_file(target)


def _sign(target: Path, map_bytes: int) -> None:
    """Let both meta pages lead to the records of their transactions.

    With them the engine syncs the file, which it had not done with the copy.
    """
    env = lmdb_files.open_own(target, map_bytes)
    try:
        for _ in range(META_PAGES):
            with env.begin(write=True) as txn:
                lmdb_files.sign_commit(txn)
        lmdb_files.DataFile(env, target).fill_up()
    except lmdb.Error as error:
        raise lmdb_files.write_error(target, error) from error
    finally:
        env.close()
