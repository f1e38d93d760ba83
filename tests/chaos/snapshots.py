"""Logs that are dropped, and snapshots that are fetched, while processes and power are lost.

Law: the log is pushed until what a step needs has been dropped, and the step is seen to have begun
before anybody is struck; how soon after follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable

from process.cluster import eventually
from process.history import now

from kvstore import Client, RequestError

from .stage import Stage, cut_power_of

Strike = Callable[[Stage, list[int]], None]

_SOON_S = (0.0, 0.01, 0.05, 0.2)
_COMPACTIONS = 3


def kill_amid_compaction(stage: Stage) -> None:
    """SIGKILL while logs are being dropped, over and over."""
    _amid_compaction(stage, _kill)


def cut_power_amid_compaction(stage: Stage) -> None:
    """The same, and only what the disks hold is left."""
    _amid_compaction(stage, cut_power_of)


def kill_amid_installation(stage: Stage) -> None:
    """SIGKILL for who receives a snapshot, who sends it, or both."""
    _amid_installation(stage, _kill)


def cut_power_amid_installation(stage: Stage) -> None:
    """The same, and only what the disks hold is left."""
    _amid_installation(stage, cut_power_of)


def _kill(stage: Stage, victims: list[int]) -> None:
    stage.say(f"kills {victims}")
    stage.cluster.kill(*victims)
    stage.let_clients_feel_it(victims)
    stage.cluster.restart(*victims)


def _amid_compaction(stage: Stage, strike: Strike) -> None:
    for _ in range(_COMPACTIONS):
        victims, soon_s = stage.victims(), stage.rng.choice(_SOON_S)
        with stage.chatter.pushing():
            _wait_until_dropped(stage, victims, beyond=_first_index(stage, victims))
            _wait(soon_s)
            strike(stage, victims)


def _amid_installation(stage: Stage, strike: Strike) -> None:
    cluster = stage.cluster
    leader, (behind, *_) = stage.leader_and_followers()
    victims = stage.rng.choice([[behind], [leader], [behind, leader]])
    soon_s = stage.rng.choice(_SOON_S)
    stage.say(f"leaves {behind} behind what {leader}, the leader, has of its log")
    with stage.operator() as client:
        last = client.status(cluster.address(behind)).last_log_index
    cluster.kill(behind)
    with stage.chatter.pushing():
        _wait_until_dropped(stage, cluster.awake, beyond=last + 1)
    mark = len(cluster.nodes[behind].log)
    cluster.spawn(behind)
    cluster.wait_for_log(behind, "receiving a snapshot", after=mark)
    _wait(soon_s)
    strike(stage, victims)
    with stage.operator() as client:
        eventually(
            lambda: client.status(cluster.address(behind)).last_applied > last,
            "the node that was left behind has what it lacked",
            ignoring=(RequestError,),
        )


def _first_index(stage: Stage, node_ids: list[int]) -> int:
    with stage.operator() as client:
        return max(_first_index_of(stage, client, node_id) for node_id in node_ids)


def _wait_until_dropped(stage: Stage, node_ids: list[int] | tuple[int, ...], beyond: int) -> None:
    with stage.operator() as client:
        eventually(
            lambda: all(_first_index_of(stage, client, one) > beyond for one in node_ids),
            f"the logs of {node_ids} begin behind entry {beyond}",
            ignoring=(RequestError,),
        )


def _first_index_of(stage: Stage, client: Client, node_id: int) -> int:
    return client.status(stage.cluster.address(node_id)).first_log_index


def _wait(duration_s: float) -> None:
    until = now() + duration_s
    eventually(lambda: now() > until, "some time has passed")
