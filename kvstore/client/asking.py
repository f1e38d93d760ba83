"""What the methods of a blocking client stand on: ask, and have the answer.

Law: a method asks by these and by nothing else, so all of them share one way of waiting.

This module must not know how anything is asked: `Client` (`blocking.py`) says that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeVar, cast

from kvstore import api
from kvstore.address import Address
from kvstore.client.knowledge import Knowledge

_R = TypeVar("_R")


class Asking(ABC):
    """Who can ask a cluster, and one of its nodes."""

    @abstractmethod
    def _carry_out(self, request: api.Request, stale: bool) -> api.Result:
        """Carry out a request; what is no result is raised."""

    @abstractmethod
    def _ask_node(self, node: Address, request: api.NodeQuery) -> api.Result:
        """Ask this node and no other, once."""

    @property
    @abstractmethod
    def _nodes(self) -> Sequence[Address]:
        """The nodes, as they were given."""

    @property
    @abstractmethod
    def _knowledge(self) -> Knowledge:
        """What is known of the cluster, by all requests of this client."""

    def _ask(self, request: api.Request, _answer: type[_R], stale: bool = False) -> _R:
        # The caller has checked that the answer is the one that belongs to the request.
        return cast(_R, self._carry_out(request, stale))
