"""`Client.backup`: all bytes of one node, in order, or an error."""

from __future__ import annotations

import io

import pytest
from crc32c import crc32c
from scripted_node import BUSY, INVALID, ClosedPort, Misbehave, ScriptedNode

from kvstore import Client, api
from kvstore.errors import ProtocolError, RefusedError, UnreachableError


def piece(data: bytes, offset: int, done: int, *, is_last: bool = False) -> api.BackupPiece:
    return api.BackupPiece(7, offset, data, crc32c(data), 30, 12, done, 4, is_last)


ONE, TWO, THREE = piece(b"one", 0, 1), piece(b"two", 3, 2), piece(b"3", 6, 4, is_last=True)


def test_all_pieces_of_one_node_are_written_in_order() -> None:
    heard: list[tuple[int, int]] = []
    with ScriptedNode(ONE, TWO, THREE) as node, Client(node.address) as client:
        file = io.BytesIO()
        done = client.backup(file, on_progress=lambda at: heard.append((at.done, at.size_bytes)))
    assert file.getvalue() == b"onetwo3"
    assert heard == [(1, 3), (2, 6), (4, 7)]
    assert (done.node, done.index, done.revision, done.total) == (node.address, 30, 12, 4)
    assert node.requests == [
        api.FetchBackup(),
        api.FetchBackup(7, 3),
        api.FetchBackup(7, 6),
    ]


def test_a_piece_is_asked_for_again_when_the_connection_broke() -> None:
    with ScriptedNode(ONE, Misbehave.HANG_UP, TWO, THREE) as node, Client(node.address) as client:
        file = io.BytesIO()
        client.backup(file)
    assert file.getvalue() == b"onetwo3"
    assert node.requests[1] == node.requests[2] == api.FetchBackup(7, 3)


def test_the_first_node_that_gives_one_gives_all() -> None:
    file = io.BytesIO()
    with ClosedPort() as nobody, ScriptedNode(BUSY) as busy, ScriptedNode(ONE, TWO, THREE) as node:
        client = Client([nobody.address, busy.address, node.address])
        assert client.backup(file).node == node.address
        client.close()
    assert file.getvalue() == b"onetwo3"


def test_an_address_names_the_one_node_to_ask() -> None:
    with ScriptedNode() as other, ScriptedNode(ONE, TWO, THREE) as node:
        client = Client(other.address)
        client.backup(io.BytesIO(), node.address)
        client.close()
    assert not other.requests


def test_a_node_that_gives_it_up_ends_it() -> None:
    with (
        ScriptedNode(ONE, INVALID) as node,
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
        ScriptedNode(ONE, wrong) as node,
        Client(node.address) as client,
        pytest.raises(ProtocolError, match="is not the one that the node sent"),
    ):
        client.backup(io.BytesIO())


def test_what_the_file_raises_comes_through() -> None:
    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(28, "No space left on device")

    with (
        ScriptedNode(ONE) as node,
        Client(node.address) as client,
        pytest.raises(OSError, match="No space left"),
    ):
        client.backup(Full())
