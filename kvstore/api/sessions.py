"""Client sessions: what makes a write that arrives again have one effect.

Law: when a session ends, and what is kept of it, is the same on every node.

It must not know how that is seen to.
"""

from __future__ import annotations

import msgspec

from kvstore.api.base import Request, Result
from kvstore.api.writes import Write


class OpenSession(Request, frozen=True, tag="opensession"):
    """Begin a client session (thesis §6.3); its number is the index of the entry."""


class Once(Request, frozen=True, tag="once"):
    """Carry out a write once, however often this request arrives.

    A session has one request under way at a time, and numbers them by a `sequence`
    that begins at 1 and grows. A request under the last sequence gets the answer that
    is kept, if it is the same write; one under an earlier sequence is refused, so a
    number that was passed over can never take effect any more.
    """

    session: int
    sequence: int
    write: Write


class SessionRules(msgspec.Struct, frozen=True):
    """When sessions end, and what is kept of them.

    Not settings of a node: every replica must go by the same rules, or they differ.

    * `ttl_ms`: a session that was not used for longer, in the cluster's time, is expired.
    * `sessions_max`: to open one more ends the one that was not used for longest.
    * `result_bytes_max`: a longer result is not kept; `Repeated` stands for it.
    """

    ttl_ms: int = 600_000
    sessions_max: int = 10_000
    result_bytes_max: int = 1_024


class SessionResult(Result, frozen=True, tag="session"):
    """The number of the new session."""

    session: int
