"""Simulated clusters that are lost for good, and what is recovered of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

import msgspec
import pytest

from kvstore.recovery import Prospect, Recovery, prospect_of, recover
from kvstore.server.acquaintances import Acquaintances
from kvstore.sim import faults, greetings, recovered_world
from kvstore.sim.disk import Disk
from kvstore.sim.run import Report, run
from kvstore.sim.scenario import Loss, Scenario
from kvstore.storage.survivor import Survivor

from .worlds import in_fair_weather

SEEDS_TRIED = 40
WITH_KEYS = 0
"""A story in which some keys are recovered."""
STORM_MS = 4_000.0


def story(seed: int, members: int = 3) -> Scenario:
    """Leaders come and go until the end, so directories end with what others lack."""
    rng = random.Random(seed)
    storm = faults.plan(rng, STORM_MS, ("isolation", "split", "crash", "crash after a write"))
    # And somebody is cut off by then.
    storm += (faults.Fault(len(storm), STORM_MS - 700.0, 2_000.0, "isolation", seed),)
    plan = in_fair_weather(seed, members, storm, clients=4, calls=60, storm_ms=STORM_MS)
    return msgspec.structs.replace(plan, session_clients=1, loss=Loss((members - 1) // 2, 3_000.0))


def test_what_is_recovered_is_what_was_held_and_the_new_cluster_gets_well() -> None:
    """The promise is held at every end that a log may have, and beside nodes that come back."""
    seen = Counter[str]()
    wanted = {
        "recovery",
        "recovery interrupted",
        "recovery without what is committed",
        "recovery with more than that",
        "message of another cluster refused",
    }
    for seed in range(SEEDS_TRIED):
        report = run(story(seed, 3 + 2 * (seed % 3 == 2)))
        assert report.violation is None, (seed, report.violation)
        seen.update(report.reached)
        if wanted <= {*+seen}:
            return
    raise AssertionError(f"none of {SEEDS_TRIED} worlds came to {wanted - {*+seen}}")


def test_a_lost_world_is_the_same_run_each_time() -> None:
    one, other = (run(story(3), traced=True) for _ in range(2))
    assert one.digest == other.digest != ""


def broken(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Disk, Recovery], Recovery]) -> Report:
    """What comes of a run in which something else is made of the directory than should be."""

    def recover_otherwise(survivor: Survivor, *rest: object) -> Recovery:
        assert isinstance(survivor, recovered_world.SurvivingDisk)
        return spoil(survivor.disk, recover(survivor, *rest))

    monkeypatch.setattr(recovered_world, "recover", recover_otherwise)
    return run(story(WITH_KEYS))


def lose_a_key(disk: Disk, told: Recovery) -> Recovery:
    disk.state.replace_all(disk.state.committed()[1:])
    return told


def keep_a_session(disk: Disk, told: Recovery) -> Recovery:
    disk.state.sessions.put(b"12345678", b"x")
    return told


def go_on_with_old_revisions(disk: Disk, told: Recovery) -> Recovery:
    return msgspec.structs.replace(told, revision=1)


def go_on_in_an_old_term(disk: Disk, told: Recovery) -> Recovery:
    return msgspec.structs.replace(told, term=1)


def remember_peers(disk: Disk, told: Recovery) -> Recovery:
    disk.lineage.known = {9: None}  # type: ignore[dict-item]  # Anything will do.
    return told


def be_named_as_before(disk: Disk, told: Recovery) -> Recovery:
    disk.log.identity = msgspec.structs.replace(disk.log.identity, cluster_id="simulated")
    return told


@pytest.mark.parametrize(
    "spoil",
    [
        lose_a_key,
        keep_a_session,
        go_on_with_old_revisions,
        go_on_in_an_old_term,
        remember_peers,
        be_named_as_before,
    ],
)
def test_a_directory_that_is_not_what_it_should_be_is_found(
    monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Disk, Recovery], Recovery]
) -> None:
    assert broken(monkeypatch, spoil).theorem == "a recovery keeps what it says"


@pytest.mark.parametrize("field", ["applied_index", "last_index", "last_term", "unreadable"])
def test_a_recovery_that_tells_something_else_is_found(
    monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    def otherwise(survivor: Survivor) -> Prospect:
        told = prospect_of(survivor)
        return msgspec.structs.replace(told, **{field: getattr(told, field) + 1})

    monkeypatch.setattr(recovered_world, "prospect_of", otherwise)
    assert run(story(WITH_KEYS)).theorem == "a recovery keeps what it says"


def test_a_node_of_the_old_cluster_that_is_heard_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two rules keep it out: its cluster has another name, and by the log it is no member."""
    monkeypatch.setattr(greetings, "check_hello", lambda ours, theirs: None)
    monkeypatch.setattr(Acquaintances, "reason_to_refuse", lambda known, theirs: None)
    found = {run(story(seed)).theorem for seed in range(6)}
    assert "nothing counts that another cluster says" in found
