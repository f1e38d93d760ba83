"""A node without a directory waits until it is a member where it is, and says what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from scripted_node import Misbehave, ScriptedNode, Step, not_leader
from structlog.testing import capture_logs

from kvstore import api
from kvstore.address import Address, parse_address
from kvstore.cli import joining
from kvstore.cli.joining import admitted
from kvstore.config.settings import Settings
from kvstore.errors import ConfigError

HERE = Address("127.0.0.1", 9004)
FIRST = api.Member(1, "127.0.0.1:9001", api.MemberRole.VOTER, True, 9)
NO_LEADER = api.Failure(api.FailureCode.NO_LEADER, "no leader is known")


def members(*further: api.Member) -> api.MembersResult:
    return api.MembersResult("kv-1", 1, 17, True, 9, (FIRST, *further))


def node_4(address: str, role: api.MemberRole = api.MemberRole.LEARNER) -> api.Member:
    return api.Member(4, address, role, False, 0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_ASK_EVERY_S", 0.01)
    monkeypatch.setattr(joining, "_PATIENCE_MS", 200)


def waiting_at(node: ScriptedNode, cluster_id: str = "") -> Settings:
    return Settings(
        node_id=4,
        members={},
        reached_at=HERE,
        join=(parse_address(node.address),),
        cluster_id=cluster_id,
        data_dir=Path("unused"),
    )


def join(*script: Step, cluster_id: str = "") -> tuple[Settings, list[Any]]:
    """What comes of it, and what was said meanwhile."""
    with ScriptedNode(*script) as node, capture_logs() as logs:
        found = admitted(waiting_at(node, cluster_id), structlog.get_logger())
    return found, [(line["code"], line["event"].partition(": ")[2]) for line in logs]


@pytest.mark.parametrize("role", api.MemberRole)
def test_who_is_a_member_here_begins_at_once(role: api.MemberRole) -> None:
    """Also as a voter: then its directory was lost."""
    settings, said = join(members(node_4(str(HERE), role)))
    assert (settings.cluster_id, settings.members, said) == ("kv-1", {}, [])
    assert settings.joined_at == 17


def test_who_is_no_member_is_told_how_to_become_one_once() -> None:
    settings, said = join(members(), members(), members(node_4(str(HERE))))
    assert settings.cluster_id == "kv-1"
    assert said == [
        ("joining", "node 4 is no member yet: kvstore member add 4 127.0.0.1:9004"),
    ]


def test_who_is_a_member_elsewhere_is_told_so() -> None:
    _, said = join(members(node_4("127.0.0.1:9005")), members(node_4(str(HERE))))
    [(_, text)] = said
    assert text == (
        "node 4 is a member at 127.0.0.1:9005, not at 127.0.0.1:9004: start it there, or "
        "if that one is lost, kvstore member replace 4 --with 127.0.0.1:9004"
    )


def test_whose_place_was_taken_is_not_told_to_throw_the_other_one_out() -> None:
    successor = msgspec.structs.replace(node_4("127.0.0.1:9005"), answers=True)
    _, said = join(members(successor), members(node_4(str(HERE))))
    [(_, text)] = said
    assert text == (
        "node 4 is at 127.0.0.1:9005 now, and answers there: leave this one off, or start it with "
        "an --id that is free, and kvstore member add ID 127.0.0.1:9004"
    )


def test_while_nobody_leads_any_node_tells_who_is_a_member() -> None:
    """Most directories may be lost: a node that waits in silence tells its operator nothing."""
    there = members(node_4(str(HERE)))
    with ScriptedNode() as node:
        node.extend(*[lambda: there if b"READONLY" in flat(node) else NO_LEADER] * 60)
        settings = waiting_at(node)
        assert admitted(settings, structlog.get_logger()).cluster_id == "kv-1"


def flat(node: ScriptedNode) -> list[object]:
    return [word for one in node.requests if isinstance(one, list) for word in one]


def test_who_cannot_be_asked_yet_is_asked_again() -> None:
    there = members(node_4(str(HERE)))
    with ScriptedNode() as node, capture_logs() as logs:
        node.extend(*[lambda: there if logs else Misbehave.HANG_UP] * 200)
        admitted(waiting_at(node), structlog.get_logger())
    assert "it cannot be asked yet (" in logs[0]["event"]


def test_a_node_that_does_not_lead_says_who_does() -> None:
    with ScriptedNode(members(node_4(str(HERE)))) as leader:
        settings, said = join(not_leader(leader.address))
    assert (settings.cluster_id, said) == ("kv-1", [])


def test_another_cluster_than_the_settings_name_is_an_error() -> None:
    with pytest.raises(ConfigError, match="are cluster kv-1, not mine: correct --join or"):
        join(members(node_4(str(HERE))), cluster_id="mine")


def test_another_cluster_is_an_error_before_anybody_is_told_to_add_this_node_to_it() -> None:
    script = (members(), members(node_4(str(HERE))))
    with ScriptedNode(*script) as node, capture_logs() as logs:
        with pytest.raises(ConfigError, match="are cluster kv-1, not mine"):
            admitted(waiting_at(node, "mine"), structlog.get_logger())
        assert logs == []
