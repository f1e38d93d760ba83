"""Which directories speak: this node's own, and those of its peers as they were last seen.

What hellos say of versions is judged here too: a program that is too old for the cluster may
no more speak with the right directory than any other may with a wrong one.

Law: what was seen of a peer's directory is durable before anything that the peer says
counts. A directory that lacks what was seen of its node, as it was wiped or copied, or that
the log has replaced, may neither vote nor vouch under the node's name until an operator says
so, by `--join`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

import msgspec

from kvstore.errors import DirectoryRefusedError
from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.versions import FIRST_VERSION, SPOKEN, Versions
from kvstore.server.replaced import ADVICE, removed
from kvstore.storage.base import Acquaintance, Lineage
from kvstore.storage.records import START_BYTES
from kvstore.wire.peer import Hello, reason_outdated


class Acquaintances:
    """What is said and checked when two nodes greet each other."""

    def __init__(
        self,
        *,
        cluster_id: str,
        node_id: int,
        address: str,
        incarnation: str,
        lineage: Lineage,
        admitted_at: Callable[[], int],
        configured_at: Callable[[], int],
        peers: Callable[[], Iterable[int]],
        members: Callable[[], Container[int]],
        replaced_at: Callable[[int, int], int | None],
        cluster_version: Callable[[], int] = lambda: FIRST_VERSION,
        is_elsewhere: Callable[[], bool] = lambda: False,
        speaks: Versions = SPOKEN,
    ) -> None:
        """What this node's log says now of directories, and of versions.

        * `admitted_at`: index of the entry that admitted its own.
        * `configured_at`: of that by which it is a member; -1 if it is none.
        * `peers`: whose directories it must know. `members`: who is one.
        * `replaced_at`: of a node's directory, by that index of its own: index of the committed
          entry that put another in its place, if one did.
        * `cluster_version`: that which the cluster has, as far as the log is applied here.
        * `is_elsewhere`: whether this node is not at the address that its configuration has.
        """
        self._own = Hello(
            speaks=speaks,
            cluster_id=cluster_id,
            node_id=node_id,
            incarnation=incarnation,
            starts=lineage.starts,
            admitted_at=0,
            address=address,
            configured_at=-1,
        )
        self._lineage = lineage
        self._admitted_at = admitted_at
        self._configured_at = configured_at
        self._peers = peers
        self._members = members
        self._replaced_at = replaced_at
        self._cluster_version = cluster_version
        self._is_elsewhere = is_elsewhere

    def hello_to(self, recipient: int) -> Hello:
        """How this node greets another."""
        return msgspec.structs.replace(
            self._own,
            admitted_at=self._admitted_at(),
            configured_at=self._configured_at(),
            recipient=recipient,
            cluster_version=self._cluster_version(),
            is_elsewhere=self._is_elsewhere(),
        )

    def reason_to_refuse(self, theirs: Hello) -> str | None:
        """Why a peer may not speak with this directory and program, None if it may."""
        if outdated := reason_outdated(theirs, self.hello_to(theirs.node_id)):
            return outdated
        if replaced := self.reason_to_hang_up(theirs.node_id, theirs.admitted_at):
            return replaced
        known = self._lineage.known.get(theirs.node_id)
        if known is None or _continues(theirs, known):
            return None
        return (
            f"node {self._own.node_id} knows node {theirs.node_id} by another directory than "
            f"{theirs.incarnation}, which was wiped, or copied before its last starts. {ADVICE}"
        )

    def check_own_version(self, theirs: Hello) -> None:
        """Raises `DirectoryRefusedError` if a peer's word shows this program to be too old."""
        if outdated := reason_outdated(self.hello_to(theirs.node_id), theirs):
            raise DirectoryRefusedError(outdated)

    def reason_to_hang_up(self, node_id: int, admitted_at: int) -> str | None:
        """Why a directory of a peer, admitted then, may speak no more, None if it may."""
        index = self._replaced_at(node_id, admitted_at)
        if index is None:
            return None
        if node_id not in self._members():
            return removed(node_id, index)
        return (
            f"by log entry {index} of node {self._own.node_id} this directory of node {node_id} "
            f"votes no more, as another has its place. {ADVICE}"
        )

    def remember(self, theirs: Hello) -> None:
        """Keep what was seen of a peer that may speak. Raises `DiskWriteError`.

        Who has left is forgotten: should its directory come back, the log says what became of it.
        """
        known = self._lineage.known.get(theirs.node_id)
        admitted_at = max(theirs.admitted_at, known.admitted_at if known else 0)
        seen = Acquaintance(theirs.starts[-START_BYTES:], admitted_at, theirs.incarnation)
        if seen != known:
            gone = self._lineage.known.keys() - {*self._peers(), theirs.node_id}
            self._lineage.remember(theirs.node_id, seen, gone)


def _continues(theirs: Hello, known: Acquaintance) -> bool:
    """Whether it is the directory that was seen last, or came in its place by `--join`.

    A copy of one that still waited has the incarnation of what became of it.
    """
    starts = theirs.starts
    each = (starts[at : at + START_BYTES] for at in range(0, len(starts), START_BYTES))
    if known.start in each or theirs.admitted_at > known.admitted_at:
        return True
    return theirs.admitted_at == NOT_ADMITTED and theirs.incarnation != known.incarnation
