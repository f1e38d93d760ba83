"""The operator who takes nodes out of a simulated cluster, and brings them back as new ones.

Law: whoever leads is asked, again and again, until it is done; who comes back has an empty
directory. Nobody is taken out without whom too few would be left that run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from kvstore.raft.configuration import NOT_ADMITTED, Configuration, Member
from kvstore.sim.host import Host
from kvstore.sim.schedule import Schedule

_STEP_MS: Final = 60.0
"""From one look at the cluster to the next, while there is something to do."""
_VOTERS_LEFT: Final = 2


class MemberOperator:
    """Of one world."""

    def __init__(self, hosts: Mapping[int, Host], schedule: Schedule) -> None:
        self._hosts = hosts
        self._schedule = schedule
        self._out: set[int] = set()
        """Who is to be no member for now."""
        self._is_busy = False

    def take_out(self, node: int, duration_ms: float) -> None:
        """Have the cluster do without a node for a while."""
        self._out.add(node)
        self._schedule.after(duration_ms, partial(self._out.discard, node))
        self._begin()

    def bring_all_back(self) -> None:
        """All nodes are to be members, from now on."""
        self._out.clear()
        self._begin()

    def _begin(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._look()

    def _look(self) -> None:
        leader = next((one for one in self._hosts.values() if self._can_change(one)), None)
        if leader is not None:
            configuration = self._next(leader.running.raft.log.configuration)
            if configuration is not None:
                leader.running.raft.change(configuration)
            elif not self._out:
                self._is_busy = False
                return
        self._schedule.after(_STEP_MS, self._look)

    def _can_change(self, host: Host) -> bool:
        """Whether it leads, and may change the configuration now."""
        if host.node is None or host.is_paused or not host.is_leading:
            return False
        return host.node.raft.reason_to_wait_with_changes() is None

    def _next(self, now: Configuration) -> Configuration | None:
        """One step nearer to what is wanted; None if it is reached, or must wait."""
        for node, host in self._hosts.items():
            member = now.member(node)
            if member is not None and node in self._out and self._can_do_without(node, now):
                return now.without(node)
            if member is None and node not in self._out:
                host.lose_directory()
                return now.with_member(Member(node, f"sim:{9_000 + node}", NOT_ADMITTED))
        return None

    def _can_do_without(self, node: int, now: Configuration) -> bool:
        running = {one for one, host in self._hosts.items() if host.node is not None}
        left = now.without(node)
        return len(left.voters) >= _VOTERS_LEFT and left.has_majority(running)
