"""What the requests of one client know of their cluster: its name and term, who leads, its members.

Law: it never goes back. A newer term, or newer members, are not overwritten by older ones, and
the cluster stays the one that answered first, whichever threads learn at the same time. What was
learned is there for every request that begins later.

It rests on steps that no thread and no signal can divide (`dict.setdefault`), so that it needs no
lock that a signal handler could find taken by the very code it interrupted. This module must not
know what is asked, nor who waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from kvstore import api
from kvstore.address import Address, parse_address


class Known(msgspec.Struct, frozen=True):
    """What is known at one moment.

    * `term`: the highest in which a leader has answered.
    * `members` are known by the entry at `members_at`; there are others by that at
      `newest_members_at`, if it is later.
    """

    cluster_id: str = ""
    term: int = 0
    leader: Address | None = None
    members: tuple[Address, ...] = ()
    members_at: int = 0
    newest_members_at: int = 0


class _Version:
    """What was known once, and what came after it, under None."""

    __slots__ = ("known", "later")

    def __init__(self, known: Known) -> None:
        self.known = known
        self.later: dict[None, _Version] = {}


class Knowledge:
    """What one client knows, for all of its requests.

    * Each version but the last has exactly one that follows it. `_version` may lag behind, and the
      way from it leads to the last.
    """

    def __init__(self, known: Known | None = None) -> None:
        self._version = _Version(known or Known())

    @property
    def now(self) -> Known:
        return self._newest().known

    def copied(self) -> Knowledge:
        """For another client, which begins with as much, and learns for itself."""
        return Knowledge(self.now)

    def hear(self, reply: api.Reply, *, of_leader: bool) -> bool:
        """Learn of a reply; False if it is of another cluster, and nothing is learned.

        `of_leader`: it shows that somebody was elected in the node's term.
        """

        def learned(known: Known) -> Known:
            if known.cluster_id not in ("", reply.cluster_id):
                return known
            return msgspec.structs.replace(
                known,
                cluster_id=reply.cluster_id,
                term=max(known.term, reply.term if of_leader else 0),
                newest_members_at=max(known.newest_members_at, reply.members_at),
            )

        return self._learn(learned).cluster_id == reply.cluster_id

    def lead(self, node: Address) -> None:
        """The node has answered as only a leader does."""
        self._learn(lambda known: msgspec.structs.replace(known, leader=node))

    def forget_leader(self, node: Address) -> None:
        """The node did not answer, or does not lead: who does is known no more, if it was that."""

        def learned(known: Known) -> Known:
            if known.leader != node:
                return known
            return msgspec.structs.replace(known, leader=None)

        self._learn(learned)

    def meet(self, found: api.MembersResult) -> None:
        """These are the members."""
        members = tuple(parse_address(one.address) for one in found.members)

        def learned(known: Known) -> Known:
            if found.index <= known.members_at:
                return known
            return msgspec.structs.replace(known, members=members, members_at=found.index)

        self._learn(learned)

    def _learn(self, learned: Callable[[Known], Known]) -> Known:
        """What is known after that: made again of what others have learned meanwhile."""
        while True:
            version = self._newest()
            known = learned(version.known)
            if known == version.known:
                return known
            mine = _Version(known)
            if version.later.setdefault(None, mine) is mine:
                self._version = mine
                return known

    def _newest(self) -> _Version:
        version = self._version
        while (later := version.later.get(None)) is not None:
            version = later
        self._version = version
        return version

    def __getstate__(self) -> Any:
        return self.now

    def __setstate__(self, known: Known) -> None:
        self._version = _Version(known)
