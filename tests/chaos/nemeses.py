"""What is done to a cluster under load, each from a sound cluster to a sound one.

Law: a nemesis sees its fault bite, lets the clients feel it, takes it back, and then
waits until the cluster works again. Chance comes from the seed alone; who leads, and how
far the clients are, does not, so a seed does not repeat a run exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import permutations, product

from process.cluster import eventually
from process.history import now

from .machine import is_root
from .members import lose_directory, move, remove_and_add, replace
from .network import Way
from .snapshots import (
    cut_power_amid_compaction,
    cut_power_amid_installation,
    kill_amid_compaction,
    kill_amid_installation,
)
from .stage import Stage, cut_power_of

_LONGER_THAN_AN_ELECTION_S = 1.0

Nemesis = Callable[[Stage], None]

# --- Processes ----------------------------------------------------------------------------


def kill(stage: Stage) -> None:
    """SIGKILL."""
    victims = stage.victims()
    stage.say(f"kills {victims}")
    stage.cluster.kill(*victims)
    stage.let_clients_feel_it(victims)
    stage.cluster.restart(*victims)


def pause(stage: Stage) -> None:
    """SIGSTOP for longer than an election takes, then SIGCONT."""
    leader, _ = stage.leader_and_followers()
    victims = stage.victims()
    stage.say(f"pauses {victims}, {leader} leads")
    for node_id in victims:
        stage.cluster.pause(node_id)
    until = now() + _LONGER_THAN_AN_ELECTION_S
    if stage.cluster.awake:
        stage.cluster.wait_for_leader()
    eventually(lambda: now() > until, "an election would be over")
    stage.let_clients_feel_it(victims)
    for node_id in victims:
        stage.cluster.resume(node_id)


# --- Networks -----------------------------------------------------------------------------


def both_ways(one: Iterable[int], two: Iterable[int]) -> list[tuple[int, int]]:
    there = list(product(one, two))
    return there + [(recipient, sender) for sender, recipient in there]


def isolate_leader(stage: Stage) -> None:
    """The others replace a leader that is cut off, and fence it when it is back."""
    leader, followers = stage.leader_and_followers()
    stage.say(f"cuts {leader}, the leader, off from {followers}")
    stage.cluster.lose(both_ways([leader], followers))
    stage.cluster.wait_for_leader(followers)
    stage.let_clients_feel_it()


def split(stage: Stage) -> None:
    """Two random halves, or none that can see another."""
    nodes = stage.rng.sample(list(stage.cluster.nodes), len(stage.cluster.nodes))
    cut = stage.rng.randrange(1, len(nodes))
    if stage.rng.random() < 0.3:
        stage.say("cuts every node off from every other")
        stage.cluster.lose(permutations(nodes, 2))
        stage.let_clients_try()
    else:
        stage.say(f"splits {nodes[:cut]} from {nodes[cut:]}")
        stage.cluster.lose(both_ways(nodes[:cut], nodes[cut:]))
        stage.let_clients_feel_it()


def one_way(stage: Stage) -> None:
    """One node can only speak, or only listen."""
    leader, followers = stage.leader_and_followers()
    victim = stage.rng.choice([leader, followers[0]])
    others = [node_id for node_id in stage.cluster.nodes if node_id != victim]
    way = stage.rng.choice([Way.LINK, Way.PACKETS])
    role = "the leader" if victim == leader else "a follower"
    if stage.rng.random() < 0.5:
        stage.say(f"makes {victim}, {role}, deaf ({way.name.lower()})")
        stage.cluster.lose(product(others, [victim]), way)
    else:
        stage.say(f"makes {victim}, {role}, mute ({way.name.lower()})")
        stage.cluster.lose(product([victim], others), way)
    # A deaf follower raises its term again and again: there need not be a lasting leader.
    stage.let_clients_try()


def bridge(stage: Stage) -> None:
    """Two sides that see each other only through one node between them."""
    _, nodes = stage.leader_and_followers()
    middle, *ends = stage.rng.sample(list(stage.cluster.nodes), len(nodes) + 1)
    half = len(ends) // 2
    stage.say(f"leaves {ends[:half]} and {ends[half:]} only {middle} in common")
    stage.cluster.lose(both_ways(ends[:half], ends[half:]))
    stage.let_clients_try()


def cut_off_and_kill(stage: Stage) -> None:
    """A leader that is cut off dies, and starts again while it is still cut off."""
    leader, followers = stage.leader_and_followers()
    stage.say(f"cuts {leader}, the leader, off, and kills it there")
    stage.cluster.lose(both_ways([leader], followers))
    stage.let_clients_try()
    stage.cluster.kill(leader)
    stage.cluster.wait_for_leader(followers)
    stage.cluster.restart(leader)
    stage.let_clients_feel_it()


def unplug(stage: Stage) -> None:
    """A node that nobody reaches, no client either."""
    leader, followers = stage.leader_and_followers()
    victim = stage.rng.choice([leader, followers[0]])
    stage.say(f"unplugs {victim}, {leader} leads")
    stage.network.unplug(victim)
    stage.cluster.wait_for_leader(node_id for node_id in stage.cluster.nodes if node_id != victim)
    stage.let_clients_feel_it()


def lose_packets(stage: Stage) -> None:
    """A network that loses some of everything between nodes."""
    stage.say("loses 15 % of all packets between nodes")
    stage.cluster.lose(permutations(stage.cluster.nodes, 2), Way.LOSSY)
    stage.let_clients_try()


def slow_network(stage: Stage) -> None:
    """A network that delays what goes to some nodes."""
    victims = stage.victims()
    means = {stage.network.slow_down(node_id) for node_id in victims}
    stage.say(f"slows down what goes to {victims} ({', '.join(means)})")
    stage.let_clients_try()


# --- Disks --------------------------------------------------------------------------------


def fill_disk(stage: Stage) -> None:
    """Full disks refuse writes, in words, and take them again by themselves; no node ends."""
    cluster = stage.cluster
    victims = stage.victims()
    stage.say(f"fills the disks of {victims}")
    marks = {node_id: len(cluster.nodes[node_id].log) for node_id in victims}
    for node_id in victims:
        cluster.disks[node_id].fill()
    for node_id, mark in marks.items():
        cluster.wait_for_log(node_id, "short of room", after=mark)
    stage.let_clients_try()
    # A node that ends where there is no room can start again there.
    ended = stage.rng.choice(victims)
    cluster.kill(ended)
    cluster.restart(ended)
    stage.let_clients_try()
    for node_id in victims:
        assert cluster.nodes[node_id].is_running, f"a full disk ended node {node_id}"
        cluster.disks[node_id].make_room()
    for node_id, mark in marks.items():
        cluster.wait_for_log(node_id, "has room again", after=mark)


def cut_power(stage: Stage) -> None:
    """Nodes go on from what their disks held at one moment."""
    cut_power_of(stage, stage.victims())


# --- All of them --------------------------------------------------------------------------

ANYWHERE: tuple[Nemesis, ...] = (
    kill,
    pause,
    isolate_leader,
    split,
    one_way,
    bridge,
    cut_off_and_kill,
    kill_amid_compaction,
    kill_amid_installation,
)
"""Those that proxies can do as well."""

WITH_ROOT: tuple[Nemesis, ...] = (
    unplug,
    lose_packets,
    slow_network,
    fill_disk,
    cut_power,
    cut_power_amid_compaction,
    cut_power_amid_installation,
    lose_directory,
    replace,
    remove_and_add,
    move,
)
"""Proxies stand between pairs of nodes: no address of a member is right for all others there."""

NEMESES = ANYWHERE + (WITH_ROOT if is_root() else ())
