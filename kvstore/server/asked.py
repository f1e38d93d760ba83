"""What a client asks of a node, whatever its language.

Law: plain values. It must not know who asks, nor how that is written.
"""

from __future__ import annotations

import msgspec

from kvstore import api


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request, and by whom it may be answered.

    * `is_stale`: a read of what this node has applied, however far that lags behind;
      `from_any`: it may be answered by a follower that asks its leader.
    * `min_term`, `cluster_id`: as in `api.Call`, if the client says so.
    """

    request: api.Request
    is_stale: bool = False
    from_any: bool = False
    min_term: int = 0
    cluster_id: str = ""
