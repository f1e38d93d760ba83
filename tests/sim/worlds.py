"""Scenarios for tests that are about some faults, and about nothing else."""

from __future__ import annotations

from kvstore.raft.types import RaftSettings
from kvstore.sim.faults import Fault
from kvstore.sim.network import FAIR
from kvstore.sim.scenario import Scenario


def in_fair_weather(
    seed: int, members: int, faults: tuple[Fault, ...], *, clients: int, calls: int, storm_ms: float
) -> Scenario:
    """So many nodes with usual settings, on links that lose nothing."""
    return Scenario(
        seed=seed,
        members=tuple(range(1, members + 1)),
        raft=RaftSettings(),
        drift=0.02,
        weather=FAIR,
        clients=clients,
        calls=calls,
        storm_ms=storm_ms,
        faults=faults,
    )
