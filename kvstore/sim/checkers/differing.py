"""Data that are known to differ from the majority's are told to nobody.

Law: a node of which that is known comes to lead no term, and if it leads it hands over; no
snapshot, and no answer to who reads, comes from its data. That it is whole again in the end is for
`liveness`.
"""

from __future__ import annotations

from kvstore import api
from kvstore.raft.messages import InstallSnapshot, Message, SnapshotPiece
from kvstore.raft.types import LogStart, Role
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.log_start import FIRST

_READS = (*api.QUERIES, api.FetchBackup)


class Differing(Checker):
    """Remembers in which term each node came to be one of them, or started as one."""

    theorem = "data that differ are told to nobody"
    watches = Part.ROLE
    heeds = (InstallSnapshot, SnapshotPiece)
    hears_of = ()

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._since: dict[int, int] = {}

    def started(self, host: Watched) -> None:
        self._since.pop(host.id, None)
        self._look_at(host)

    def directory_changed(self, host: Watched) -> None:
        self._since.pop(host.id, None)

    def turned(self, host: Watched) -> None:
        self._look_at(host)
        raft = host.running.raft
        if host.id in self._since and raft.role is Role.LEADER and raft.heir is None:
            self.fail(f"node {host.id} leads on, and hands over to nobody")

    def changed(self, host: Watched) -> None:
        raft, since = host.running.raft, self._since.get(host.id)
        is_new = since is not None and raft.role is Role.LEADER and raft.current_term > since
        if is_new and host.disk.state.divergence is not None:
            self.fail(f"node {host.id} comes to lead term {raft.current_term}")

    def speaks(self, host: Watched, message: Message) -> None:
        if host.disk.state.divergence is not None:
            self.fail(f"node {host.id} gives a snapshot of them to node {message.recipient}")

    def answers(self, host: Watched, request: api.Request, result: api.Result) -> None:
        is_told = isinstance(request, _READS) and not isinstance(result, api.Failure)
        if is_told and host.disk.state.divergence is not None:
            self.fail(f"node {host.id} answers {type(request).__name__}")

    def _look_at(self, host: Watched) -> None:
        if host.disk.state.divergence is None:
            self._since.pop(host.id, None)
        else:
            self._since.setdefault(host.id, host.running.raft.current_term)
