"""Members that lose all they had, are taken out and in again, or move: under load, one at a time.

Law: an operator's command is given until it is taken, as it is refused while another change is
under way or nobody leads. A member that comes back has a directory of its own: what it said
before holds for the old one.
"""

from __future__ import annotations

from collections.abc import Callable

from process.cluster import eventually

from kvstore import Client, RequestError, api

from .stage import Stage


def lose_directory(stage: Stage) -> None:
    """A node comes back with nothing, where it was."""
    _join(stage, _without_directory(stage))


def replace(stage: Stage) -> None:
    """A member is given up, and another node, elsewhere, is put in its place."""
    victim = _without_directory(stage)
    stage.say(f"replaces {victim}")
    stage.cluster.move(victim)
    address = stage.cluster.address(victim)
    _command(stage, "replace", lambda client: client.replace_member(victim, address))
    _join(stage, victim)


def remove_and_add(stage: Stage) -> None:
    """A member that is removed ends, and is a new one when it is added."""
    victim = _leader_or_follower(stage)
    stage.say(f"removes {victim}, and adds it")
    cluster = stage.cluster
    _command(stage, "remove", lambda client: client.remove_member(victim))
    cluster.wait_until_removed(victim)
    stage.let_clients_feel_it([victim])
    cluster.nodes[victim].lose_directory()
    address = cluster.address(victim)
    _command(stage, "add", lambda client: client.add_member(victim, address))
    _join(stage, victim)


def move(stage: Stage) -> None:
    """A node with all it has, at another address, which the others are told before or after."""
    victim = _leader_or_follower(stage)
    is_told_first = stage.rng.random() < 0.5
    stage.say(f"moves {victim}, told {'before' if is_told_first else 'after'}")
    cluster = stage.cluster
    cluster.kill(victim)
    stage.let_clients_feel_it([victim])
    cluster.move(victim)
    address = cluster.address(victim)
    if not is_told_first:
        cluster.spawn(victim)
    _command(stage, "move", lambda client: client.move_member(victim, address))
    if is_told_first:
        cluster.spawn(victim)
    cluster.wait_until_answers(victim)
    _wait_until_all_vote(stage)


def _leader_or_follower(stage: Stage) -> int:
    leader, followers = stage.leader_and_followers()
    return stage.rng.choice([leader, followers[0]])


def _without_directory(stage: Stage) -> int:
    victim = _leader_or_follower(stage)
    stage.say(f"loses the directory of {victim}")
    stage.cluster.kill(victim)
    stage.cluster.nodes[victim].lose_directory()
    stage.cluster.wait_for_leader()
    stage.let_clients_feel_it([victim])
    return victim


def _join(stage: Stage, node_id: int) -> None:
    """Until it votes by its new directory: by the members alone, it may be the old one."""
    mark = len(stage.cluster.nodes[node_id].log)
    stage.cluster.join(node_id)
    stage.cluster.wait_until_answers(node_id)
    stage.cluster.wait_for_log(node_id, "this node votes", after=mark)
    _wait_until_all_vote(stage)


def _command(stage: Stage, name: str, give: Callable[[Client], object]) -> None:
    with stage.operator() as client:
        eventually(
            lambda: (give(client), True)[1],
            f"the command to {name} a member is taken",
            ignoring=(RequestError,),
        )


def _wait_until_all_vote(stage: Stage) -> None:
    """All nodes are members again, and a majority knows it."""
    wanted = dict.fromkeys(stage.cluster.nodes, api.MemberRole.VOTER)
    with stage.operator() as client:

        def all_vote() -> bool:
            found = client.members()
            return found.is_settled and {one.node_id: one.role for one in found.members} == wanted

        eventually(all_vote, "all nodes vote", ignoring=(RequestError,))
