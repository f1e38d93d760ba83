"""Under which sessions and numbers writes arrived at scripted nodes."""

from __future__ import annotations

from scripted_node import ScriptedNode

from kvstore import api


def numbers(*nodes: ScriptedNode) -> list[tuple[int, int]]:
    """(session, sequence) of every write that arrived."""
    requests = (call.request for node in nodes for call in node.calls)
    return [(one.session, one.sequence) for one in requests if isinstance(one, api.Once)]


def opened(*nodes: ScriptedNode) -> int:
    """How many sessions were asked for."""
    return sum(isinstance(call.request, api.OpenSession) for node in nodes for call in node.calls)
