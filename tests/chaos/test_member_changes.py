"""Every change of members, and its leader lost at each step: it is made once in the end.

A step is seen in the logs of the nodes, and the network is cut beforehand, so that it goes no
further: what was appended by the leader alone, what a majority holds of which the leader does not
know, and what is committed.
"""

from __future__ import annotations

import contextlib
import enum
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from process.cluster import DEADLINE_S, eventually

from kvstore import Client, RequestError, api

from .cluster import ChaosCluster
from .conftest import MakeStage, needs_root
from .judge import judge
from .nemeses import both_ways
from .network import Way
from .stage import Stage

pytestmark = [pytest.mark.process, pytest.mark.chaos, needs_root]

PATIENT = {"KVSTORE_ELECTION_MS": "1500-2500"}
"""A leader that hears nobody leads on until a step was seen."""
NEW = 4
IN_FORCE = "configuration of log entry"


class Moment(enum.Enum):
    """When the leader is lost, and how."""

    ALONE = "appended by the leader alone, and killed"
    CUT_OFF = "appended by the leader alone, and cut off until there is another one"
    HELD = "held by a majority, of which the leader does not know, and killed"
    COMMITTED = "committed, and killed"


_ONLY_THERE = frozenset({Moment.ALONE, Moment.CUT_OFF})


@dataclass
class Scene:
    """Three nodes, and perhaps one more; who leads, and one who follows, are to be changed."""

    stage: Stage
    leader: int
    subject: int
    third: int

    @property
    def cluster(self) -> ChaosCluster:
        return self.stage.cluster

    def address(self, node_id: int) -> str:
        return self.cluster.address(node_id)

    @contextlib.contextmanager
    def told(self, change: api.Change) -> Iterator[None]:
        """Have the leader told, with no majority to ask; what comes of it is nobody's to know."""

        def tell() -> None:
            with (
                contextlib.suppress(RequestError),
                Client([self.address(self.leader)], timeout_ms=5_000) as client,
            ):
                client.execute(change)

        teller = threading.Thread(target=tell)
        teller.start()
        try:
            yield
        finally:
            teller.join(DEADLINE_S)


class Change:
    """One kind of change, from what there must be before it to what there must be in the end."""

    members = (1, 2, 3)
    elects = frozenset(Moment)
    """When the others are a majority, by what they know, and elect one of them."""
    vanishes: frozenset[Moment] = frozenset()
    """When nobody has it any more who counts, and nobody makes it again without a command."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    def prepare(self) -> None:
        """Nothing is to be done before."""

    def request(self, after: int) -> api.Change:
        raise NotImplementedError

    def begin(self, after: int) -> contextlib.AbstractContextManager[None]:
        """Have the leader append it."""
        return self.scene.told(self.request(after))

    def is_made(self, found: api.MembersResult) -> bool:
        raise NotImplementedError

    def finish(self) -> None:
        """Bring up or see off who came or went."""

    def remaining(self) -> set[int]:
        return set(self.members)


class Add(Change):
    vanishes = _ONLY_THERE

    def request(self, after: int) -> api.Change:
        return api.AddMember(NEW, self.scene.address(NEW), after)

    def is_made(self, found: api.MembersResult) -> bool:
        return any(one.node_id == NEW for one in found.members)

    def finish(self) -> None:
        self.scene.cluster.join(NEW)
        self.scene.cluster.wait_until_answers(NEW)

    def remaining(self) -> set[int]:
        return {*self.members, NEW}


class Promote(Add):
    """A learner that has the log is promoted without a command: it hears the leader only now."""

    vanishes = frozenset()

    def prepare(self) -> None:
        scene = self.scene
        with scene.stage.operator() as client:
            client.add_member(NEW, scene.address(NEW))
        scene.cluster.lose(both_ways([NEW], [scene.leader]), is_awaited=False)
        scene.cluster.join(NEW)
        scene.cluster.wait_for_log(NEW, "listening")

    def begin(self, after: int) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def request(self, after: int) -> api.Change:
        return api.PromoteMember(NEW, after)

    def is_made(self, found: api.MembersResult) -> bool:
        return any(one.node_id == NEW and one.role is api.MemberRole.VOTER for one in found.members)

    def finish(self) -> None:
        self.scene.cluster.wait_until_answers(NEW)


class RemoveFollower(Change):
    elects = _ONLY_THERE
    vanishes = _ONLY_THERE

    @property
    def gone(self) -> int:
        return self.scene.subject

    def request(self, after: int) -> api.Change:
        return api.RemoveMember(self.gone, after)

    def is_made(self, found: api.MembersResult) -> bool:
        return all(one.node_id != self.gone for one in found.members)

    def finish(self) -> None:
        self.scene.cluster.wait_until_removed(self.gone)

    def remaining(self) -> set[int]:
        return set(self.members) - {self.gone}


class RemoveLeader(RemoveFollower):
    elects = frozenset(Moment)

    @property
    def gone(self) -> int:
        return self.scene.leader


class Move(Change):
    elects = frozenset()
    """The node that moves is down."""

    def prepare(self) -> None:
        self.scene.cluster.kill(self.scene.subject)
        self.scene.cluster.move(self.scene.subject)

    def request(self, after: int) -> api.Change:
        subject = self.scene.subject
        return api.MoveMember(subject, self.scene.address(subject), after)

    def is_made(self, found: api.MembersResult) -> bool:
        subject, address = self.scene.subject, self.scene.address(self.scene.subject)
        return any((one.node_id, one.address) == (subject, address) for one in found.members)

    def finish(self) -> None:
        self.scene.cluster.start(self.scene.subject)


class Replace(Move):
    def prepare(self) -> None:
        super().prepare()
        self.scene.cluster.nodes[self.scene.subject].lose_directory()

    def request(self, after: int) -> api.Change:
        subject = self.scene.subject
        return api.ReplaceMember(subject, self.scene.address(subject), after)

    def finish(self) -> None:
        self.scene.cluster.join(self.scene.subject)
        self.scene.cluster.wait_until_answers(self.scene.subject)


CHANGES = (Add, Promote, RemoveFollower, RemoveLeader, Replace, Move)


@pytest.mark.parametrize("moment", Moment, ids=lambda moment: moment.name)
@pytest.mark.parametrize("kind", CHANGES, ids=lambda kind: kind.__name__)
def test_a_change_whose_leader_is_lost_is_made_once_in_the_end(
    make_stage: MakeStage, kind: type[Change], moment: Moment
) -> None:
    stage = make_stage(seed=1, environ=PATIENT, spares=1)
    with stage.chatter.running():
        stage.recover()
        leader = stage.cluster.wait_for_leader()
        subject, third = (one for one in Change.members if one != leader)
        change = kind(Scene(stage, leader, subject, third))
        change.prepare()
        lose_the_leader(change, moment)
        stage.cluster.heal()
        if not stage.cluster.nodes[leader].is_running:
            stage.cluster.spawn(leader)
        with stage.operator() as client:
            if moment in change.vanishes:
                eventually(
                    lambda: set(client.status(change.scene.address(leader)).members) == {1, 2, 3},
                    "who led has forgotten it",
                    ignoring=(RequestError,),
                )
            eventually(lambda: is_settled(change, client), "it is made", ignoring=(RequestError,))
            change.finish()
            eventually(
                lambda: voters(client.members()) == change.remaining(),
                "the members are who they are to be, and all vote",
                ignoring=(RequestError,),
            )
        stage.recover()
    assert not judge(stage.cluster, stage.chatter.history)


def lose_the_leader(change: Change, moment: Moment) -> None:
    """Have the leader append the change, stop it at that step, and end or replace the leader."""
    scene = change.scene
    cluster, leader = scene.cluster, scene.leader
    others = [node_id for node_id in (scene.subject, scene.third) if node_id in cluster.awake]
    with scene.stage.operator() as client:
        after = client.members().index
    marks = {node_id: len(cluster.nodes[node_id].log) for node_id in (leader, *others)}
    if moment in (Moment.ALONE, Moment.CUT_OFF):
        cluster.lose(both_ways([leader], others))
    elif moment is Moment.HELD:
        cluster.lose([(node_id, leader) for node_id in others], Way.LINK)
    else:
        cluster.heal()
    with change.begin(after):
        cluster.wait_for_log(leader, IN_FORCE, after=marks[leader])
        if moment is Moment.HELD:
            # Who is to go need not have it: the others are a majority of those who stay.
            for node_id in change.remaining().intersection(others):
                cluster.wait_for_log(node_id, IN_FORCE, after=marks[node_id])
        if moment is Moment.COMMITTED:
            with scene.stage.operator() as client:
                eventually(
                    lambda: (found := client.members()).is_settled and change.is_made(found),
                    "it is committed",
                    ignoring=(RequestError,),
                )
        if moment is not Moment.CUT_OFF and cluster.nodes[leader].is_running:
            cluster.kill(leader)
    if moment in change.elects:
        cluster.wait_for_leader(node_id for node_id in cluster.awake if node_id != leader)


def is_settled(change: Change, client: Client) -> bool:
    """Whether it was made; as long as it was not, the operator asks for it again."""
    found = client.members()
    if found.is_settled and not change.is_made(found):
        client.execute(change.request(found.index))
    return found.is_settled and change.is_made(found)


def voters(found: api.MembersResult) -> set[int]:
    return {one.node_id for one in found.members if one.role is api.MemberRole.VOTER}
