"""One connection of a client: replies in order, bounded input and output, and its end."""

from __future__ import annotations

import selectors
import socket

import pytest

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.raft.types import Role
from kvstore.server.load import ARGUMENT_STEPS
from kvstore.server.replies import Slot
from kvstore.wire import resp, typed
from kvstore.wire.resp import command

from .line import LIMITS, Line

SHARE_BYTES = LIMITS.clients_output_bytes_max // 8


def test_replies_come_in_the_order_of_the_requests(line: Line) -> None:
    """PING is ready at once and SET is not, yet neither overtakes the other."""
    got = line.ask(
        command(b"SET", b"k", b"1"),
        command(b"PING"),
        command(b"GET", b"k"),
        command(b"NOSUCH"),
        command(b"INCR", b"k"),
    )
    replies = got.split(b"\r\n")
    assert replies[:4] == [b"+OK", b"+PONG", b"$1", b"1"]
    assert replies[4].startswith(b"-ERR unknown command 'NOSUCH'")
    assert replies[5:] == [b":2", b""]


@pytest.mark.parametrize("args", [(b"GET", b"k"), (b"PING",), (b"SET", b"k", b"v")])
def test_the_replies_of_a_pipeline_leave_in_one_piece(
    line: Line, args: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece is a call of the system, which costs more than to answer a GET."""
    connection = line.connection._stream
    write, pieces = connection.write, []

    def note(data: bytes) -> None:
        pieces.append(data)
        write(data)

    monkeypatch.setattr(connection, "write", note)
    line.ask(command(*args) * 8)
    assert len(pieces) == 1


def test_a_read_that_was_answered_makes_no_further_turn(line: Line) -> None:
    line.client.sendall(command(b"GET", b"k") * 3)
    line.turn()
    assert line.client.recv(100) == b"$-1\r\n" * 3
    assert not line.context.dirty


def test_a_reply_that_is_ready_waits_for_an_earlier_one_that_is_not(follower: Line) -> None:
    """The node leads, but no majority confirms its write."""
    follower.elect()
    client = follower.connect()
    client.sendall(command(b"SET", b"k", b"1") + command(b"PING"))
    follower.turn()
    assert follower.node.raft.role is Role.LEADER
    with pytest.raises(BlockingIOError):
        client.recv(1)
    for _ in range(120):
        follower.turn()
    assert client.recv(1 << 10).startswith(b"-UNKNOWN outcome unknown")
    client.close()


def test_a_pipeline_longer_than_the_limit_is_answered_whole(line: Line) -> None:
    count = 10 * LIMITS.pipeline_requests_max
    line.client.sendall(command(b"INCR", b"n") * count)
    assert line.receive(turns=40).split(b"\r\n")[:-1] == [b":%d" % n for n in range(1, count + 1)]


def test_input_beyond_the_pipeline_limit_waits_unread(line: Line) -> None:
    flood = command(b"INCR", b"n") * 100
    line.client.sendall(flood)
    line.selector.select(0)[0][0].data.on_events(selectors.EVENT_READ)
    assert len(line.node._writes.waiting) == LIMITS.pipeline_requests_max
    assert not line.selector.select(0), "more input is not even looked at"


def test_a_client_that_reads_nothing_is_slowed_and_costs_bounded_memory(line: Line) -> None:
    value = b"x" * LIMITS.value_bytes_max
    line.send(command(b"SET", b"k", value))
    assert line.receive(turns=20) == b"+OK\r\n"
    line.send(command(b"GET", b"k") * 24)
    for _ in range(20):
        line.turn()
        assert line.connection._stream.unsent_bytes <= SHARE_BYTES + len(value)
    expected = 24 * (len(value) + len(b"$1048576\r\n\r\n"))
    assert len(line.receive(turns=500)) == expected


def test_replies_that_need_no_turn_are_bounded_too(line: Line) -> None:
    echo = command(b"ECHO", b"x" * LIMITS.value_bytes_max)
    line.send(echo)
    assert len(line.receive(turns=20)) > LIMITS.value_bytes_max
    requests = 12
    got = 0
    for _ in range(requests):
        line.send(echo)
        assert line.connection._stream.unsent_bytes <= SHARE_BYTES + len(echo)
    got = len(line.receive(turns=500))
    assert got == requests * len(resp.bulk(b"x" * LIMITS.value_bytes_max))


def test_replies_that_need_no_turn_are_bounded_behind_one_that_does(line: Line) -> None:
    """They wait in memory for the reply to a write, and the socket has none of them yet."""
    value = b"x" * LIMITS.value_bytes_max
    echoes = LIMITS.pipeline_requests_max - 1
    flood = command(b"SET", b"k", b"1") + command(b"ECHO", value) * echoes
    rest = line.send_until_unread(flood)
    held = line.connection.replies.held_bytes
    assert 0 < held <= SHARE_BYTES + len(resp.bulk(value))
    line.send(rest)
    expected = len(resp.OK) + echoes * len(resp.bulk(value))
    assert len(line.receive(turns=500)) == expected


def test_a_name_that_would_forge_a_line_or_fill_memory_is_refused(line: Line) -> None:
    for name in (b"a b", b"a\nid=7", b"x" * 129):
        assert line.ask(command(b"CLIENT", b"SETNAME", name)).startswith(b"-ERR Client names")
        assert line.ask(command(b"HELLO", b"3", b"SETNAME", name)).startswith(b"-ERR Client names")
    assert line.ask(command(b"CLIENT", b"SETNAME", b"worker-7")) == b"+OK\r\n"


def test_config_get_takes_few_and_short_patterns(line: Line) -> None:
    assert b"appendonly" in line.ask(command(b"CONFIG", b"GET", b"append*"))
    assert line.ask(command(b"CONFIG", b"GET", b"a" * 65)).startswith(b"-ERR too many or too long")
    many = [b"a"] * 17
    assert line.ask(command(b"CONFIG", b"GET", *many)).startswith(b"-ERR too many or too long")


def test_a_client_that_stops_sending_still_gets_its_replies(line: Line) -> None:
    line.client.sendall(command(b"SET", b"k", b"1") + command(b"GET", b"k"))
    line.client.shutdown(socket.SHUT_WR)
    got = line.receive()
    assert got == b"+OK\r\n$1\r\n1\r\n"
    assert line.is_closed


def test_a_client_that_stops_sending_and_waits_wakes_nobody(follower: Line) -> None:
    """Its end of the stream is news once."""
    follower.client.sendall(command(b"KV", b"x"))
    follower.client.shutdown(socket.SHUT_WR)
    slot = Slot(follower.connection.replies, lambda _result: resp.integer(1), 0)
    follower.connection.replies.expect(slot)
    follower.turn()
    follower.turn()
    assert not follower.selector.select(0)
    slot.fill(api.CountResult(revision=0, count=1))
    assert follower.receive().startswith(b":1\r\n")
    assert follower.is_closed


def test_garbage_is_answered_once_after_the_replies_before_it(line: Line) -> None:
    got = line.ask(command(b"SET", b"k", b"1"), b"*1\r\n$nonsense\r\n", command(b"SET", b"k", b"2"))
    assert got == b"+OK\r\n-ERR Protocol error: invalid bulk length\r\n"
    assert line.is_closed
    line.client.close()
    line.turn()
    assert not line.context.doorkeeper.connections


def test_a_refused_multi_refuses_everything_up_to_its_exec(line: Line) -> None:
    """A client sends all of it at once, so the commands in between must not happen."""
    put = command(b"SET", b"k", b"1")
    got = line.ask(command(b"MULTI"), put, command(b"EXEC"), command(b"GET", b"k"))
    multi, refused, aborted, value, _end = got.split(b"\r\n")
    assert multi.startswith(b"-ERR MULTI is not supported")
    assert refused.startswith(b"-ERR MULTI is not supported")
    assert aborted.startswith(b"-EXECABORT ")
    assert value == b"$-1"
    discarded = line.ask(command(b"MULTI"), put, command(b"DISCARD"), command(b"EXISTS", b"k"))
    assert discarded.endswith(b"+OK\r\n:0\r\n")
    assert line.ask(command(b"EXEC")).startswith(b"-ERR EXEC without MULTI")


def test_what_touches_no_data_is_answered_after_a_refused_multi(line: Line) -> None:
    """Else a pool of connections, which asks PING first, would never be rid of this one."""
    line.ask(command(b"MULTI"))
    assert line.ask(command(b"PING"), command(b"CLIENT", b"ID")).startswith(b"+PONG\r\n:")
    call = typed.encode_call(api.Call(api.Put(b"k", b"v")))
    for refused in (command(b"SET", b"k", b"v"), command(b"SCAN", b"0"), call):
        assert line.ask(refused).startswith(b"-ERR MULTI is not supported")
    assert line.ask(command(b"DISCARD"), command(b"DBSIZE")) == b"+OK\r\n:0\r\n"


def test_quit_ends_a_refused_multi(line: Line) -> None:
    """A client that gives up in the middle of its transaction gets away."""
    multi, ok, _end = line.ask(command(b"MULTI"), command(b"QUIT")).split(b"\r\n")
    assert multi.startswith(b"-ERR MULTI is not supported")
    assert ok == b"+OK"
    assert line.is_closed


def test_quit_says_ok_and_hangs_up(line: Line) -> None:
    assert line.ask(command(b"QUIT"), command(b"PING")) == b"+OK\r\n"
    assert line.is_closed


def test_a_client_that_vanishes_leaves_nothing_behind(line: Line) -> None:
    line.client.sendall(command(b"SET", b"k", b"1"))
    line.client.close()
    for _ in range(5):
        line.turn()
    assert not line.context.doorkeeper.connections
    assert line.node.machine.revision == 2


def test_hello_switches_the_protocol_for_what_follows(line: Line) -> None:
    two = line.ask(command(b"GET", b"absent"))
    three = line.ask(command(b"HELLO", b"3"), command(b"GET", b"absent"))
    assert two == b"$-1\r\n"
    assert three.startswith(b"%7\r\n")
    assert three.endswith(b"_\r\n")


def test_a_follower_reads_only_after_readonly(follower: Line) -> None:
    reads = (command(b"GET", b"k"), command(b"SCAN", b"0"))
    refused = follower.ask(*reads)
    first, again, end = refused.split(b"\r\n")
    assert first.startswith(b"-NOLEADER ")
    assert (again, end) == (first, b"")
    got = follower.ask(command(b"READONLY"), *reads, command(b"READWRITE"), *reads)
    page = b"*2\r\n$1\r\n0\r\n*0\r\n"
    assert got == b"+OK\r\n$-1\r\n" + page + b"+OK\r\n" + refused


def test_a_typed_request_gets_a_typed_result(line: Line) -> None:
    got = line.ask(typed.encode_call(api.Call(api.Put(b"k", b"v"))))
    payload = got.split(b"\r\n", 1)[1][:-2]
    assert typed.decode_reply(payload).result == api.PutResult(revision=2, written=True)


def test_a_typed_failure_is_a_result_and_not_an_error(follower: Line) -> None:
    got = follower.ask(typed.encode_call(api.Call(api.Put(b"k", b"v"))))
    payload = got.split(b"\r\n", 1)[1][:-2]
    failure = typed.decode_reply(payload).result
    assert isinstance(failure, api.Failure)
    assert failure.code is api.FailureCode.NO_LEADER


def test_a_client_that_half_closes_gets_the_replies_that_waited_for_their_turn() -> None:
    line = Line(limits=Limits(turn_steps_max=100, slice_steps_max=30))
    try:
        line.client.sendall(command(b"INCR", b"n") * 40)
        line.client.shutdown(socket.SHUT_WR)
        assert line.receive(turns=200).endswith(b":40\r\n")
        assert line.is_closed
    finally:
        line.close()


def test_a_client_whose_host_vanished_is_noticed(line: Line) -> None:
    sock = line.connection._stream._sock
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    idle_s = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    interval_s = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL)
    count = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT)
    assert idle_s + interval_s * count <= 180


# --- Requests over a limit ----------------------------------------------------------------


def test_a_value_over_the_limit_is_dropped_and_the_connection_goes_on(line: Line) -> None:
    put = command(b"SET", b"k", b"1")
    long = command(b"SET", b"k", bytes(5 << 20))
    line.send(put + long + command(b"GET", b"k"))
    line.send(long + command(b"INCR", b"k"))
    refusal = b"-ERR value has 5242880 bytes, the limit is 1048576\r\n"
    assert line.receive(turns=200) == b"+OK\r\n" + refusal + b"$1\r\n1\r\n" + refusal + b":2\r\n"


def test_what_is_dropped_is_not_kept(line: Line) -> None:
    frame = memoryview(command(b"SET", b"k", bytes(8 << 20)))
    while frame:
        frame = frame[line.client.send(frame[:60_000]) :]
        line.turn()
        assert line.context.load.input_bytes <= 100_000
    assert line.receive().startswith(b"-ERR value has 8388608 bytes")


def test_a_typed_request_over_the_limit_is_refused_as_a_result() -> None:
    line = Line(limits=Limits(request_bytes_max=1 << 20))
    try:
        line.send(typed.encode_call(api.Call(api.Put(b"k", bytes(2 << 20)))))
        payload = line.receive(turns=100).split(b"\r\n", 1)[1][:-2]
        failure = typed.decode_reply(payload).result
        assert isinstance(failure, api.Failure)
        assert failure.code is api.FailureCode.INVALID
        assert "2097" in failure.message
    finally:
        line.close()


@pytest.mark.parametrize("count", [20_000, 70_000])
def test_more_arguments_than_allowed_are_read_to_their_end(line: Line, count: int) -> None:
    line.send(command(b"DEL", *[b"k"] * count) + command(b"PING"))
    refusal, pong, _end = line.receive(turns=200).split(b"\r\n")
    assert refusal.startswith(b"-ERR the request has %d arguments, the limit is 8193" % (count + 1))
    assert pong == b"+PONG"
    assert line.connection.served >= count * ARGUMENT_STEPS, "what is dropped is work as well"


def test_a_reply_reaches_a_client_that_is_still_sending(line: Line) -> None:
    """To hang up on what is unread would reset the connection, and take the reply with it."""
    line.send(b"*2\r\n$3\r\nGET\r\n$99999999999\r\n" + bytes(3 << 20))
    assert line.receive() == b"-ERR Protocol error: invalid bulk length\r\n"
    assert line.is_closed
    for _ in range(50):
        line.client.send(bytes(1_000))
        line.turn()
    line.context.tick(line.now_ms + 60_000)
    assert not line.context.doorkeeper.connections, "but not for ever"


def test_all_that_is_ready_leaves_at_once_however_long(line: Line) -> None:
    line.ask(command(b"SET", b"k", bytes(30_000)))
    line.client.sendall(command(b"GET", b"k") * 7)
    assert line.receive() == resp.bulk(bytes(30_000)) * 7
