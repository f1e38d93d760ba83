"""What all clients together may cost, and who gives way."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import msgspec
import pytest
from until import until

from kvstore.config.limits import Limits
from kvstore.server.doorkeeper import Member
from kvstore.server.load import SHORT_INPUT_BYTES
from kvstore.server.stream import _STUCK_BYTES
from kvstore.wire import resp
from kvstore.wire.resp import command

from .accounts import check_accounts
from .line import LIMITS, Line

MIB = 1 << 20


@contextlib.contextmanager
def lines(count: int, **limits: int) -> Iterator[tuple[Line, list[socket.socket]]]:
    """A server, and so many clients of it."""
    line = Line(limits=msgspec.structs.replace(LIMITS, **limits))
    clients = [line.client, *(line.connect() for _ in range(count - 1))]
    try:
        yield line, clients
    finally:
        line.close()
        for client in clients[1:]:
            client.close()


def read(client: socket.socket) -> bytes:
    try:
        return client.recv(1 << 20)
    except BlockingIOError:
        return b"nothing yet"


def connections(line: Line) -> list[Member]:
    return [*line.context.doorkeeper.connections.values()]


def test_unfinished_requests_of_all_clients_are_bounded() -> None:
    """Each is within its own bound; together they are not."""
    half = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (900 << 10) + bytes(600 << 10)
    with lines(6, clients_input_bytes_max=2 * MIB) as (line, clients):
        for client in clients:
            rest = half
            while rest and client.fileno() >= 0:
                with contextlib.suppress(BlockingIOError):
                    rest = rest[client.send(rest) :]
                line.turn()
                if line.context.load.input_bytes > 2 * MIB or len(connections(line)) < 6:
                    break
            line.turn()
        line.turn()
        told = [read(client) for client in clients]
        assert [b"-BUSY" in reply for reply in told].count(True) >= 1
        assert line.context.load.input_bytes <= 2 * MIB + SHORT_INPUT_BYTES
        # Short requests go on.
        other = line.connect()
        other.sendall(command(b"SET", b"a", b"b"))
        for _ in range(3):
            line.turn()
        assert read(other) == b"+OK\r\n"
        other.close()


def test_nothing_is_parsed_ahead_while_unfinished_requests_hold_all_that_they_may() -> None:
    """What is parsed takes ten times the memory of its bytes."""
    half = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$9000\r\n" + bytes(3 << 10)
    pings = command(b"PING") * 200
    with lines(2, clients_input_bytes_max=2 << 10, slice_steps_max=44, turn_steps_max=88) as (
        line,
        clients,
    ):
        clients[0].sendall(half)
        line.turn()
        load = line.context.load
        held_bytes = load.input_bytes
        assert load.is_input_full
        clients[1].sendall(pings)
        line.turn()
        assert held_bytes < load.input_bytes < held_bytes + len(pings)


def test_who_is_refused_while_a_write_waits_for_its_reads_is_hung_up_on_all_the_same() -> None:
    """The write is refused with it, and nothing of that client stays."""
    half = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$90000\r\n" + bytes(20 << 10)
    with lines(1, clients_input_bytes_max=10 << 10, pinned_steps_max=0) as (line, [client]):
        client.sendall(command(b"GET", b"k") + command(b"SET", b"k", b"1") + half)
        got = line.receive()
        assert got.startswith(b"$-1\r\n-BUSY ")
        assert got.count(b"\r\n") == 2
        assert line.is_closed
        client.close()
        line.turn()
        assert not connections(line)
        other = line.connect()
        other.sendall(command(b"GET", b"k"))
        for _ in range(3):
            line.turn()
        assert read(other) == b"$-1\r\n", "the write was refused, and is not carried out"
        other.close()


def test_what_is_held_is_given_back() -> None:
    with lines(2) as (line, clients):
        clients[0].sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\n" + bytes(50))
        line.turn()
        assert line.context.load.input_bytes > 50
        clients[0].sendall(bytes(50) + b"\r\n")
        for _ in range(3):
            line.turn()
        assert (line.context.load.input_bytes, line.context.load.output_bytes) == (0, 0)
        clients[1].sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100\r\n" + bytes(50))
        line.turn()
        connections(line)[1].close()
        assert line.context.load.input_bytes == 0


def test_who_does_not_read_is_hung_up_on_when_others_have_no_room() -> None:
    with lines(2, clients_output_bytes_max=1 * MIB) as (line, clients):
        greedy, modest = clients[1], clients[0]
        line.send(command(b"SET", b"k", bytes(900 << 10)))
        until(lambda: read(modest) == b"+OK\r\n", line.turn, "the value is written")
        # The system's own buffers take some replies before ours fill up.
        greedy.sendall(command(b"GET", b"k") * 200)
        for _ in range(300):
            line.turn()
        assert len(connections(line)) == 1, "the greedy one is gone"
        assert line.context.load.output_bytes < 1 * MIB
        modest.sendall(command(b"GET", b"absent"))
        for _ in range(5):
            line.turn()
        assert read(modest) == b"$-1\r\n"


def test_who_reads_slowly_is_not_hung_up_on() -> None:
    """However much others ask for at the same time."""
    with lines(2, clients_output_bytes_max=MIB * 3 // 2) as (line, clients):
        other, slow = clients
        line.send(command(b"SET", b"k", bytes(900 << 10)))
        until(lambda: read(other) == b"+OK\r\n", line.turn, "the value is written")
        slow.sendall(command(b"GET", b"k") * 12)
        other.sendall(command(b"GET", b"absent") * 4)
        size = 12 * len(resp.bulk(bytes(900 << 10)))
        got = b""
        for _ in range(2_000):
            line.turn()
            with contextlib.suppress(BlockingIOError):
                got += slow.recv(16 << 10)
            if len(got) == size:
                break
        assert len(got) == size
        assert read(other) == b"$-1\r\n" * 4


def test_reads_whose_own_later_replies_took_all_room_are_refused_in_time() -> None:
    """Each holds replies behind its read, and the read waits for the room that they take."""
    with lines(40, clients_output_bytes_max=100_000) as (line, clients):
        for client in clients:
            client.sendall(command(b"GET", b"absent") + command(b"ECHO", bytes(4_000)))
        line.turn()
        assert line.context.load.share_bytes == 0
        told = dict.fromkeys(clients, b"")
        for _ in range(100):
            line.turn()
            for client in clients:
                with contextlib.suppress(BlockingIOError):
                    told[client] += client.recv(1 << 20)
        echo = resp.bulk(bytes(4_000))
        assert all(reply.endswith(echo) for reply in told.values())
        firsts = [reply.removesuffix(echo) for reply in told.values()]
        assert {first[:5] for first in firsts} == {b"-BUSY", b"$-1\r\n"}
        assert line.context.load.output_bytes == 0
        line.send(command(b"GET", b"absent"))
        assert read(line.client) == b"$-1\r\n"


@pytest.mark.parametrize(
    "request_of_long_reply",
    [command(b"ECHO", bytes(30_000)), command(b"SET", b"k", b"v", b"NX", b"GET")],
    ids=["echo", "previous value"],
)
def test_long_replies_that_cannot_wait_are_refused_when_there_is_no_room(
    request_of_long_reply: bytes,
) -> None:
    """Whoever has none yet may begin a reply, and many clients are many replies."""
    bounds = {"clients_output_bytes_max": 100_000, "value_bytes_max": 30_000}
    with lines(40, **bounds) as (line, clients):
        line.send(command(b"SET", b"k", bytes(30_000)))
        assert read(line.client) == b"+OK\r\n"
        for client in clients:
            client.sendall(command(b"GET", b"k") + request_of_long_reply)
        line.context.load.hear({key.data: mask for key, mask in line.selector.select(0)})
        assert line.context.load.output_bytes < 2 * 100_000
        for _ in range(100):
            line.turn()
        told = [read(client) for client in clients]
        assert any(b"-BUSY" in replies for replies in told)
        assert line.context.load.output_bytes == 0


def test_what_is_unfinished_leaves_less_for_replies() -> None:
    """One budget for both: they are not all full at once."""
    half = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (900 << 10) + bytes(40_000)
    with lines(1, clients_output_bytes_max=100_000) as (line, [client]):
        client.sendall(half)
        line.turn()
        load = line.context.load
        assert load.input_bytes > 40_000
        assert load.share_bytes == (100_000 - load.input_bytes - load.output_bytes) // 8


def test_who_sends_much_waits_while_the_log_holds_half_of_what_it_may() -> None:
    """Or many requests under way would be refused that are each welcome a moment later."""
    put = command(b"SET", b"k", bytes(30_000))
    with lines(2, pending_bytes_max=100_000) as (line, [filler, client]):
        filler.sendall(put + put)
        until(lambda: line.node.leading.is_filling, line.turn, "what is recent fills half of it")
        client.sendall(put[:20_000])
        until(lambda: line.connections[1].input_bytes > 19_000, line.turn, "it was read")
        client.sendall(put[20_000:])
        held_bytes = line.connections[1].input_bytes
        for _ in range(5):
            line.turn()
        assert line.connections[1].input_bytes == held_bytes, "it is left unread"
        assert read(client) == b"nothing yet"
        filler.recv(100)
        filler.sendall(command(b"PING"))
        line.turn()
        assert read(filler) == b"+PONG\r\n", "who has nothing under way goes on"
        for _ in range(round(line.context.settings.request_timeout_ms / 50)):
            line.turn()
        assert read(client) == b"+OK\r\n", "nobody waits for ever"


def test_who_has_writes_under_way_waits_as_well() -> None:
    put = command(b"SET", b"k", bytes(3_000))
    line = Line(2, msgspec.structs.replace(LIMITS, pending_bytes_max=5_000))
    with contextlib.closing(line):
        line.elect()
        line.connect_anew()
        line.client.sendall(put)
        until(lambda: line.node.leading.is_filling, line.turn, "it waits for node 2")
        line.client.sendall(put)
        for _ in range(5):
            line.turn()
        assert line.connection.places == 1
        assert not line.connection.input_bytes


def test_those_who_are_never_hung_up_on_hold_no_more_than_half() -> None:
    limits = Limits()
    assert _STUCK_BYTES * limits.connections_max <= limits.clients_output_bytes_max // 2


def test_one_client_s_pipeline_leaves_the_turn_to_others() -> None:
    with lines(2, turn_steps_max=400, slice_steps_max=44, pipeline_requests_max=1_000) as (
        line,
        clients,
    ):
        deep, other = clients
        deep.sendall(command(b"PING") * 100)
        other.sendall(command(b"PING"))
        line.turn()
        assert 1 <= read(deep).count(b"PONG") <= 10
        assert read(other) == b"+PONG\r\n"
        assert line.context.load.patience_ms == 0.0
        for _ in range(20):
            line.turn()
        assert read(deep).count(b"PONG") >= 85
        assert line.context.load.patience_ms == float("inf")


def test_who_asks_for_little_comes_before_many_who_ask_for_much() -> None:
    """Each time: not only the first one."""
    with lines(21, turn_steps_max=264, slice_steps_max=44, pipeline_requests_max=1_000) as (
        line,
        [modest, *greedy],
    ):
        for client in greedy:
            client.sendall(command(b"PING") * 900)
        for _ in range(30):
            line.turn()
        for _ in range(10):
            modest.sendall(command(b"PING"))
            line.turn()
            assert read(modest) == b"+PONG\r\n"
        assert line.context.load.patience_ms == 0.0, "the others still have much to do"


def test_all_clients_together_have_a_bounded_turn() -> None:
    with lines(5, turn_steps_max=264, slice_steps_max=44) as (line, clients):
        for client in clients:
            client.sendall(command(b"PING") * 6)
        before = line.context.commands_processed
        line.turn()
        assert 1 <= line.context.commands_processed - before <= 12
        for _ in range(6):
            line.turn()
        assert [read(client) for client in clients] == [b"+PONG\r\n" * 6] * 5


def test_reads_that_were_pinned_for_who_is_gone_are_given_back() -> None:
    with lines(1) as (line, [client]):
        client.sendall(command(b"GET", b"k") + command(b"SET", b"k", b"v"))
        line.context.load.hear({key.data: mask for key, mask in line.selector.select(1)})
        assert line.context.load.pinned_steps > 0
        line.connection.close()
        assert (line.context.load.pinned_steps, line.context.load.output_bytes) == (0, 0)


def test_what_a_socket_does_not_take_is_booked_in_the_same_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with lines(1) as (line, [client]):
        monkeypatch.setattr(line.connection._stream, "_send", lambda _data: 0)
        client.sendall(command(b"SET", b"k", b"v"))
        for _ in range(4):
            line.turn()
            check_accounts(line.context)
        assert line.connection.unsent_bytes == line.context.load.output_bytes == len(resp.OK)


def test_what_a_socket_takes_later_is_given_back_then(monkeypatch: pytest.MonkeyPatch) -> None:
    with lines(1) as (line, [client]):
        with monkeypatch.context() as full:
            full.setattr(line.connection._stream, "_send", lambda _data: 0)
            client.sendall(command(b"PING"))
            line.turn()
            assert line.context.load.output_bytes > 0
        line.turn()
        check_accounts(line.context)
        assert line.context.load.output_bytes == 0
        assert read(client) == b"+PONG\r\n"
