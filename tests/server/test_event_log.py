"""Levels and codes of what a server says: by them, machines tell what people should look at."""

from __future__ import annotations

import ast
import io
import json
import random
import re
import selectors
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import structlog
from until import until_events

import kvstore.errors
from kvstore.address import Address
from kvstore.config.settings import Settings
from kvstore.errors import StorageError
from kvstore.logs import code_of, configure, logger_for
from kvstore.raft import divergence_events, events, snapshot_events, state_events
from kvstore.server import event_log
from kvstore.server.acquaintances import Acquaintances
from kvstore.server.peers import PeerLink
from kvstore.storage.memory import MemoryLineage
from kvstore.wire.peer import encode_refusal

from .cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
EVENTS = get_args(events.Event)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    configure("json", stream)
    yield stream
    structlog.reset_defaults()


def records(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


def sample(kind: type[msgspec.Struct]) -> msgspec.Struct:
    fields = msgspec.structs.fields(kind)
    values = {"reason": "why", **dict.fromkeys(("votes", "agree", "differ", "absent"), (1,))}
    return kind(**{field.name: values.get(field.name, 1) for field in fields})


# --- Events of consensus ------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    [
        events.Deposed,
        events.LostMajority,
        events.StoodStill,
        events.Stalled,
        events.ShortOfRoom,
        events.WaitsForRoom,
        events.HandoverFailed,
        events.CannotVouch,
        events.MessageIgnored,
        snapshot_events.CannotWriteSnapshot,
        snapshot_events.CannotTakeSnapshot,
        snapshot_events.SnapshotWasBad,
        state_events.StatesDisputed,
    ],
)
def test_what_somebody_should_look_at_is_a_warning(
    lines: io.StringIO, kind: type[msgspec.Struct]
) -> None:
    event_log.write(logger_for(2), sample(kind))
    assert records(lines)[0]["level"] == "warning"


@pytest.mark.parametrize("kind", [divergence_events.DataDiffer, divergence_events.LoneDataDiffer])
def test_a_state_that_is_not_what_it_must_be_is_an_error(
    lines: io.StringIO, kind: type[msgspec.Struct]
) -> None:
    event_log.write(logger_for(2), sample(kind))
    assert records(lines)[0]["level"] == "error"


@pytest.mark.parametrize(
    "kind", [one for one in EVENTS if one not in (*event_log.WARNINGS, *event_log.ERRORS)]
)
def test_what_comes_and_goes_by_itself_is_none(
    lines: io.StringIO, kind: type[msgspec.Struct]
) -> None:
    event_log.write(logger_for(2), sample(kind))
    assert records(lines)[0]["level"] == "info"


def test_every_event_tells_its_code_its_node_and_its_fields(lines: io.StringIO) -> None:
    for kind in EVENTS:
        event_log.write(logger_for(2), sample(kind))
    for record, kind in zip(records(lines), EVENTS, strict=True):
        assert record["code"] == code_of(kind)
        assert record["node"] == 2
        assert {field.name for field in msgspec.structs.fields(kind)} <= set(record)
    assert len({code_of(kind) for kind in EVENTS}) == len(EVENTS)


def test_a_leader_that_is_deposed_says_what_any_node_says_that_steps_down(
    lines: io.StringIO,
) -> None:
    event_log.write(logger_for(1), events.Deposed(seen_term=5, own_term=4))
    event_log.write(logger_for(1), events.SteppingDown(seen_term=5, own_term=4))
    text = "[node 1] stepping down: saw term 5 > my term 4"
    assert [record["event"] for record in records(lines)] == [text, text]
    assert [record["level"] for record in records(lines)] == ["warning", "info"]


# --- Who says them when -------------------------------------------------------------------


def said(cluster: Cluster, node_id: int) -> set[type]:
    return {type(event) for event in cluster.events[node_id]}


def test_a_handover_is_no_loss_and_being_replaced_is_one() -> None:
    """Thesis §3.10."""
    cluster = Cluster()
    old = cluster.elect().raft.id
    cluster.nodes[old].leading.make_way_before_exit()
    cluster.run()
    new = cluster.elect().raft.id
    assert new != old
    assert events.SteppingDown in said(cluster, old)
    assert not said(cluster, old) & {*event_log.WARNINGS}
    cluster.cut |= {(new, other) for other in cluster.nodes}
    cluster.run(3_000.0)
    assert events.Deposed in said(cluster, new)
    assert all(
        events.Deposed not in said(cluster, other) for other in cluster.nodes if other != new
    )


def test_a_node_that_stood_still_says_so_whether_it_leads_or_not() -> None:
    cluster = Cluster()
    leader = cluster.elect().raft.id
    follower = cluster.followers()[0].raft.id
    for node_id, kind in ((follower, events.Stalled), (leader, events.StoodStill)):
        assert kind not in said(cluster, node_id)
        cluster.asleep.add(node_id)
        cluster.run(3_000.0)
        cluster.asleep.clear()
        cluster.run(100.0)
        assert kind in said(cluster, node_id)
    assert events.Stalled not in said(cluster, leader)


def test_a_node_alone_says_so_too() -> None:
    cluster = Cluster(1)
    cluster.elect()
    cluster.asleep.add(1)
    cluster.run(3_000.0)
    cluster.asleep.clear()
    cluster.run(100.0)
    assert events.Stalled in said(cluster, 1)


def test_a_start_is_no_standstill() -> None:
    cluster = Cluster()
    cluster.now_ms = 1e9
    cluster.elect()
    assert all(events.Stalled not in said(cluster, node_id) for node_id in cluster.nodes)


# --- Links --------------------------------------------------------------------------------


def link_to(address: Address, selector: selectors.BaseSelector) -> PeerLink:
    settings = Settings(
        node_id=1,
        members={1: Address("127.0.0.1", 1), 2: address},
        cluster_id="test",
        data_dir=Path("unused"),
    )
    acquaintances = Acquaintances(
        cluster_id="test",
        node_id=1,
        address="127.0.0.1:9001",
        incarnation="ab" * 16,
        lineage=MemoryLineage(b"1" * 8),
        admitted_at=lambda: 0,
        configured_at=lambda: 0,
        peers=lambda: (2, 3),
        members=lambda: (1, 2, 3),
        replaced_at=lambda node_id, admitted_at: None,
    )
    return PeerLink(
        2, settings.members[2], settings, acquaintances, selector, random.Random(1), logger_for(1)
    )


def turn(link: PeerLink, selector: selectors.BaseSelector, now_ms: float) -> None:
    link.tick(now_ms)
    connection = link._stream
    if connection is not None:
        until_events(selector, lambda: link._is_ready or not connection.is_open)
    link.tick(now_ms)


def test_a_peer_that_is_restarted_is_no_warning_and_one_that_stays_away_is(
    lines: io.StringIO,
) -> None:
    with socket.socket() as deaf, selectors.DefaultSelector() as selector:
        deaf.bind(("127.0.0.1", 0))
        link = link_to(Address(*deaf.getsockname()), selector)
        now_ms = 1_000.0
        while now_ms < 30_000.0:
            turn(link, selector, now_ms)
            now_ms = max(now_ms + 100.0, link.deadline_ms)
    assert link.trouble.endswith("Connection refused")
    said = [(one["level"], one["code"], one["peer"]) for one in records(lines)]
    assert said == [("info", "peer_lost", 2), ("warning", "peer_missed", 2)]


def test_a_peer_that_refuses_is_a_warning_at_once(lines: io.StringIO) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door, selectors.DefaultSelector() as selector:
        link = link_to(Address(*door.getsockname()), selector)
        link.tick(0.0)
        theirs, _ = door.accept()
        with theirs:
            theirs.sendall(encode_refusal("it belongs to another cluster", is_final=False))
            turn(link, selector, 0.0)
    (said,) = records(lines)
    assert (said["level"], said["code"]) == ("warning", "peer_lost")
    assert "another cluster" in link.trouble


# --- All of them --------------------------------------------------------------------------


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted((ROOT / "kvstore").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            levels = (
                r"((.*\.)?_?log|.*logger_for\(.*\))\.(info|warning|error|critical|exception)|say"
            )
            if re.fullmatch(levels, name):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_every_line_that_a_server_logs_has_a_code() -> None:
    calls = list(log_calls())
    assert len(calls) > 12
    for where, call in calls:
        assert "code" in {word.arg for word in call.keywords}, where


def codes_in(document: str, *headings: str) -> set[str]:
    """Of the tables below these headings."""
    parts = [document.split(heading)[1].split("\n## ")[0] for heading in headings]
    first = re.findall(r"(?m)^\| (`[^|]*) \|", "".join(parts))
    return set(re.findall(r"`(\w+)`", " ".join(first)))


def test_the_document_lists_every_code() -> None:
    document = (ROOT / "docs" / "events.md").read_text()
    logged = {
        word.value.value
        for _, call in log_calls()
        for word in call.keywords
        if word.arg == "code" and isinstance(word.value, ast.Constant)
    }
    logged |= {"peer_connected", "peer_lost", "peer_missed", "unknown_variable", "service_links"}
    ends = codes_in(document, "## Why a server ends")
    assert codes_in(document, "## Events of the server") | ends >= logged
    assert codes_in(document, "## Events of the server") <= logged
    errors = [error for error in vars(kvstore.errors).values() if isinstance(error, type)]
    assert {code_of(error) for error in errors if issubclass(error, StorageError)} <= ends
