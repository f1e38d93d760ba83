"""Who tends leases, over nodes without sockets and a clock that the test moves.

Turns are 50 ms apart: what is due in one is committed by the next ones.
"""

from __future__ import annotations

import msgspec

from kvstore import api
from kvstore.raft.types import COMMAND
from kvstore.server.node import Node

from .cluster import Claim, Cluster

TTL_MS = 3_000
_decode = msgspec.msgpack.Decoder(api.Logged).decode
GRACE_MS = api.LeaseRules().grace_ms
TURNS_MS = 300
"""More than it takes from a turn in which something is due until all nodes have applied it."""


def ask(cluster: Cluster, node: Node, command: api.Command) -> api.Result:
    claim = Claim()
    node.submit_command(command, claim)
    cluster.run(TURNS_MS)
    return claim.result


def grant(cluster: Cluster, node: Node, *, lease: int = 7, ttl_ms: int = TTL_MS) -> None:
    assert ask(cluster, node, api.Grant(ttl_ms, lease)) == api.GrantResult(lease, ttl_ms)
    put = ask(cluster, node, api.Put(b"%d" % lease, b"", lease=lease))
    assert isinstance(put, api.PutResult)


def keep(node: Node, *leases: int) -> Claim:
    claim = Claim()
    node.keep_alive(api.KeepAlive(leases), claim)
    return claim


def is_there(node: Node, lease: int = 7) -> bool:
    result = node.machine.query(api.Get((b"%d" % lease,)))
    assert isinstance(result, api.GetResult)
    return result.items[0] is not None


def passes(node: Node) -> list[api.Pass]:
    """All that are in its log."""
    log = node.raft.log
    entries = log.slice(log.start.index + 1, log.last_index + 1, 1 << 40)
    logged = [_decode(entry.data) for entry in entries if entry.kind is COMMAND]
    commands = [one.command for one in logged if isinstance(one, api.Stamped)]
    return [one for one in commands if isinstance(one, api.Pass)]


def test_a_lease_that_nobody_renews_ends_after_its_ttl_and_the_grace_on_all_nodes() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    cluster.run(1_000)
    grant(cluster, leader)
    # Granted two waits ago.
    cluster.run(TTL_MS + GRACE_MS - 3 * TURNS_MS)
    assert all(map(is_there, cluster.nodes.values()))
    cluster.run(3 * TURNS_MS)
    assert not any(map(is_there, cluster.nodes.values()))


def test_a_lease_that_is_renewed_lasts() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    grant(cluster, leader)
    for _ in range(5):
        cluster.run(TTL_MS - 500)
        claim = keep(leader, 7, 8)
        cluster.run(TURNS_MS)
        assert claim.result == api.KeptResult((TTL_MS, 0))
    assert is_there(leader)


def test_a_renewal_that_waits_comes_before_what_is_due_by_then() -> None:
    """In one turn, as after a pause of the node."""
    cluster = Cluster(size=1)
    leader = cluster.elect()
    cluster.run(1_000)
    grant(cluster, leader)
    end_ms = leader.machine.leases.next_end_ms
    assert end_ms is not None
    while leader._cluster_time_ms() + 50 < end_ms:
        cluster.run(50)
    claim = keep(leader, 7)
    cluster.run(TURNS_MS)
    assert claim.result == api.KeptResult((TTL_MS,))
    assert is_there(leader)


def test_renewals_that_come_together_are_one_entry_and_each_gets_its_own_answer() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    for lease in (7, 8):
        grant(cluster, leader, lease=lease)
    before = leader.raft.log.last_index
    claims = [keep(leader, 7), keep(leader, 9, 8), keep(leader, 8)]
    cluster.turn(leader.raft.id)
    late = keep(leader, 7)
    cluster.turn(leader.raft.id)
    assert leader.raft.log.last_index - before == 1, "what comes meanwhile waits for the next one"
    assert not any(claim.results for claim in claims)
    cluster.run(TURNS_MS)
    assert [claim.result for claim in [*claims, late]] == [
        api.KeptResult((TTL_MS,)),
        api.KeptResult((0, TTL_MS)),
        api.KeptResult((TTL_MS,)),
        api.KeptResult((TTL_MS,)),
    ]


def test_a_leader_that_is_cut_off_renews_nothing_and_ends_nothing() -> None:
    cluster = Cluster()
    old = cluster.elect()
    cluster.run(1_000)
    grant(cluster, old)
    cluster.isolate(old.raft.id)
    claim = keep(old, 7)
    cluster.run(TTL_MS + GRACE_MS + 4_000)
    assert isinstance(claim.result, api.Failure)
    assert is_there(old)
    new = cluster.elect()
    assert new is not old
    assert not is_there(new)
    cluster.heal()
    cluster.run(1_000)
    assert not is_there(old)


def test_a_change_of_leader_neither_resets_nor_shortens_what_was_left() -> None:
    cluster = Cluster()
    old = cluster.elect()
    cluster.run(1_000)
    grant(cluster, old, ttl_ms=20_000)
    granted_ms = cluster.now_ms - 2 * TURNS_MS
    cluster.run(5_000)
    cluster.isolate(old.raft.id)
    cluster.run(3_000)
    new = cluster.elect()
    assert new is not old
    cluster.run(granted_ms + 20_000 + GRACE_MS - 100 - cluster.now_ms)
    assert is_there(new)
    cluster.run(1_000 + TURNS_MS)
    assert not is_there(new)


def test_a_new_leader_ends_nothing_before_renewals_had_time_to_come() -> None:
    cluster = Cluster()
    old = cluster.elect()
    cluster.run(1_000)
    grant(cluster, old)
    cluster.run(TTL_MS - 200)
    cluster.isolate(old.raft.id)
    new = None
    while new is None:
        cluster.run(50)
        others = [node for node in cluster.nodes.values() if node is not old]
        new = next((node for node in others if node.raft.has_committed_in_term), None)
    claim = keep(new, 7)
    cluster.run(TURNS_MS)
    assert claim.result == api.KeptResult((TTL_MS,))
    assert is_there(new)


def test_a_node_that_stood_still_holds_off_with_ends() -> None:
    cluster = Cluster(size=1)
    leader = cluster.elect()
    cluster.run(1_000)
    grant(cluster, leader)
    cluster.now_ms += 60_000
    cluster.turn(1)
    assert passes(leader)[-1].ends_max == 0
    cluster.run(api.LeaseRules().hold_off_ms + TURNS_MS)
    assert not is_there(leader)


def test_while_there_are_leases_the_log_is_told_the_time_and_else_it_falls_silent() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    cluster.run(10_000)
    assert passes(leader) == []
    grant(cluster, leader, ttl_ms=20_000)
    cluster.run(10_000)
    assert 8 <= len(passes(leader)) <= 10
    assert leader.machine.clock.time_ms >= leader._cluster_time_ms() - 1_100
    ask(cluster, leader, api.Revoke(7))
    cluster.run(1_000)
    before = leader.raft.log.last_index
    cluster.run(10_000)
    assert leader.raft.log.last_index == before


def test_many_leases_end_in_several_entries_one_under_way_at_a_time() -> None:
    cluster = Cluster()
    leader = cluster.elect()
    for lease in range(1, 2_001):
        leader.submit_command(api.Grant(2_000, lease), Claim())
    cluster.run(TURNS_MS)
    assert leader.machine.query(api.Leases(limit=1)) != api.LeasesResult(1, (), None)
    before = len(passes(leader))
    cluster.run(2_000)
    while leader.machine.leases.next_end_ms is not None:
        index = leader.machine.last_applied
        cluster.run(50)
        assert leader.raft.log.last_index - index <= 2
    ending = [one for one in passes(leader)[before:] if one.ends_max]
    assert len(ending) == 4, "of 512 each"


def test_a_node_wakes_by_itself_when_something_is_due() -> None:
    """Sooner than for its next heartbeat."""
    cluster = Cluster(size=1)
    leader = cluster.elect()
    cluster.run(1_000)
    grant(cluster, leader, ttl_ms=TTL_MS + 10)
    end_ms = leader.machine.leases.next_end_ms
    assert end_ms is not None
    while leader._cluster_time_ms() + 50 < end_ms:
        cluster.run(50)
    assert leader.due_ms == cluster.now_ms + end_ms - leader._cluster_time_ms()
