"""States of a cluster by who is there, who leads, and who says to be whom."""

from __future__ import annotations

from scripted_node import status_of

from kvstore import api
from kvstore.cli.findings import State
from kvstore.cli.overview import Asked, Silence, Why

from .statuses import (
    BY_OTHER_NAME,
    DOWN,
    FROZEN,
    IDS,
    MEMBERS,
    NO_23,
    Case,
    ask,
    at,
    no_3,
    node,
    without_leader,
)

ABOUT_NODES = {
    "all is well": Case(ask(node(1), node(2), node(3)), State.HEALTHY, [], may_fail=1),
    "a cluster of one": Case(
        [Asked(at(1), status_of(1, members={1: at(1)}, match_index={1: 31}))],
        State.HEALTHY,
        [],
        may_fail=0,
    ),
    # --- Who is there
    "nobody answers": Case(
        ask(DOWN, DOWN, DOWN),
        State.UNREACHABLE,
        ["no_answer"],
        ("start them, or wait if they are starting; their logs", "--to"),
    ),
    "the only node does not answer": Case(
        ask(DOWN),
        State.UNREACHABLE,
        ["no_answer"],
        ("start it, or wait if it is starting; its log", "--to"),
    ),
    "nobody answers, for different reasons": Case(
        ask(DOWN, FROZEN), State.UNREACHABLE, ["no_answer"], ("see above",)
    ),
    "one node is down": Case(
        ask(node(1, **no_3(1)), node(2, **no_3(2)), DOWN),
        State.DEGRADED,
        ["node_silent", "spares"],
        ("node 3 at h3:9003 is down (connection refused): start it", "no further one may fail"),
        0,
    ),
    "one node is down, as its directory was wiped": Case(
        ask(
            node(1, **no_3(1), refused={3: "node 1 knows node 3 by another one"}),
            node(2, **no_3(2)),
            DOWN,
        ),
        State.DEGRADED,
        ["directory_refused", "spares"],
        ("node 3 at h3:9003 is down (connection refused): node 1 knows node 3 by another one",),
        0,
    ),
    "one node is down, and one was not asked": Case(
        [Asked(at(1), node(1, **no_3(1))), Asked(at(3), DOWN, 3)],
        State.DEGRADED,
        ["node_silent", "spares", "not_asked"],
        ("1 of 3 nodes answer: no further one may fail",),
        0,
    ),
    "one node is frozen, and its links stand": Case(
        ask(node(1), node(2), FROZEN),
        State.DEGRADED,
        ["node_silent", "spares"],
        ("node 3 at h3:9003 takes connections and says nothing", "2 of 3 nodes answer"),
        0,
    ),
    "one node is full of clients": Case(
        ask(node(1), node(2), Silence(Why.FULL, "ERR max")),
        State.DEGRADED,
        ["node_silent", "spares"],
        ("no place for another connection", "ulimit -n"),
        0,
    ),
    "something else answers": Case(
        [*ask(node(1), node(2), node(3)), Asked("x:1", Silence(Why.STRANGER, "ERR what?"))],
        State.DEGRADED,
        ["node_silent"],
        ("the node at x:1 is no kvstore node (ERR what?): correct the address",),
        1,
    ),
    "two of three were not asked": Case(
        [Asked(at(1), without_leader(1, **NO_23))],
        State.NO_WRITES,
        ["no_majority", "not_asked", "not_asked"],
        ("2 are needed: name the others in --to", "if they are lost for good", "kvstore recover"),
    ),
    "a node that was removed is gone, and still asked": Case(
        [*ask(node(1), node(2), node(3)), Asked("h4:9004", DOWN, 4)],
        State.HEALTHY,
        ["no_member"],
        ("no member is at h4:9004, says the leader, and what is there is down", "leave it out"),
        1,
    ),
    "a node is gone that may be a member, as nobody leads": Case(
        [*ask(*map(without_leader, IDS)), Asked("h4:9004", DOWN)],
        State.NO_WRITES,
        ["no_leader", "node_silent"],
        ("the node at h4:9004 is down",),
    ),
    "a cluster of one is served elsewhere than its members' list says": Case(
        [
            Asked(
                "h9:9001",
                status_of(1, members={1: at(1)}, match_index={1: 31}, reached_at="h9:9001"),
            )
        ],
        State.DEGRADED,
        ["node_moved"],
        ("node 1 is at h9:9001, and the others look for it at h1:9001: kvstore member move 1",),
        0,
    ),
    "only the leader was asked": Case(
        [Asked(at(1), node(1))],
        State.HEALTHY,
        ["not_asked", "not_asked"],
        ("node 2 was not asked: name it in --to",),
        1,
    ),
    "only a follower was asked": Case(
        [Asked(at(2), node(2))], State.HEALTHY, ["not_asked", "not_asked"]
    ),
    "a node that was not asked is gone": Case(
        [Asked(at(1), node(1, **no_3(1))), Asked(at(2), node(2, **no_3(2)))],
        State.DEGRADED,
        ["not_asked"],
        ("node 3 was not asked, and nobody has a link to it",),
        0,
    ),
    # --- Who leads
    "two of three are down": Case(
        ask(without_leader(1, **NO_23), DOWN, DOWN),
        State.NO_WRITES,
        ["no_majority", "node_silent", "node_silent"],
        (
            "no leader: 1 of 3 nodes answer, and 2 are needed: start nodes 2, 3; if they are lost "
            "for good, save what is left (kvstore backup), and go on with one directory "
            "(kvstore recover)",
        ),
    ),
    "a leader that has just lost the others": Case(
        ask(node(1), FROZEN, FROZEN),
        State.NO_WRITES,
        ["no_majority", "node_silent", "node_silent"],
        ("node 1 leads, and 2 of 3 nodes are needed to confirm it",),
    ),
    "the leader is frozen": Case(
        ask(FROZEN, node(2), node(3)),
        State.NO_WRITES,
        ["leader_silent", "node_silent"],
        ("the leader, node 1, does not answer",),
    ),
    "an election is under way on one node without room": Case(
        ask(without_leader(1, is_short_of_room=True), without_leader(2), without_leader(3)),
        State.NO_WRITES,
        ["no_leader", "short_of_room"],
        ("an election takes about a second",),
    ),
    "an election is under way": Case(
        ask(*map(without_leader, IDS)),
        State.NO_WRITES,
        ["no_leader"],
        ("an election takes about a second",),
    ),
    "nobody may stand, as entries are lost": Case(
        ask(without_leader(1, damaged_entries=2, **no_3(1)), without_leader(2, **no_3(2)), DOWN),
        State.NO_WRITES,
        ["no_leader_damaged", "node_silent", "damaged"],
        ("node 1 cannot stand without the log entries that its disk lost", "2 log entries"),
    ),
    "nobody may stand, as disks are full": Case(
        ask(*(without_leader(n, is_short_of_room=True, room_bytes=0) for n in IDS)),
        State.NO_WRITES,
        ["no_leader_room", *["short_of_room"] * 3],
        ("no leader: make room on the disks of nodes 1, 2, 3",),
    ),
    "a node fetches a snapshot": Case(
        ask(
            node(1),
            node(2),
            node(3, receiving=api.Transfer(900, 40 << 20, 120 << 20, 4_000.0)),
        ),
        State.DEGRADED,
        ["snapshot"],
        ("node 3 fetches a snapshot up to log entry 900: 40 MiB of 120 MiB, 10.0 MiB/s",),
        1,
    ),
    "a node has no room for a snapshot": Case(
        ask(
            node(1),
            node(2),
            node(
                3,
                receiving=api.Transfer(900, 0, 120 << 20, 4_000.0),
                snapshot_setback="start again with a larger --state-map-bytes",
            ),
        ),
        State.DEGRADED,
        ["snapshot_waits"],
        ("node 3 cannot take a snapshot for now: start again with a larger --state-map-bytes",),
        1,
    ),
    "a leader has no room for a snapshot": Case(
        ask(node(1, snapshot_setback="make room on the disk"), node(2), node(3, lacks_data=True)),
        State.DEGRADED,
        ["snapshot_waits", "snapshot"],
        (
            "node 1 cannot write a snapshot for now: make room on the disk",
            "node 3 lacks its data, and waits for a snapshot",
        ),
        1,
    ),
    "a node lacks its data": Case(
        ask(node(1), node(2), node(3, lacks_data=True)),
        State.DEGRADED,
        ["snapshot"],
        ("node 3 lacks its data, and waits for a snapshot",),
        1,
    ),
    "the data of a node differ": Case(
        ask(node(1), node(2), node(3, lacks_data=True, differs_at=77)),
        State.DEGRADED,
        ["differs"],
        ("the data of node 3 differ from the majority's as of log entry 77", "state.differs"),
        1,
    ),
    "a node hears no leader": Case(
        ask(node(1), node(2), without_leader(3)),
        State.DEGRADED,
        ["hears_no_leader"],
        ("node 3 hears no leader",),
        1,
    ),
    "a stale leader beside a newer one": Case(
        ask(node(1), node(2, role="leader", leader_id=2, term=8), node(3, leader_id=2, term=8)),
        State.HEALTHY,
        [],
        may_fail=1,
    ),
    # --- Who is who
    "a node is found elsewhere by its own word, and asked where it was": Case(
        ask(node(1), node(2), DOWN),
        State.DEGRADED,
        ["spares", "node_moved"],
        ("node 3 reaches nodes 1, 2, and is not at h3:9003 (connection refused): if it has moved",),
        0,
    ),
    "a node has moved, and is asked where it is now": Case(
        [
            *ask(node(1, **no_3(1)), node(2, **no_3(2))),
            Asked("h9:9003", node(3, reached_at="h9:9003")),
        ],
        State.DEGRADED,
        ["node_moved"],
        (
            "node 3 is at h9:9003, and the others look for it at h3:9003",
            "kvstore member move 3 h9:9003",
        ),
        1,
    ),
    "a node has moved, and is asked where it was": Case(
        ask(
            node(1, links={2: "", 3: "connection refused"}),
            node(2, links={1: "", 3: "connection refused"}),
            DOWN,
        ),
        State.DEGRADED,
        ["spares", "node_moved"],
        ("node 3 reaches nodes 1, 2, and is not at h3:9003 (connection refused): if it has moved",),
        0,
    ),
    "a node goes by several names, and all reach it": Case(
        ask(node(1), node(2), node(3, members=BY_OTHER_NAME)), State.HEALTHY, [], may_fail=1
    ),
    "a link works one way": Case(
        ask(node(1), node(2, links={1: "", 3: "timed out"}), node(3)),
        State.DEGRADED,
        ["no_link"],
        ("node 2 cannot reach node 3 at h3:9003 (timed out)",),
        1,
    ),
    "members differ": Case(
        ask(node(1), node(2), node(3, members={**MEMBERS, 4: "h4:9004"})),
        State.DEGRADED,
        ["members_differ"],
        ("node 3 counts nodes 1, 2, 3, 4 as members, the others nodes 1, 2, 3",),
        1,
    ),
    "clusters differ": Case(
        ask(node(1), node(2), node(3, cluster_id="other")),
        State.DEGRADED,
        ["clusters_differ", "not_asked"],
        ("other at h3:9003", "kvstore-1a2b3c4d at h1:9001, h2:9002"),
        1,
    ),
    "two directories go by one id": Case(
        [*ask(node(1), node(2), node(3)), Asked("h4:9002", node(2, incarnation="copy"))],
        State.DEGRADED,
        ["node_twice"],
        ("node 2 answers at h2:9002 and at h4:9002, from two directories",),
        1,
    ),
    "two addresses lead to one node": Case(
        [*ask(node(1), node(2), node(3)), Asked("alias:9002", node(2))],
        State.HEALTHY,
        ["asked_twice"],
        ("h2:9002 and alias:9002 both lead to node 2",),
        1,
    ),
    "another node is there than the settings say": Case(
        ask(node(1), node(3), node(2)),
        State.DEGRADED,
        ["wrong_node", "wrong_node"],
        ("at h2:9002 node 3 answers, and the settings say node 2",),
        1,
    ),
}
