"""Who serves a key, in the words of Redis Cluster: MOVED and CLUSTERDOWN.

Law: pure. A refusal says no less in these words than in ours, but where Redis leaves no room
for more: both promise that the request changed nothing. It must not know who leads.
"""

from __future__ import annotations

import binascii
from typing import Final

from kvstore import api
from kvstore.wire import commands, resp

SLOTS: Final = 16_384


def key_slot(key: bytes) -> int:
    """The slot of a key: of what is in its first pair of braces, if anything is."""
    _, _, behind = key.partition(b"{")
    tag, brace, _ = behind.partition(b"}")
    return binascii.crc_hqx(tag if tag and brace else key, 0) % SLOTS


def render_failure(slot: int | None, failure: api.Failure) -> bytes:
    """An error reply that cluster clients follow; `slot` is that of the first key.

    MOVED has room for slot and address alone, as clients split it. Without a key there is
    no slot to be moved: CLUSTERDOWN has them ask again for the nodes, and then the leader.
    """
    if slot is not None and failure.leader is not None:
        host, _, port = failure.leader.rpartition(":")
        return resp.error(f"MOVED {slot} {host.strip('[]')}:{port}")
    if failure.code in (api.FailureCode.NOT_LEADER, api.FailureCode.NO_LEADER):
        return resp.error(f"CLUSTERDOWN {failure.message}")
    return commands.render_failure(failure)
