"""The cluster has a version that all of its nodes speak, and its log holds nothing newer.

Law: a leader gives the cluster only what every member speaks, by what runs there or ran there
last. No node's version is another than its log gave it, so it never goes back; who does not speak
it runs no more; and what needs a version is proposed where that version is applied, so in every
log it stands behind the entry that gave it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from kvstore import api
from kvstore.raft.types import Entry, EntryKind, Role
from kvstore.raft.versions import FIRST_VERSION, Versions, version_of
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.checkers.voters import members_of

_ALL = 1 << 40
_decode = msgspec.msgpack.Decoder(api.Logged).decode


class _Given(NamedTuple):
    """From this entry on the cluster has the version."""

    at: int
    version: int


class Upgrades(Checker):
    """What the log gave the cluster, and how far it was looked at.

    * `_given`: each version that was given, and none that is not newer than those before it.
    * `_applied`: up to where some node has applied the log.
    * `_led`: of each leader, its term, and up to where what it proposed was looked at.
    """

    theorem = "nothing comes before its version"
    watches = Part.ROLE | Part.LOG | Part.APPLIED

    def __init__(self, members: tuple[int, ...], since_of: Callable[[api.Command], int]) -> None:
        super().__init__(members)
        self._since_of = since_of
        self._speaks: dict[int, Versions] = {}
        self._given = [_Given(0, FIRST_VERSION)]
        self._applied: int | None = None
        self._led: dict[int, tuple[int, int]] = {}

    def started(self, host: Watched) -> None:
        self._speaks[host.id] = host.speaks
        self._led.pop(host.id, None)
        if self._applied is None:
            self._applied = host.running.machine.last_applied

    def changed(self, host: Watched) -> None:
        self._look_at_what_is_applied(host)
        raft = host.running.raft
        if raft.role is not Role.LEADER:
            self._led.pop(host.id, None)
            return
        term, looked_at = self._led.get(host.id, (0, 0))
        last = raft.log.last_index
        self._led[host.id] = raft.current_term, last
        # What it had when its term began was proposed by others, and looked at with them.
        if term == raft.current_term and last > looked_at:
            self._look_at_what_is_proposed(host, raft.log.slice(looked_at + 1, last + 1, _ALL))

    # --- The log --------------------------------------------------------------------------

    def _look_at_what_is_applied(self, host: Watched) -> None:
        machine = host.running.machine
        assert self._applied is not None
        if machine.last_applied > self._applied:
            log = host.running.raft.log
            for entry in log.slice(self._applied + 1, machine.last_applied + 1, _ALL):
                self._take(entry)
            self._applied = machine.last_applied
        version = self._version_at(machine.last_applied)
        if machine.cluster_version != version:
            self.fail(
                f"to node {host.id} the cluster has version {machine.cluster_version} after entry"
                f" {machine.last_applied}, which is {version}"
            )
        if version > host.speaks.newest:
            self.fail(
                f"node {host.id} speaks {host.speaks} and runs on after entry"
                f" {machine.last_applied}, where the cluster has version {version}"
            )

    def _take(self, entry: Entry) -> None:
        has = self._given[-1].version
        if entry.kind is EntryKind.VERSION and version_of(entry) > has:
            self._given.append(_Given(entry.index, version_of(entry)))
        elif (needed := self._needed(entry)) > has:
            self.fail(
                f"entry {entry.index} needs version {needed}, and the cluster has {has} there"
            )

    def _look_at_what_is_proposed(self, leader: Watched, entries: Sequence[Entry]) -> None:
        has = self._given[-1].version
        for entry in entries:
            if entry.kind is EntryKind.VERSION:
                self._look_at_those_who_get(leader, version_of(entry))
            elif (needed := self._needed(entry)) > has:
                self.fail(
                    f"node {leader.id} proposes entry {entry.index}, which needs version {needed}:"
                    f" {has} is the newest that any node has applied"
                )

    def _look_at_those_who_get(self, leader: Watched, version: int) -> None:
        members = {one.node_id for one in members_of(leader)}
        for node, speaks in self._speaks.items():
            if node in members and version > speaks.newest:
                self.fail(
                    f"node {leader.id} proposes version {version} for the cluster, and node {node}"
                    f" speaks {speaks}"
                )

    def _needed(self, entry: Entry) -> int:
        if entry.kind is not EntryKind.COMMAND:
            return 0
        logged = _decode(entry.data)
        command = logged.command if isinstance(logged, api.Stamped) else logged
        return 0 if isinstance(command, api.Internal) else self._since_of(command)

    def _version_at(self, index: int) -> int:
        """Which version the cluster has where everything up to that entry is applied."""
        count = bisect_right(self._given, index, key=lambda given: given.at)
        return self._given[max(0, count - 1)].version
