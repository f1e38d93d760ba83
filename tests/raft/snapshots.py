"""Snapshots by stream (Raft §7), of which a leader has one."""

from __future__ import annotations

import msgspec

from kvstore.raft.messages import AppendEntriesReply, FetchSnapshot, InstallSnapshot, SnapshotPiece
from kvstore.raft.types import LogStart, SnapshotName

from .harness import Spool, World, leader_bench
from .messages import accepted, rejected

START = LogStart(10, 2)
DATA = Spool(SnapshotName(1, 12, 2, 10)).data


def needing(peer: int, match: int, least: int, term: int = 3) -> AppendEntriesReply:
    """A follower whose log is well, and that lacks what comes before it."""
    return msgspec.structs.replace(accepted(peer, term, match), needs_snapshot=least)


def leader_of_one_behind(size_bytes: int = 10, peers: tuple[int, ...] = (2,)) -> World:
    """Node 1 leads term 3 with a log that begins after entry 10, has a snapshot, and `peers`
    lack what is before."""
    world = leader_bench([2, 2], 3, start=START)
    world.nodes[1].applied = [*world.log()[:2]]
    world.spool(1, size_bytes)
    for peer in peers:
        world.hand(rejected(peer, 3, prev=12, conflict=(4, 1)))
        world.hand(rejected(peer, 3, prev=10, conflict=(4, 1)))
    world.take_sent()
    world.lines()
    return world


def offers(world: World) -> list[int]:
    return [m.recipient for m in world.take_sent() if isinstance(m, InstallSnapshot)]


def asked(world: World) -> list[int]:
    return [m.offset for m in world.take_sent() if isinstance(m, FetchSnapshot)]


def given(world: World) -> list[tuple[int, int]]:
    found = world.take_sent()
    return [(m.recipient, m.offset) for m in found if isinstance(m, SnapshotPiece)]
