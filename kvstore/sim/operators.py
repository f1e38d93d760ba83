"""Callers that look after the cluster: they have leadership handed over, and members changed.

Law: an operator is an ordinary client; it asks who leads, who the members are, and is told what
came of it. What it asks for leaves all nodes where they are, and members: who takes them out and
brings them back is the `MemberOperator`.
"""

from __future__ import annotations

from typing import Final

from kvstore import api
from kvstore.sim.calls import Call
from kvstore.sim.clients import Client

_HANDOVERS: Final = 0.4
_QUESTIONS: Final = 0.3
"""How often it asks for the members though it knows some."""


class Operator(Client):
    """A sequential caller that asks for handovers, to one node or to any, and for members."""

    _known: api.MembersResult | None = None
    """The members that it was told last."""

    def insist_on_everything(self) -> None:
        """Nothing has to be handed over any more."""
        self.stop()

    def _take(self, call: Call, result: api.Result | None) -> None:
        super()._take(call, result)
        if isinstance(result, api.MembersResult):
            self._known = result

    def _random_request(self) -> api.Request:
        rng = self._rng
        if rng.random() < _HANDOVERS:
            return api.HandOver(rng.choice((None, *self._machines)))
        if self._known is None or rng.random() < _QUESTIONS:
            return api.Members()
        return self._random_change(self._known)

    def _random_change(self, known: api.MembersResult) -> api.Change:
        """Of members that it knows, of older ones, or of whatever there are."""
        rng = self._rng
        node, other = rng.choices([one.node_id for one in known.members], k=2)
        after = rng.choice((known.index, known.index, max(0, known.index - 1), None))
        address = f"sim:{9_000 + node}"
        changes: tuple[api.Change, ...] = (
            api.PromoteMember(node, after),
            api.AddMember(node, address, known.index),
            api.MoveMember(node, f"sim:{9_000 + other}", after),
            api.ReplaceMember(node, address, after),
        )
        return rng.choice(changes)
