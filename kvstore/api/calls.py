"""What travels between a typed client and a node: one of all requests, one of all results.

Law: failures travel as results, each in the same envelope.

It must not know who sends one, nor over what.
"""

from __future__ import annotations

from kvstore.api.base import Struct
from kvstore.api.registry import Request, Result


class Call(Struct, frozen=True):
    """What a typed client sends.

    * `min_term`: a node whose term is lower refuses, with STALE.
    * `cluster_id`: a node of another cluster refuses; "" is any.
    * `from_any`: a query may be answered by a node that does not lead, after it has asked its
      leader as of which index; the answer is as fresh as the leader's.
    """

    request: Request
    min_term: int = 0
    cluster_id: str = ""
    from_any: bool = False


class Reply(Struct, frozen=True, forbid_unknown_fields=False):
    """What a typed client gets, failures included.

    * `node_id`, `term`: who answers, and the term that it has on its disk.
    * `revision`: how far the node's data has come.
    * `members_at`: index of the configuration's entry by which the node knows the members, so
      that a client notices when there are others; 0 is that with which the cluster was made.
    """

    cluster_id: str
    node_id: int
    term: int
    revision: int
    result: Result
    members_at: int = 0
