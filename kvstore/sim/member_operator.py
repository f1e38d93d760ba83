"""The operator who takes nodes out of a simulated cluster, and brings them back as new ones.

Law: it asks through the api, as anybody does, who the members are and for one change at a time of
just these, again and again, until it is done. Who comes back has an empty directory. Nobody is
taken out without whom too few would be left that run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from kvstore import api
from kvstore.sim.calls import Call
from kvstore.sim.clients import Client
from kvstore.sim.host import Host

_STEP_MS: Final = 60.0
"""From one answer to the next question, while there is something to do."""
_VOTERS_LEFT: Final = 2


class MemberOperator(Client):
    """Of one world.

    * `_known`: the members for good, as told since the last change that was asked for.
    * `_left`: nodes that it asked to leave, and whose directories it has not emptied since. Nobody
      else brings them back.
    """

    def __init__(self, client_id: int, hosts: Mapping[int, Host], *args: Any) -> None:
        super().__init__(client_id, hosts, *args)
        self._hosts = hosts
        self._out: set[int] = set()
        """Who is to be no member for now."""
        self._left: set[int] = set()
        self._known: api.MembersResult | None = None
        self._newest = -1
        """The highest index of a configuration that it was told of; that is committed."""
        self._is_busy = self._has_given_up = False

    def take_out(self, node: int, duration_ms: float) -> None:
        """Have the cluster do without a node for a while."""
        self._out.add(node)
        self._schedule.after(duration_ms, partial(self._out.discard, node))
        self._begin()

    def bring_all_back(self) -> None:
        """All nodes are to be members, from now on."""
        self._out.clear()
        self._begin()

    def give_up(self) -> None:
        super().give_up()
        self._has_given_up = True

    def _begin(self) -> None:
        if not self._is_busy:
            self._is_busy, self._known = True, None
            self._look()

    def _look(self) -> None:
        self._is_busy = not self._has_given_up
        request = self._next_step() if self._is_busy else None
        if request is None:
            self._is_busy = False
            return
        self._calls += 1
        self._is_waiting = True
        self._send(request, self._returned)

    def _returned(self, call: Call, result: api.Result | None) -> None:
        self._is_waiting = False
        self._hear(call, result)
        self._learn(call.request, result)
        self._take(call, result)
        self._known = None
        if isinstance(result, api.MembersResult) and result.is_settled:
            self._take_members(result)
        self._schedule.after(_STEP_MS, self._look)

    def _take_members(self, told: api.MembersResult) -> None:
        """Unless it was told by who lacks what was committed by then, and leads no more.

        Leaders whose logs begin elsewhere tell the same members by different indexes.
        """
        if told.last_log_index >= self._newest:
            self._known, self._newest = told, max(told.index, self._newest)

    def _next_step(self) -> api.Request | None:
        """One step nearer to what is wanted; None if it is reached."""
        known = self._known
        if known is None:
            return api.Members()
        members = {one.node_id for one in known.members}
        for node, host in self._hosts.items():
            if node not in members and node not in self._out:
                self._empty(host)
                return api.AddMember(node, f"sim:{9_000 + node}", known.index)
            if node in members and node in self._out and self._can_do_without(node, known):
                self._left.add(node)
                return api.RemoveMember(node, known.index)
        return api.Members() if self._out else None

    def _empty(self, host: Host) -> None:
        """Before it is a member again, and once: the directory after that may vote by now."""
        if host.id in self._left:
            self._left.discard(host.id)
            host.lose_directory()

    def _can_do_without(self, node: int, known: api.MembersResult) -> bool:
        voters = {one.node_id for one in known.members if one.role is api.MemberRole.VOTER}
        left = voters - {node}
        running = {one for one in left if self._hosts[one].node is not None}
        return len(left) >= _VOTERS_LEFT and 2 * len(running) > len(left)
