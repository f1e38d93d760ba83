"""Which version of the protocol the cluster has, and what follows for this node.

Law: what needs a version is proposed only where that version is applied, so it stands behind
the entry that gave it in every log; and who does not speak a version applies nothing behind
that entry. It must not know what commands mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from kvstore import api
from kvstore.errors import DirectoryRefusedError
from kvstore.kv.machine import StateMachine
from kvstore.raft.core import Raft
from kvstore.raft.events import Event, VersionRaised
from kvstore.raft.types import Entry
from kvstore.raft.versions import SPOKEN, Versions, version_of
from kvstore.server import refusals


class Release(msgspec.Struct, frozen=True):
    """A program: which versions it speaks, and since which of them there is a command."""

    speaks: Versions = SPOKEN
    since_of: Callable[[api.Command], int] = api.since_of


THIS_RELEASE: Final = Release()


class ClusterVersion:
    """The cluster's version as this node's state machine has it, beside what its program speaks.

    * `missing`: the versions that its program speaks and the cluster does not have yet; none,
      most of the time, and then every log may hold whatever the program knows.
    """

    def __init__(self, release: Release, machine: StateMachine, raft: Raft) -> None:
        """Raises `DirectoryRefusedError` if the program is too old for what was applied here."""
        self.speaks = release.speaks
        self._since_of = release.since_of
        self._machine = machine
        self._raft = raft
        self.check(machine.cluster_version)
        self.note()

    def note(self) -> None:
        """The state machine has a version, by an entry or by a snapshot."""
        self.missing = range(self._machine.cluster_version + 1, self.speaks.newest + 1)

    def refuse(self, command: api.Command) -> api.Failure | None:
        """Why a command is not proposed yet; None if every log may hold it."""
        needed = self._since_of(command)
        if needed not in self.missing:
            return None
        return refusals.needs_version(needed, self._machine.cluster_version)

    def tick(self, links: Callable[[], Mapping[int, Versions]]) -> None:
        """A leader raises the version when every peer is there and speaks a newer one.

        `links` tells what each peer speaks to whom there is a link.
        """
        raft, has = self._raft, self._machine.cluster_version
        if self.speaks.newest <= has or not raft.has_committed_in_term or raft.leadership is None:
            return
        spoken, peers = links(), raft.log.configuration.members_besides(raft.id)
        if not spoken.keys() >= {*peers}:
            return
        version = min([self.speaks.newest, *(spoken[peer].newest for peer in peers)])
        if version > has:
            raft.leadership.raise_version(version)

    def apply(self, entry: Entry) -> list[Event]:
        """An entry that gives a version is committed; what to say of it.

        Raises `DirectoryRefusedError` if this program does not speak it.
        """
        version = version_of(entry)
        self.check(version)
        if not self._machine.adopt(version):
            return []
        self.note()
        return [VersionRaised(self._raft.current_term, version)]

    def check(self, version: int) -> None:
        """Raises `DirectoryRefusedError` if this program does not speak it."""
        if version > self.speaks.newest:
            raise DirectoryRefusedError(
                f"the cluster has version {version} of the protocol, and this program speaks "
                f"{self.speaks}: start this node with a release that speaks {version}, as the "
                "other nodes do; there is no way back to an older one"
            )
