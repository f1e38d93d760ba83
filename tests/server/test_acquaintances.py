"""Which directories may speak for a node."""

from __future__ import annotations

import msgspec
import pytest
from founding import founders

from kvstore.raft.changes import promoted
from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.configurations import Configurations, configuration_data
from kvstore.raft.types import Entry, EntryKind
from kvstore.server.acquaintances import Acquaintances
from kvstore.storage.memory import MemoryLineage
from kvstore.wire.peer import Hello

FIRST = Hello(
    cluster_id="c",
    node_id=2,
    incarnation="ab" * 16,
    starts=b"start 1.",
    admitted_at=0,
    address="127.0.0.1:9002",
    configured_at=0,
    recipient=1,
)


def later(hello: Hello, start: bytes) -> Hello:
    """The same directory at its next start."""
    return msgspec.structs.replace(hello, starts=hello.starts + start)


def other(start: bytes, admitted_at: int) -> Hello:
    """Another directory of the same node."""
    incarnation = start.hex() * 2
    return msgspec.structs.replace(
        FIRST, starts=start, admitted_at=admitted_at, incarnation=incarnation
    )


@pytest.fixture
def configurations() -> Configurations:
    """Those that are committed in the log of node 1."""
    return Configurations(0, founders((1, 2, 3)), ())


@pytest.fixture
def lineage() -> MemoryLineage:
    return MemoryLineage(b"own one.")


@pytest.fixture
def acquaintances(configurations: Configurations, lineage: MemoryLineage) -> Acquaintances:
    """Those of node 1, which knows nobody yet."""
    return Acquaintances(
        cluster_id="c",
        node_id=1,
        address="127.0.0.1:9001",
        incarnation="cd" * 16,
        lineage=lineage,
        admitted_at=lambda: 5,
        configured_at=lambda: 0,
        peers=lambda: (2, 3),
        members=lambda: (1, 2, 3),
        replaced_at=configurations.ended_at,
    )


def test_a_hello_says_whether_its_node_is_elsewhere_by_what_is_so_then(
    lineage: MemoryLineage,
) -> None:
    is_elsewhere = False
    acquaintances = Acquaintances(
        cluster_id="c",
        node_id=1,
        address="127.0.0.1:9001",
        incarnation="cd" * 16,
        lineage=lineage,
        admitted_at=lambda: 5,
        configured_at=lambda: 0,
        peers=lambda: (2, 3),
        members=lambda: (1, 2, 3),
        replaced_at=lambda node_id, admitted_at: None,
        is_elsewhere=lambda: is_elsewhere,
    )
    assert not acquaintances.hello_to(2).is_elsewhere
    is_elsewhere = True
    assert acquaintances.hello_to(2).is_elsewhere


def meet(acquaintances: Acquaintances, *hellos: Hello) -> None:
    for hello in hellos:
        assert acquaintances.reason_to_refuse(hello) is None
        acquaintances.remember(hello)


def test_it_greets_with_its_starts_and_its_admission(acquaintances: Acquaintances) -> None:
    hello = acquaintances.hello_to(3)
    assert (hello.starts, hello.admitted_at, hello.recipient) == (b"own one.", 5, 3)


def test_the_same_directory_is_known_again(acquaintances: Acquaintances) -> None:
    second = later(FIRST, b"start 2.")
    # Between the second and the fourth it was not seen.
    meet(acquaintances, FIRST, FIRST, second, later(later(second, b"start 3."), b"start 4."))


def test_a_wiped_directory_is_refused_with_advice(acquaintances: Acquaintances) -> None:
    meet(acquaintances, FIRST)
    refusal = acquaintances.reason_to_refuse(other(b"wiped!!!", 0))
    assert refusal is not None
    assert "node 1 knows node 2 by another directory" in refusal
    assert "--join" in refusal


def test_a_copy_that_lacks_later_starts_is_refused(acquaintances: Acquaintances) -> None:
    copy = later(FIRST, b"copy 2..")
    meet(acquaintances, FIRST, later(FIRST, b"start 2."))
    assert acquaintances.reason_to_refuse(copy)
    assert acquaintances.reason_to_refuse(FIRST)


def test_a_directory_that_joins_takes_the_place_of_the_old_one(
    acquaintances: Acquaintances,
) -> None:
    new = other(b"new one.", NOT_ADMITTED)
    meet(acquaintances, FIRST, new, msgspec.structs.replace(new, admitted_at=9))
    assert acquaintances.reason_to_refuse(later(FIRST, b"start 2."))


def test_who_was_away_meanwhile_believes_the_admission(acquaintances: Acquaintances) -> None:
    """It missed that the node had a new one, and learns it from the index that admitted it."""
    meet(acquaintances, FIRST, other(b"new one.", 9))


def test_of_two_that_were_admitted_the_later_counts(acquaintances: Acquaintances) -> None:
    meet(acquaintances, FIRST, other(b"second..", 9), other(b"third...", 20))
    assert acquaintances.reason_to_refuse(other(b"second..", 9))


def test_while_one_waits_to_be_admitted_an_earlier_one_does_not_come_back(
    acquaintances: Acquaintances,
) -> None:
    meet(acquaintances, other(b"second..", 9), other(b"third...", NOT_ADMITTED))
    assert acquaintances.reason_to_refuse(other(b"second..", 9))


def test_who_has_left_is_forgotten_when_another_comes(
    acquaintances: Acquaintances, lineage: MemoryLineage
) -> None:
    """Members come and go for years, and the file has room for as many as a cluster has."""
    four, three = (msgspec.structs.replace(FIRST, node_id=node_id) for node_id in (4, 3))
    meet(acquaintances, FIRST, four)
    assert lineage.known.keys() == {2, 4}
    meet(acquaintances, three)
    assert lineage.known.keys() == {2, 3}, "who is no peer of this node's"


# --- What the log says -------------------------------------------------------------------------


def admit(configurations: Configurations, index: int) -> None:
    configuration = promoted(configurations.in_force, 2, f"{index:032x}", index)
    configurations.add(Entry(index, 1, EntryKind.CONFIGURE, configuration_data(configuration)))


def test_who_never_met_the_new_directory_refuses_the_old_one_by_its_log(
    acquaintances: Acquaintances, configurations: Configurations
) -> None:
    meet(acquaintances, FIRST)
    admit(configurations, 9)
    refusal = acquaintances.reason_to_refuse(later(FIRST, b"start 2."))
    assert refusal is not None
    assert "by log entry 9 of node 1 this directory of node 2 votes no more" in refusal
    assert "--join" in refusal
    meet(acquaintances, other(b"second..", 9))


def test_a_first_meeting_with_a_directory_that_the_log_replaced_is_not_believed(
    acquaintances: Acquaintances, configurations: Configurations
) -> None:
    """As by a node that lost its own directory, and what it knew of others with it."""
    admit(configurations, 9)
    admit(configurations, 20)
    assert acquaintances.reason_to_refuse(FIRST)
    assert acquaintances.reason_to_refuse(other(b"second..", 9))
    meet(acquaintances, other(b"fourth..", NOT_ADMITTED))
    meet(acquaintances, other(b"third...", 20))


def test_a_copy_of_one_that_still_waited_must_show_what_was_seen_of_it(
    acquaintances: Acquaintances,
) -> None:
    waiting = other(b"second..", NOT_ADMITTED)
    admitted = msgspec.structs.replace(waiting, admitted_at=9)
    meet(acquaintances, FIRST, waiting, later(admitted, b"start 2."))
    assert acquaintances.reason_to_refuse(later(waiting, b"copy 2.."))
    meet(acquaintances, later(later(admitted, b"start 2."), b"start 3."))
