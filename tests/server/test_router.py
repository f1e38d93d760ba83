"""Who carries out what is asked: what the router refuses, answers, and hands on."""

from __future__ import annotations

import pytest

from kvstore import api
from kvstore.server.asked import Asked
from kvstore.server.node import Node
from kvstore.server.router import Router

from .cluster import Claim, Cluster

PUT = Asked(api.Put(b"k", b"v"))
GET = api.Get((b"k",))


def found(claim: Claim) -> bytes | None:
    assert isinstance(claim.result, api.GetResult)
    [item] = claim.result.items
    return None if item is None else item.value


def lone() -> tuple[Cluster, Node]:
    cluster = Cluster(size=1)
    return cluster, cluster.elect()


def test_a_read_behind_a_write_of_the_same_connection_sees_it() -> None:
    cluster, node = lone()
    router, written, read = Router(), Claim(), Claim()
    router.dispatch(node, PUT, written)
    router.dispatch(node, Asked(GET), read)
    cluster.run()
    assert written.result == api.PutResult(2, written=True)
    assert found(read) == b"v"


def test_a_stale_read_is_answered_at_once_by_whoever_is_asked() -> None:
    cluster = Cluster()
    cluster.elect()
    cluster.run()
    follower, claim = cluster.followers()[0], Claim()
    Router().dispatch(follower, Asked(GET, is_stale=True), claim)
    assert found(claim) is None


def test_a_write_is_never_stale() -> None:
    cluster, node = lone()
    claim = Claim()
    Router().dispatch(node, Asked(PUT.request, is_stale=True), claim)
    cluster.run()
    assert claim.result == api.PutResult(2, written=True)


class _Patient(Claim):
    """A ticket that will ask for the answer itself."""

    def takes_over(self, query: api.Query | api.NodeQuery) -> bool:
        self.query = query
        return True


@pytest.mark.parametrize("asked", [Asked(GET, is_stale=True), Asked(api.Status())])
def test_what_a_node_answers_alone_its_ticket_may_take_over(asked: Asked) -> None:
    _cluster, node = lone()
    claim = _Patient()
    Router().dispatch(node, asked, claim)
    assert claim.query is asked.request
    assert not claim.results


def test_a_node_describes_itself_at_once_whoever_leads() -> None:
    cluster, claim = Cluster(), Claim()
    Router().dispatch(cluster.nodes[2], Asked(api.Status()), claim)
    assert isinstance(claim.result, api.StatusResult)
    assert claim.result.node_id == 2


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Asked(PUT.request, cluster_id="other"), api.FailureCode.INVALID),
        (Asked(PUT.request, min_term=9), api.FailureCode.STALE),
        (Asked(GET, is_stale=True, min_term=9), api.FailureCode.STALE),
        (Asked(api.Status(), cluster_id="other"), api.FailureCode.INVALID),
        (Asked(api.HandOver(), min_term=9), api.FailureCode.STALE),
    ],
)
def test_what_is_not_meant_for_this_node_is_refused_before_anything_else(
    asked: Asked, code: api.FailureCode
) -> None:
    _cluster, node = lone()
    last_index, claim = node.raft.log.last_index, Claim()
    Router().dispatch(node, asked, claim)
    assert claim.failure.code is code
    assert node.raft.log.last_index == last_index


def test_who_asks_by_the_right_names_is_served() -> None:
    cluster, node = lone()
    claim = Claim()
    asked = Asked(PUT.request, min_term=node.raft.current_term, cluster_id="test")
    Router().dispatch(node, asked, claim)
    cluster.run()
    assert claim.result == api.PutResult(2, written=True)


def test_a_hand_over_goes_to_the_node() -> None:
    cluster, node = lone()
    claim = Claim()
    Router().dispatch(node, Asked(api.HandOver()), claim)
    cluster.run()
    assert claim.failure.message == "there is no other node"
