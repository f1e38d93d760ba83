"""`Client.backup`: all bytes of one node, in order, or an error."""

from __future__ import annotations

import io
from typing import Any

import pytest
from crc32c import crc32c
from scripted_node import BUSY, INVALID, ClosedPort, Misbehave, ScriptedNode, Step, status_of

from kvstore import Client, api
from kvstore.errors import ProtocolError, RefusedError, UnreachableError


def piece(data: bytes, offset: int, done: int, *, is_last: bool = False) -> api.BackupPiece:
    return api.BackupPiece(7, offset, data, crc32c(data), 30, 12, done, 4, is_last)


class Giver(ScriptedNode):
    """A node that says how far it is, whenever it is asked, and then goes by its script."""

    def __init__(self, *script: Step, role: str = "leader", term: int = 1, applied: int = 30):
        super().__init__(*script)
        self._status: Step = status_of(1, role=role, term=term, last_applied=applied)

    def _next_step(self, request: object) -> Step:
        return self._status if request == api.Status() else super()._next_step(request)


ONE, TWO, THREE = piece(b"one", 0, 1), piece(b"two", 3, 2), piece(b"3", 6, 4, is_last=True)


def test_all_pieces_of_one_node_are_written_in_order() -> None:
    heard: list[tuple[int, int]] = []
    with Giver(ONE, TWO, THREE) as node, Client(node.address) as client:
        file = io.BytesIO()
        done = client.backup(file, on_progress=lambda at: heard.append((at.done, at.size_bytes)))
    assert file.getvalue() == b"onetwo3"
    assert heard == [(1, 3), (2, 6), (4, 7)]
    assert (done.node, done.index, done.revision, done.total) == (node.address, 30, 12, 4)
    assert done.is_of_leader
    assert node.requests == [
        api.Status(),
        api.FetchBackup(),
        api.FetchBackup(7, 3),
        api.FetchBackup(7, 6),
    ]


def test_a_piece_is_asked_for_again_when_the_connection_broke() -> None:
    with Giver(ONE, Misbehave.HANG_UP, TWO, THREE) as node, Client(node.address) as client:
        file = io.BytesIO()
        client.backup(file)
    assert file.getvalue() == b"onetwo3"
    assert node.requests[2] == node.requests[3] == api.FetchBackup(7, 3)


def test_the_first_node_that_gives_one_gives_all() -> None:
    file = io.BytesIO()
    with ClosedPort() as nobody, Giver(BUSY) as busy, Giver(ONE, TWO, THREE) as node:
        client = Client([nobody.address, busy.address, node.address])
        assert client.backup(file).node == node.address
        client.close()
    assert file.getvalue() == b"onetwo3"


LEADER = {"role": "leader", "term": 5, "applied": 30}


@pytest.mark.parametrize(
    ("knows_more", "other"),
    [
        (LEADER, {"role": "follower", "term": 5, "applied": 31}),
        (LEADER, {"role": "leader", "term": 4, "applied": 40}),
        (
            {"role": "follower", "term": 5, "applied": 9},
            {"role": "follower", "term": 5, "applied": 8},
        ),
        (
            {"role": "follower", "term": 5, "applied": 9},
            {"role": "leader", "term": 4, "applied": 8},
        ),
    ],
    ids=["the leader", "the newest leader", "who applied most", "no leader of an older term"],
)
@pytest.mark.parametrize("comes_first", [True, False])
def test_of_several_nodes_the_one_that_knows_most_gives_it(
    knows_more: dict[str, Any], other: dict[str, Any], comes_first: bool
) -> None:
    """One that was cut off would give what was long ago, and nobody would see."""
    with Giver(ONE, TWO, THREE, **knows_more) as node, Giver(ONE, TWO, THREE, **other) as behind:
        addresses = [node.address, behind.address]
        with Client(addresses if comes_first else addresses[::-1]) as client:
            done = client.backup(io.BytesIO())
    assert done.node == node.address
    assert done.is_of_leader == (knows_more["role"] == "leader")


def test_a_node_that_does_not_say_how_far_it_is_comes_last() -> None:
    with Giver(ONE, TWO, THREE) as silent, Giver(ONE, TWO, THREE) as node:
        silent._status = BUSY
        with Client([silent.address, node.address]) as client:
            assert client.backup(io.BytesIO()).node == node.address
    assert silent.requests == [api.Status()]


def test_an_address_names_the_one_node_to_ask() -> None:
    with Giver() as other, Giver(ONE, TWO, THREE) as node:
        client = Client(other.address)
        client.backup(io.BytesIO(), node.address)
        client.close()
    assert not other.requests


def test_a_node_that_gives_it_up_ends_it() -> None:
    with (
        Giver(ONE, INVALID) as node,
        Client(node.address) as client,
        pytest.raises(RefusedError),
    ):
        client.backup(io.BytesIO())


def test_nobody_there_is_told() -> None:
    with (
        ClosedPort() as nobody,
        Client(nobody.address, timeout_ms=500) as client,
        pytest.raises(UnreachableError),
    ):
        client.backup(io.BytesIO())


@pytest.mark.parametrize(
    "wrong",
    [
        piece(b"two", 4, 2),
        piece(b"one", 0, 1),
        api.BackupPiece(7, 3, b"two", crc32c(b"tvo"), 30, 12, 2, 4, is_last=False),
    ],
    ids=["a gap", "twice", "flipped"],
)
def test_a_piece_that_is_not_the_next_one_ends_it(wrong: api.BackupPiece) -> None:
    with (
        Giver(ONE, wrong) as node,
        Client(node.address) as client,
        pytest.raises(ProtocolError, match="is not the one that the node sent"),
    ):
        client.backup(io.BytesIO())


def test_what_the_file_raises_comes_through() -> None:
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(28, "No space left on device")

    with (
        Giver(ONE) as node,
        Client(node.address) as client,
        pytest.raises(OSError, match="No space left"),
    ):
        client.backup(Full())
