"""How each kind of fault strikes a world.

Law: what a strike needs to choose, it draws from its fault's own seed, and it touches
hosts, links and disks, never a node.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import msgspec

from kvstore.raft.messages import (
    TERM_LEAP_MAX,
    Message,
    PreVoteReply,
    ReadIndex,
    RequestVote,
    RequestVoteReply,
)
from kvstore.sim.checkers.majority import are_majority
from kvstore.sim.disk import BOUNDLESS, TRUNCATION_BYTES, Disk, Fate
from kvstore.sim.faults import KINDS, Fault, weather
from kvstore.sim.host import Host
from kvstore.sim.network import Conditions
from kvstore.sim.world import World

_LITTLE_BYTES: Final = 64 << 20
"""With so little left, nodes look in every turn."""
_FILLING_MS: Final = 250.0
"""From there on a disk fills up in this time, more than two heartbeats by any clock."""
_UPGRADE_MS: Final = 400.0
"""From one node to the next, where all get another release."""
_READMISSION_MS: Final = 2_500.0
"""In about this time a machine with a new directory is started, heard, level and admitted."""


def strike(world: World, fault: Fault) -> None:
    """Do what the fault says."""
    world.observer.reached[f"fault: {fault.kind}"] += 1
    _STRIKES[fault.kind](world, fault, random.Random(fault.seed))


_Links = set[tuple[int, int]]


# --- Nodes --------------------------------------------------------------------------------


def _victim(world: World, rng: random.Random) -> Host:
    """Mostly who leads, else anybody."""
    leaders = [host for host in world.hosts.values() if host.is_leading]
    if leaders and rng.random() < 0.6:
        return rng.choice(leaders)
    return world.hosts[rng.choice(world.members)]


def _crash(world: World, fault: Fault, rng: random.Random) -> None:
    host = _victim(world, rng)
    host.crash("killed")


def _crash_all(world: World, fault: Fault, rng: random.Random) -> None:
    for host in world.hosts.values():
        host.crash("all are killed")


def _short_reigns(world: World, fault: Fault, rng: random.Random) -> None:
    """Whoever leads is killed or cut off soon after: old terms leave their entries everywhere."""
    for at_ms in range(0, int(fault.duration_ms), 40):
        world.schedule.after(at_ms + rng.uniform(0.0, 40.0), partial(_end_reign, world, rng))


def _end_reign(world: World, rng: random.Random) -> None:
    leaders = [host for host in world.hosts.values() if host.is_leading]
    if leaders and not world.is_calm and rng.random() < 0.4:
        rng.choice(leaders).crash("killed as it leads")


def _pause(world: World, fault: Fault, rng: random.Random) -> None:
    host = _victim(world, rng)
    host.pause()
    world.schedule.after(fault.duration_ms, host.resume)


def _arm(fate: Fate, world: World, fault: Fault, rng: random.Random) -> None:
    """Something strikes at the next operation of its kind, not at a time."""
    host = _victim(world, rng)
    if host.node is not None:
        host.disk.fates.add(fate)
        world.observer.disturbed(host.id, f"is about to be {fate.value}")


def _crash_in_a_snapshot(world: World, fault: Fault, rng: random.Random) -> None:
    """Whoever installs one next, or in time."""
    for host in world.hosts.values():
        if host.node is not None:
            host.disk.fates.add(Fate.CUT_IN_SNAPSHOT)


def _hand_over(world: World, fault: Fault, rng: random.Random) -> None:
    """Whoever leads, or believes to, hands over to whom it holds for closest."""
    for host in world.hosts.values():
        if host.node is not None and host.is_leading:
            host.node.leading.make_way_before_exit()


def _change_release(world: World, fault: Fault, rng: random.Random) -> None:
    """Somebody upgrades a node, or one after the other, or puts the older release back."""
    host = world.hosts[rng.choice(world.members)]
    dice = rng.random()
    if dice < 0.4:
        host.upgrade()
    elif dice < 0.7:
        host.downgrade()
    else:
        for number, node in enumerate(rng.sample(world.members, len(world.members))):
            world.schedule.after(_UPGRADE_MS * number, partial(_upgrade, world, node))


def _upgrade(world: World, node: int) -> None:
    if not world.is_calm:
        world.hosts[node].upgrade()


def _remove_member(world: World, fault: Fault, rng: random.Random) -> None:
    """An operator takes a node out of the cluster, often the leader, and brings it back later."""
    world.member_operator.take_out(_victim(world, rng).id, fault.duration_ms)


# --- Disks --------------------------------------------------------------------------------


def _disk_full(world: World, fault: Fault, rng: random.Random) -> None:
    """On one machine, or on all of them: nothing is left, or somewhat more than a mark.

    Other processes take it, but not from one moment to the next: nodes look in time.
    """
    full = [_victim(world, rng)] if rng.random() < 0.8 else [*world.hosts.values()]
    headroom_bytes = world.plan.limits.headroom_bytes
    for host in full:
        mark = rng.choice((0, headroom_bytes // 2, headroom_bytes * 3 // 4, headroom_bytes))
        left_bytes = TRUNCATION_BYTES + mark + rng.randrange(headroom_bytes // 2)
        disk = host.disk
        disk.room_bytes = min(disk.room_bytes, _LITTLE_BYTES)
        world.schedule.after(_FILLING_MS, partial(_fill_up, world, host.id, disk, left_bytes))
        world.schedule.after(
            _FILLING_MS + fault.duration_ms, partial(setattr, disk, "room_bytes", BOUNDLESS)
        )


def _fill_up(world: World, node: int, disk: Disk, left_bytes: int) -> None:
    """Unless somebody made room meanwhile."""
    if disk.room_bytes <= _LITTLE_BYTES:
        disk.room_bytes = left_bytes
        world.observer.disturbed(node, f"has {left_bytes >> 10} KiB left")


def _disk_error(world: World, fault: Fault, rng: random.Random) -> None:
    _victim(world, rng).disk.fates.add(Fate.ERROR)


def _disk_slow(world: World, fault: Fault, rng: random.Random) -> None:
    host = _victim(world, rng)
    host.disk.sync_ms = rng.choice((20.0, 150.0, 900.0, 3_000.0))
    world.observer.disturbed(host.id, f"an fsync takes about {host.disk.sync_ms:.0f} ms")
    usual_ms = host.disk.usual_sync_ms
    world.schedule.after(fault.duration_ms, partial(setattr, host.disk, "sync_ms", usual_ms))


def _damage(world: World, fault: Fault, rng: random.Random) -> None:
    """Only so many disks may be damaged at a time that the sound ones are a majority."""
    host = _victim(world, rng)
    if _others_are_sound(world, host):
        world.observer.disturbed(host.id, host.disk.log.damage(rng))


def _lose_term(world: World, fault: Fault, rng: random.Random) -> None:
    """A whole term is gone from a disk, and the node comes upon it as it starts again."""
    host = _victim(world, rng)
    if _others_are_sound(world, host):
        world.observer.disturbed(host.id, host.disk.log.lose_term(rng))
        host.crash("restarted, after a loss on its disk")


def _state_differs(world: World, fault: Fault, rng: random.Random) -> None:
    """A node is told so; the others must be a majority of sound ones, to lead and to rebuild it."""
    host = _victim(world, rng)
    if host.is_sound and _others_are_sound(world, host):
        world.observer.disturbed(host.id, "is about to find that its state differs")
        host.hear_that_state_differs()


def _join_under_load(world: World, fault: Fault, rng: random.Random) -> None:
    """A machine comes back with an empty disk, while clients write as fast as they can."""
    for client in world.clients:
        client.hurry(20)
    _lose_directory(world, fault, rng)


def _lose_directory(world: World, fault: Fault, rng: random.Random) -> None:
    """A machine comes back with an empty disk; the others must be a majority of sound ones."""
    host = _victim(world, rng)
    if _others_are_sound(world, host):
        host.lose_directory()


def _others_are_sound(world: World, host: Host) -> bool:
    """Whether without this machine a majority has directories that are sound, and count."""
    sound = {one.id for one in world.hosts.values() if one.is_sound}
    return are_majority(sound - {host.id}, world.members)


def _old_directory(world: World, fault: Fault, rng: random.Random) -> None:
    """A machine loses its directory, and later finds it again and starts with it.

    A stranger never meets the directory in between, misses what that one acknowledges last,
    and is then left with the old one, and without those who know.
    """
    host = _victim(world, rng)
    if not (host.is_sound and _others_are_sound(world, host)):
        return
    others = [one for one in world.members if one != host.id]
    stranger, *knowing = rng.sample(others, 1 + len(others) // 2)
    apart = _between(knowing, [one for one in world.members if one not in knowing])
    lasts_ms = fault.duration_ms + _READMISSION_MS
    _cut(world, _lasting(fault, lasts_ms), _between([host.id], [stranger]))
    if rng.random() < 0.8:
        world.schedule.after(
            0.7 * lasts_ms, partial(_cut_later, world, _lasting(fault, 0.3 * lasts_ms), stranger)
        )
    old, new = host.lose_directory(), host.disk
    world.schedule.after(20.0, host.start)

    def put_back() -> None:
        if world.is_calm or host.disk is not new or not _others_are_sound(world, host):
            return
        _cut(world, _lasting(fault, _READMISSION_MS), apart)
        host.put_back(old)
        world.schedule.after(20.0, host.start)

    # When all links are back, so that what is cut then stays cut.
    world.schedule.after(lasts_ms + 0.1, put_back)


def _lasting(fault: Fault, duration_ms: float) -> Fault:
    return msgspec.structs.replace(fault, duration_ms=duration_ms)


def _cut_later(world: World, fault: Fault, alone: int) -> None:
    if not world.is_calm:
        _cut(world, fault, _between([alone], [one for one in world.members if one != alone]))


def _change_record(world: World, fault: Fault, rng: random.Random) -> None:
    """A record of one node is another one when its state is read for a comparison next."""
    hosts = [*world.hosts.values()]
    if not any(Fate.CHANGED_RECORD in host.disk.fates for host in hosts):
        rng.choice(hosts).disk.fates.add(Fate.CHANGED_RECORD)


# --- Links --------------------------------------------------------------------------------


def _between(one: Sequence[int], two: Sequence[int]) -> _Links:
    return {link for a in one for b in two for link in ((a, b), (b, a))}


def _cut(world: World, fault: Fault, links: _Links) -> None:
    """Cut these links for a time; another fault may have cut some of them already."""
    world.network.change_links(world.network.cut | links)
    world.schedule.after(
        fault.duration_ms, lambda: world.network.change_links(world.network.cut - links)
    )


def _isolate(world: World, fault: Fault, rng: random.Random) -> None:
    alone = _victim(world, rng).id
    _cut(world, fault, _between([alone], [node for node in world.members if node != alone]))


def _split(world: World, fault: Fault, rng: random.Random) -> None:
    shuffled = rng.sample(world.members, len(world.members))
    size = rng.randint(1, len(shuffled) - 1)
    _cut(world, fault, _between(shuffled[:size], shuffled[size:]))


def _one_way(world: World, fault: Fault, rng: random.Random) -> None:
    """A node hears the others, but they do not hear it; or the other way round.

    It lasts twice as long: who follows a leader that hears nobody waits for its word.
    """
    node = _victim(world, rng).id
    others = [other for other in world.members if other != node]
    speaks = rng.random() < 0.5
    _cut(
        world,
        _lasting(fault, 2 * fault.duration_ms),
        {(node, other) if speaks else (other, node) for other in others},
    )


def _bridge(world: World, fault: Fault, rng: random.Random) -> None:
    """Two halves that only one node in the middle can reach."""
    _, *others = rng.sample(world.members, len(world.members))
    half = len(others) // 2
    _cut(world, fault, _between(others[:half], others[half:]))


def _crumble(world: World, fault: Fault, rng: random.Random) -> None:
    """Links stop one by one, and come back in another order."""
    links = [(a, b) for a in world.members for b in world.members if a != b]
    step_ms = fault.duration_ms / len(links)
    for number, link in enumerate(rng.sample(links, len(links))):
        world.schedule.after(step_ms * number, partial(_cut_one, world, link))
    for number, link in enumerate(rng.sample(links, len(links)), start=len(links)):
        world.schedule.after(step_ms * number, partial(_mend_one, world, link))


def _cut_one(world: World, link: tuple[int, int]) -> None:
    if not world.is_calm:
        world.network.change_links(world.network.cut | {link})


def _mend_one(world: World, link: tuple[int, int]) -> None:
    world.network.change_links(world.network.cut - {link})


def _bad_weather(world: World, fault: Fault, rng: random.Random) -> None:
    network, usual = world.network, world.plan.weather
    network.conditions = weather(rng)
    world.observer.disturbed(None, f"bad weather: {network.conditions}")
    world.schedule.after(fault.duration_ms, partial(_clear_up, world, usual))


def _clear_up(world: World, usual: Conditions) -> None:
    if not world.is_calm:
        world.network.conditions = usual


def _forge_term(world: World, fault: Fault, rng: random.Random) -> None:
    """A message of a term that no election led to, within belief or beyond it."""
    host = _victim(world, rng)
    if host.node is None:
        return
    term = host.node.raft.current_term
    term += rng.choice((1, 1_000, TERM_LEAP_MAX // 8, TERM_LEAP_MAX + 1, TERM_LEAP_MAX * 5))
    kind, said = rng.choice(_FORGED)
    sender = rng.choice([node for node in world.members if node != host.id])
    world.observer.disturbed(host.id, f"is about to hear of term {term}, by node {sender}'s name")
    world.network.send(
        kind(cluster_id=world.cluster_id, sender=sender, recipient=host.id, term=term, **said),
        world.hosts[sender].life,
    )


_FORGED: Final[tuple[tuple[Callable[..., Message], dict[str, int | bool]], ...]] = (
    (PreVoteReply, {"vote_granted": False}),
    (RequestVoteReply, {"vote_granted": False}),
    (RequestVote, {"last_log_index": 0, "last_log_term": 0}),
    (ReadIndex, {"read_id": 1}),
)

_STRIKES: Final[dict[str, Callable[[World, Fault, random.Random], None]]] = {
    "crash": _crash,
    "crash of all": _crash_all,
    "crash before a write": partial(_arm, Fate.CUT_BEFORE_WRITE),
    "crash after a write": partial(_arm, Fate.CUT_AFTER_WRITE),
    "crash in apply": partial(_arm, Fate.CUT_IN_APPLY),
    "crash at a checkpoint": partial(_arm, Fate.CUT_AT_CHECKPOINT),
    "short reigns": _short_reigns,
    "pause": _pause,
    "handover": _hand_over,
    "disk full": _disk_full,
    "disk error": _disk_error,
    "disk slow": _disk_slow,
    "damage": _damage,
    "lost directory": _lose_directory,
    "old directory": _old_directory,
    "isolation": _isolate,
    "split": _split,
    "one-way link": _one_way,
    "bridge": _bridge,
    "crumbling links": _crumble,
    "bad weather": _bad_weather,
    "forged term": _forge_term,
    "lost term": _lose_term,
    "joining under load": _join_under_load,
    "other release": _change_release,
    "member removed": _remove_member,
    "changed record": _change_record,
    "crash in a snapshot": _crash_in_a_snapshot,
    "state differs": _state_differs,
}
assert _STRIKES.keys() == set(KINDS)
