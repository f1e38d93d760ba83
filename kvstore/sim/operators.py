"""Callers that look after the cluster: they have leadership handed over.

Law: an operator is an ordinary client; it asks who leads, and is told what came of it.
"""

from __future__ import annotations

from kvstore import api
from kvstore.sim.clients import Client


class Operator(Client):
    """A sequential caller that asks for handovers, to one node or to any."""

    def insist_on_everything(self) -> None:
        """Nothing has to be handed over any more."""
        self.stop()

    def _random_request(self) -> api.Request:
        return api.HandOver(self._rng.choice((None, *self._machines)))
