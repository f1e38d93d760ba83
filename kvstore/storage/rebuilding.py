"""What tells applied data anew that are damaged or gone, and what is to be done where nothing does.

Law: data that nobody can tell anew are left as they are, and where they are: what of them can
still be read is all that there is.

It must not know how they are kept, nor how they come.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kvstore.raft.configurations import latest_of
from kvstore.raft.types import Recovered

START_AGAIN: Final = "start again: the data will be built anew from"


def source_of_data(found: Recovered, node_id: int) -> str | None:
    """Whence a node with this log gets all data anew; None if it cannot.

    The log does, if it begins with the first entry; else another node that can lead. One that
    this log does not know may be there.
    """
    known = latest_of(found)
    is_alone = bool(known.members) and not known.voters_besides(node_id)
    if found.start.index == 0:
        return None if is_alone and found.damaged else "the log"
    return None if is_alone else "a snapshot of the leader's"


def nothing_tells(data_dir: Path, found: Recovered) -> str:
    """Why nothing tells the data anew, and what to do."""
    what = f"begins after entry {found.start.index}" if found.start.index else "has lost entries"
    return (
        f"Nothing tells the data anew: the log {what}, and no other node can lead. So nothing was"
        " moved or changed. Restore a backup into another directory (kvstore restore). Without"
        f" one, kvstore inspect {data_dir} says what is damaged; if the node starts, all else can"
        " still be read, key by key (kvstore get). Do not write a damaged key: that would end the"
        " node at each start"
    )
