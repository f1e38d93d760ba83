"""What a typed client is told beside the result, and whom a node does not serve."""

from __future__ import annotations

import msgspec
import pytest

from kvstore import api
from kvstore.raft.messages import RequestVote
from kvstore.server.envelope import reply_of
from kvstore.wire import typed

from .cluster import Claim, Cluster
from .line import Line

PUT = api.Put(b"k", b"v")


def ask(line: Line, call: api.Call) -> api.Reply:
    got = line.ask(typed.encode_call(call))
    return typed.decode_reply(got.split(b"\r\n", 1)[1][:-2])


def test_a_reply_says_who_answers_in_which_term_and_at_which_revision(line: Line) -> None:
    assert ask(line, api.Call(PUT)) == api.Reply("test", 1, 1, 2, api.PutResult(2, True))
    assert ask(line, api.Call(api.Count())) == api.Reply("test", 1, 1, 2, api.CountResult(2, 1))


@pytest.mark.parametrize(
    "payload",
    [
        b"\xc1",
        msgspec.msgpack.encode(api.Call(api.Put(b"k" * 481, b""))),
        msgspec.msgpack.encode(api.Call(PUT, min_term=9)),
        msgspec.msgpack.encode(api.Call(PUT, cluster_id="another")),
    ],
)
def test_a_refusal_comes_in_the_same_envelope_and_changes_nothing(
    line: Line, payload: bytes
) -> None:
    got = line.ask(b"*2\r\n$2\r\nKV\r\n$%d\r\n%s\r\n" % (len(payload), payload))
    reply = typed.decode_reply(got.split(b"\r\n", 1)[1][:-2])
    assert isinstance(reply.result, api.Failure)
    assert (reply.cluster_id, reply.node_id, reply.term, reply.revision) == ("test", 1, 1, 1)
    assert line.node.machine.revision == 1


@pytest.mark.parametrize("request_", [PUT, api.Get((b"k",)), api.Status(), api.OpenSession()])
def test_a_node_serves_its_own_term_and_refuses_a_later_one(
    line: Line, request_: api.Request
) -> None:
    assert not isinstance(ask(line, api.Call(request_, min_term=1)).result, api.Failure)
    refused = ask(line, api.Call(request_, min_term=2)).result
    assert isinstance(refused, api.Failure)
    assert refused.code is api.FailureCode.STALE
    assert refused.message == (
        "this node is in term 1, the request asks for at least 2; try another node"
    )


def test_a_node_refuses_what_is_meant_for_another_cluster(line: Line) -> None:
    assert ask(line, api.Call(PUT, cluster_id="test")).result == api.PutResult(2, True)
    refused = ask(line, api.Call(PUT, cluster_id="other")).result
    assert isinstance(refused, api.Failure)
    assert refused.code is api.FailureCode.INVALID
    assert "belongs to cluster test, the request is for other" in refused.message


def test_clients_hear_of_a_term_only_when_it_is_on_the_disk() -> None:
    cluster = Cluster()
    node = cluster.nodes[1]
    asks = {"cluster_id": "test", "sender": 2, "recipient": 1, "term": 1}
    node.receive(RequestVote(**asks, last_log_index=0, last_log_term=0))
    assert node.raft.current_term == 1
    node.prepare()
    assert reply_of(node, api.CountResult(0, 0)).term == 0
    node.complete()
    assert reply_of(node, api.CountResult(0, 0)).term == 1
    cluster.crash(1)
    assert reply_of(cluster.nodes[1], api.CountResult(0, 0)).term == 1


# --- Sessions through a node --------------------------------------------------------------


def submit(cluster: Cluster, leader: int, command: api.Command) -> api.Result:
    claim = Claim()
    cluster.nodes[leader].submit_command(command, claim)
    cluster.run()
    return claim.result


def test_a_retry_is_answered_alike_by_the_next_leader_and_after_a_restart() -> None:
    cluster = Cluster()
    leader = cluster.elect().raft.id
    opened = submit(cluster, leader, api.OpenSession())
    assert isinstance(opened, api.SessionResult)
    once = api.Once(opened.session, 1, api.Increment(b"n", 1))
    assert submit(cluster, leader, once) == api.IncrementResult(2, 1)
    cluster.isolate(leader)
    cluster.run(3_000.0)
    following = cluster.elect().raft.id
    assert following != leader
    assert submit(cluster, following, once) == api.IncrementResult(2, 1)
    cluster.heal()
    for node_id in cluster.nodes:
        cluster.crash(node_id)
    assert submit(cluster, cluster.elect().raft.id, once) == api.IncrementResult(2, 1)


def test_the_leaders_time_is_what_expires_a_session() -> None:
    cluster = Cluster(size=1)
    leader = cluster.elect().raft.id
    opened = submit(cluster, leader, api.OpenSession())
    assert isinstance(opened, api.SessionResult)
    cluster.now_ms += api.SessionRules().ttl_ms + 2_000
    cluster.elect()
    gone = submit(cluster, leader, api.Once(opened.session, 1, PUT))
    assert isinstance(gone, api.Failure)
    assert gone.code is api.FailureCode.NO_SESSION
