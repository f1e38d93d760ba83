"""The configuration of a cluster as it begins, for tests that need one."""

from __future__ import annotations

from collections.abc import Iterable

from kvstore.raft.configuration import Configuration


def founders(ids: Iterable[int]) -> Configuration:
    """A cluster of these nodes, each at the port that it has in the local cluster."""
    return Configuration.of_founders({node_id: f"127.0.0.1:{9000 + node_id}" for node_id in ids})
