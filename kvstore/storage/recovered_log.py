"""The change-over of a directory to the log of the cluster that was made of it.

Law: one rename decides. Before `raft.recovering` is called `raft.recovered` the directory is that
of the old cluster; from then on it is that of the new one, and whoever opens it next finishes
what is left to do. The old log stays, as `raft.before`.

It must not know what is in a log.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from kvstore.errors import DiskWriteError
from kvstore.storage.filesystem import sync_directory

RECOVERING: Final = "raft.recovering"
RECOVERED: Final = "raft.recovered"
BEFORE: Final = "raft.before"
MENDED_LOG: Final = "raft.saved"
MENDED_STATE: Final = "state.saved"
"""What stood for damaged stores while another log and state were made of them."""


def in_force(data_dir: Path, raft: Path) -> Path:
    """Where the log is that counts, though a recovery may still have to be finished."""
    recovered = data_dir / RECOVERED
    return recovered if recovered.exists() else raft


def decide(data_dir: Path) -> None:
    """What is `raft.recovering` is whole and durable, and so is the state that goes with it."""
    try:
        (data_dir / RECOVERING).rename(data_dir / RECOVERED)
    except OSError as error:
        raise DiskWriteError(f"{data_dir}: {error.strerror}") from error
    sync_directory(data_dir)


def finish(data_dir: Path, raft: Path) -> None:
    """Finish a recovery that was decided, and forget one that was not. Often there is none.

    To be called before anything else of the directory, which is held, is looked at.
    """
    remove_copies(data_dir)
    recovering, recovered, before = (data_dir / name for name in (RECOVERING, RECOVERED, BEFORE))
    try:
        if recovering.exists():
            shutil.rmtree(recovering)
        if not recovered.exists():
            return
        if raft.exists():
            if before.exists():
                shutil.rmtree(before)
            raft.rename(before)
            # Else the old one could be there again, under its name, when the new one has it.
            sync_directory(data_dir)
        recovered.rename(raft)
    except OSError as error:
        raise DiskWriteError(f"{data_dir}: {error.strerror}") from error
    sync_directory(data_dir)


def remove_copies(data_dir: Path) -> None:
    """What stood for damaged stores is not needed any more."""
    try:
        for name in (MENDED_LOG, MENDED_STATE):
            if (data_dir / name).exists():
                shutil.rmtree(data_dir / name)
    except OSError as error:
        raise DiskWriteError(f"{data_dir}: {error.strerror}") from error
