"""States of a cluster by what its nodes have: directories, disks, logs, programs."""

from __future__ import annotations

from kvstore import api
from kvstore.cli.advice import FAR_BEHIND, LITTLE_ROOM_BYTES, SLOW_SYNC_MS
from kvstore.cli.findings import State

from .statuses import DOWN, IDS, MEMBERS, MIB, Case, ask, cut_from, node, without_leader

FOUR = {"members": {**MEMBERS, 4: "h4:9004"}, "learners": (4,), "links": {}}


def checked(digests: str, differ: tuple[int, ...] = ()) -> api.CheckResult:
    """What the nodes hold, a letter each."""
    said = dict(enumerate(digests, start=1))
    is_decided = 2 * max(map(digests.count, digests)) > len(IDS)
    return api.CheckResult(17, True, is_decided, said, differ)


ABOUT_DISKS = {
    # --- Directories
    "two of three directories are lost": Case(
        ask(
            without_leader(1),
            without_leader(2, is_voter=False),
            without_leader(3, is_voter=False),
        ),
        State.NO_WRITES,
        ["cannot_heal"],
        (
            "this does not mend itself: nodes 2, 3 wait to be let vote by 2 of 3 directories",
            "there is 1.",
            "kvstore backup",
            "kvstore recover",
        ),
    ),
    "two of three directories are lost, and made anew, so that they know no members": Case(
        ask(
            without_leader(1),
            without_leader(2, is_voter=False, members={}, links={}),
            without_leader(3, is_voter=False, members={}, links={}),
        ),
        State.NO_WRITES,
        ["cannot_heal"],
        ("this does not mend itself: nodes 2, 3 wait to be let vote by 2 of 3 directories",),
    ),
    "two of three directories are lost, and the third is down": Case(
        ask(
            DOWN,
            without_leader(2, is_voter=False, **cut_from(1)(2)),
            without_leader(3, is_voter=False, **cut_from(1)(3)),
        ),
        State.NO_WRITES,
        ["cannot_heal", "node_silent"],
        ("this does not mend itself",),
    ),
    "one directory is lost, and another node is down": Case(
        ask(
            without_leader(1, **cut_from(3)(1)),
            without_leader(2, is_voter=False, **cut_from(3)(2)),
            DOWN,
        ),
        State.NO_WRITES,
        ["no_majority", "node_silent"],
        ("1 of 3 nodes whose directories count answer, and 2 are needed: start node 3",),
    ),
    "a node that lost its directory catches up": Case(
        ask(node(1, match_index={1: 31, 2: 31, 3: 11}), node(2), node(3, is_voter=False)),
        State.DEGRADED,
        ["learner"],
        ("node 3 catches up (20 entries to go)", "counts for nothing"),
        0,
    ),
    "a new node catches up": Case(
        ask(
            node(1, match_index={1: 31, 2: 31, 3: 31, 4: 11}, **FOUR),
            node(2, **FOUR),
            node(3, **FOUR),
            node(4, is_voter=False, **FOUR),
        ),
        State.DEGRADED,
        ["learner"],
        ("node 4 catches up (20 entries to go), and then votes",),
        1,
    ),
    # --- What they hold
    "all hold the same": Case(
        ask(node(1, check=checked("aaa")), node(2), node(3)), State.HEALTHY, [], may_fail=1
    ),
    "one held something else, and has a snapshot by now": Case(
        ask(node(1, check=checked("aba", (2,))), node(2), node(3)), State.HEALTHY, [], may_fail=1
    ),
    "two hold different things, and the third was down": Case(
        ask(node(1, check=checked("ab")), node(2), node(3)),
        State.DEGRADED,
        ["states_disputed"],
        ("nodes 1, 2 do not hold the same, as of log entry 17, and no majority does",),
        1,
    ),
    # --- Disks and logs
    "the leader's disk is full": Case(
        ask(node(1, is_short_of_room=True, room_bytes=12 * MIB), node(2), node(3)),
        State.NO_WRITES,
        ["leader_short_of_room"],
        ("node 1 leads and refuses writes, with 12 MiB left: it hands over",),
    ),
    "all disks are full": Case(
        ask(*(node(n, is_short_of_room=True, room_bytes=0) for n in IDS)),
        State.NO_WRITES,
        ["all_short_of_room", "short_of_room", "short_of_room"],
        ("writes are refused, as nodes 1, 2, 3 have no room: make room",),
    ),
    "a follower's disk is full": Case(
        ask(node(1), node(2, is_short_of_room=True, room_bytes=9 * MIB), node(3)),
        State.DEGRADED,
        ["short_of_room"],
        ("node 2 has 9 MiB left, too little to lead",),
        1,
    ),
    "a disk is nearly full": Case(
        ask(node(1, room_bytes=LITTLE_ROOM_BYTES - 1), node(2, room_bytes=LITTLE_ROOM_BYTES)),
        State.DEGRADED,
        ["little_room", "not_asked"],
        ("node 1 has 255 MiB left",),
        1,
    ),
    "what is committed does not fit": Case(
        ask(node(1), node(2), node(3, is_short_of_room=True, waits_for_room=9, last_applied=8)),
        State.DEGRADED,
        ["waits_for_room"],
        ("node 3 has no room to apply log entry 9",),
        1,
    ),
    "entries are lost": Case(
        ask(node(1), node(2, damaged_entries=1), node(3)),
        State.DEGRADED,
        ["damaged"],
        ("the disk of node 2 lost 1 log entry",),
        1,
    ),
    "a node is far behind": Case(
        ask(
            node(1, last_log_index=5_000, match_index={1: 5_000, 2: 5_000 - FAR_BEHIND, 3: 3_999}),
            node(2),
            node(3),
        ),
        State.DEGRADED,
        ["far_behind"],
        ("node 3 lacks 1,001 entries",),
        1,
    ),
    "a node has much to apply": Case(
        ask(node(1), node(2, commit_index=9_000), node(3)),
        State.HEALTHY,
        ["applying"],
        ("node 2 has 8,971 log entries still to apply",),
        1,
    ),
    "a disk is slow": Case(
        ask(node(1), node(2, sync_p99_ms=SLOW_SYNC_MS), node(3, sync_p99_ms=None)),
        State.HEALTHY,
        ["slow_disk"],
        ("a write to the log of node 2 takes up to 500 ms",),
        1,
    ),
    "an upgrade is under way": Case(
        ask(node(1), node(2), node(3, version="0.2.0")),
        State.HEALTHY,
        ["versions_differ"],
        ("0.1.0 on nodes 1, 2; 0.2.0 on node 3",),
        1,
    ),
}
