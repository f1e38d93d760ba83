"""A session belongs to one client in one process: copies and forked children begin their own.

Forks run in programs of their own, because the process of the tests has many threads.
"""

from __future__ import annotations

import contextlib
import copy
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from process.cluster import eventually
from scripted_node import OK, ScriptedNode, Step, not_leader, reply

from kvstore import Client, NotLeaderError, api

from .answers import FOUND
from .numbers import numbers, opened

COPIES: dict[str, Callable[[Client], Client]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda client: pickle.loads(pickle.dumps(client)),
    "copy of a copy": lambda client: copy.copy(copy.deepcopy(client)),
}


@pytest.fixture(params=COPIES.values(), ids=COPIES)
def copied(request: pytest.FixtureRequest) -> Callable[[Client], Client]:
    way: Callable[[Client], Client] = request.param
    return way


def test_a_copy_has_a_session_numbers_and_connections_of_its_own(
    copied: Callable[[Client], Client],
) -> None:
    with ScriptedNode(*[OK] * 6) as node, Client([node.address]) as client:
        client.put("k", "1")
        with copied(client) as other:
            assert node.connections == 1
            client.put("k", "2")
            other.put("k", "3")
            client.put("k", "4")
            other.put("k", "5")
        client.put("k", "6")
        assert numbers(node) == [(1, 1), (1, 2), (4, 1), (1, 3), (4, 2), (1, 4)]
        assert node.connections == 2


def test_a_copy_that_was_made_before_the_first_write_shares_nothing_either(
    copied: Callable[[Client], Client],
) -> None:
    with (
        ScriptedNode(OK, OK) as node,
        Client([node.address]) as client,
        copied(client) as other,
    ):
        other.put("k", "1")
        client.put("k", "2")
        assert numbers(node) == [(1, 1), (3, 1)]


def tell(_asked: str, leader: str) -> None:
    TOLD.append(leader)


TOLD: list[str] = []


def test_a_copy_has_the_same_settings(copied: Callable[[Client], Client]) -> None:
    with ScriptedNode(OK, FOUND) as leader, ScriptedNode(not_leader(leader.address)) as node:
        client = Client(
            [node.address],
            timeout_ms=1_234,
            on_redirect=tell,
            exactly_once=False,
            reads_from_any=True,
        )
        with copied(client) as other:
            TOLD.clear()
            other.put("k", "v")
            assert [leader.address] == TOLD
            assert opened(leader) == 0
            node.extend(FOUND)
            other.get("foo")
            assert node.calls[-1].from_any
        node.extend(not_leader("127.0.0.1:1"))
        with (
            copied(Client([node.address], follow=False)) as other,
            pytest.raises(NotLeaderError),
        ):
            other.put("k", "v")
    silent = copied(Client(["127.0.0.1:1"], timeout_ms=50))
    with silent, pytest.raises(Exception, match="within 50 ms"):
        silent.get("k")


def test_a_copy_knows_what_its_client_knew(copied: Callable[[Client], Client]) -> None:
    with ScriptedNode(reply(FOUND, term=5), FOUND) as node, Client([node.address]) as client:
        client.get("foo")
        with copied(client) as other:
            other.get("foo")
        assert (node.calls[-1].min_term, node.calls[-1].cluster_id) == (5, "scripted")


class Named(Client):
    def __init__(self, name: str, address: str) -> None:
        super().__init__([address])
        self.name = name


def test_a_copy_of_a_subclass_is_one_too(copied: Callable[[Client], Client]) -> None:
    with ScriptedNode(OK) as node, copied(Named("n", node.address)) as other:
        other.put("k", "v")
        assert isinstance(other, Named)
        assert other.name == "n"


def test_a_client_can_be_copied_while_a_thread_is_in_a_request() -> None:
    asked, answers = threading.Event(), threading.Event()

    def slow() -> api.Result:
        asked.set()
        assert answers.wait(30)
        return OK

    with ScriptedNode(slow, OK) as node, Client([node.address]) as client:
        thread = threading.Thread(target=client.put, args=("k", "1"))
        thread.start()
        assert asked.wait(30)
        with copy.copy(client) as other:
            assert other.put("k", "2") == OK
        answers.set()
        thread.join(30)
        assert numbers(node) == [(1, 1), (3, 1)]


# --- Forks --------------------------------------------------------------------------------

PRELUDE = """
import os, sys, threading
import kvstore
from kvstore import Client

def say(*words):
    '''One write, so that processes do not break into each other's lines.'''
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def fork(child):
    '''Run `child` in a forked process that ends as processes do, and wait for it.'''
    pid = os.fork()
    if pid == 0:
        child()
        sys.exit()
    assert os.waitpid(pid, 0)[1] == 0

"""


def run(program: str, *addresses: str) -> list[str]:
    """The lines that a program prints; `sys.argv[1:]` are the nodes."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + textwrap.dedent(program), *addresses],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def test_forked_children_begin_their_own_and_leave_their_parent_s_alone() -> None:
    program = """
        client = Client(sys.argv[1])
        client.put("k", "parent")

        def child():
            client.put("k", "child")
            fork(lambda: client.put("k", "grandchild"))
            client.put("k", "child")

        for _ in range(2):
            fork(child)
            client.put("k", "parent")
        """
    with ScriptedNode(*[OK] * 9) as node:
        run(program, node.address)
        parent, child, grandchild = (1, 1), (3, 1), (5, 1)
        assert numbers(node)[:5] == [parent, child, grandchild, (3, 2), (1, 2)]
        assert numbers(node)[5:] == [(9, 1), (11, 1), (9, 2), (1, 3)]
        assert node.connections == 5


def test_a_child_that_does_nothing_or_closes_ends_no_connection_of_its_parent() -> None:
    program = """
        with Client(sys.argv[1]) as client:
            client.put("k", "1")
            client.get("foo", stale=True)
            fork(lambda: None)
            client.put("k", "2")
            fork(client.close)
            client.put("k", "3")
        """
    with ScriptedNode(OK, b"+OK\r\n", FOUND, OK, OK) as node:
        run(program, node.address)
        assert numbers(node) == [(1, 1), (1, 2), (1, 3)]
        assert node.connections == 2


def test_a_child_keeps_no_connection_of_its_parent_open() -> None:
    program = """
        client = Client(sys.argv[1])
        client.put("k", "1")
        go_on, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(go_on, 1)
            sys.exit()
        client.close()
        say("closed")
        sys.stdin.read(1)
        os.write(tell, b"x")
        os.waitpid(pid, 0)
        """
    with ScriptedNode(OK) as node:
        process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(program), node.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"closed\n"
            assert node.hung_up.wait(10), "the child holds the connection"


def test_a_child_is_served_although_a_thread_of_its_parent_was_in_a_request() -> None:
    program = """
        inside, forked = threading.Event(), threading.Event()

        def redirected(asked, leader):
            inside.set()
            forked.wait()

        client = Client(sys.argv[1], on_redirect=redirected, connections_max=1)
        answers = []
        put = lambda: answers.append(client.put("k", "thread"))
        thread = threading.Thread(target=put, daemon=True)
        thread.start()
        inside.wait()
        fork(lambda: say(client.put("k", "child").revision))
        forked.set()
        thread.join()
        say(answers[0].revision)
        """
    with ScriptedNode() as leader, ScriptedNode() as node:
        leader.scripts_sessions = node.scripts_sessions = True
        node.extend(not_leader(leader.address), api.SessionResult(8), api.PutResult(18, True))
        leader.extend(api.SessionResult(7), api.PutResult(17, True))
        assert run(program, node.address) == ["18", "17"]
        assert numbers(node, leader) == [(8, 1), (7, 1)]


@pytest.mark.parametrize("exactly_once", [True, False])
def test_a_request_in_the_middle_of_which_a_process_forks_is_its_parent_s(
    exactly_once: bool,
) -> None:
    program = f"""
        pid = None

        def redirected(asked, leader):
            global pid
            pid = os.fork()

        client = Client(sys.argv[1], on_redirect=redirected, exactly_once={exactly_once})
        try:
            say("put", client.put("k", "1").revision)
        except kvstore.RefusedError as error:
            say(error)
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
        else:
            say("child", client.put("k", "2").revision)
        """
    with ScriptedNode(OK) as leader, ScriptedNode(not_leader(leader.address)) as node:
        if exactly_once:
            node.scripts_sessions = True
            node.extend(api.SessionResult(3))
        node.extend(api.PutResult(2, True))
        lines = sorted(run(program, node.address))
        assert lines[0] == "child 2"
        assert lines[1] == "put 1"
        assert "forked in the middle of a request" in lines[2]


def test_a_process_that_multiprocessing_forks_has_its_own() -> None:
    program = """
        import multiprocessing

        def put(client, value):
            client.put("k", value)

        client = Client(sys.argv[1])
        client.put("k", "1")
        process = multiprocessing.get_context("fork").Process(target=put, args=(client, "2"))
        process.start()
        process.join()
        assert process.exitcode == 0
        client.put("k", "3")
        """
    with ScriptedNode(*[OK] * 3) as node:
        run(program, node.address)
        assert numbers(node) == [(1, 1), (3, 1), (1, 2)]


def test_records_and_errors_come_back_whole_from_the_processes_of_a_pool() -> None:
    program = """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        def put(client, guard):
            return client.put("k", "v", guard=guard)

        client = Client(sys.argv[1])
        with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as pool:
            say(pool.submit(put, client, None).result().revision)
            say(pool.submit(client.get, "foo").result().mod_revision)
            try:
                pool.submit(put, client, ("lock", 17)).result()
            except kvstore.GuardFailedError as error:
                say(error.code, error.key.decode(), error.mod_revision)
        """
    with ScriptedNode(OK, FOUND, api.GuardFailed(20, 19)) as node:
        assert run(program, node.address) == ["1", "2", "GUARD lock 19"]
        assert numbers(node) == [(1, 1), (4, 1)]


def test_a_scan_half_way_goes_on_in_parent_and_child_each_over_its_own_connection() -> None:
    def page(*keys: bytes, next_start: bytes | None = None) -> api.ScanResult:
        return api.ScanResult(1, tuple(api.KeyValue(k, b"", 1, 1, 1) for k in keys), next_start)

    program = """
        scan = Client(sys.argv[1]).scan()
        say(next(scan).key.decode())
        fork(lambda: say(*(record.key.decode() for record in scan)))
        say(*(record.key.decode() for record in scan))
        """
    pages = [page(b"a", b"b", next_start=b"c"), page(b"c"), page(b"c", b"d")]
    with ScriptedNode(*pages) as node:
        assert run(program, node.address) == ["a", "b c", "b c d"]
        assert node.connections == 2


def test_a_child_is_served_although_its_parent_waits_for_a_name() -> None:
    """The thread that looks it up is the parent's, and does not exist in the child."""
    program = """
        import socket
        real, asked, parent = socket.getaddrinfo, threading.Event(), os.getpid()

        def look_up(host, port, **options):
            if options.get("flags"):
                return real(host, port, **options)
            asked.set()
            if os.getpid() == parent:
                go_on.wait()
            return real(*sys.argv[1].split(":"), type=socket.SOCK_STREAM)

        socket.getaddrinfo, go_on = look_up, threading.Event()
        client = Client("some.name", timeout_ms=20_000)
        thread = threading.Thread(target=lambda: say("parent", client.put("k", "2").revision))
        thread.start()
        asked.wait()
        fork(lambda: say("child", client.put("k", "1").revision))
        go_on.set()
        thread.join()
        """
    with ScriptedNode(api.PutResult(1, True), api.PutResult(2, True)) as node:
        assert run(program, node.address) == ["child 1", "parent 2"]
        assert numbers(node) == [(1, 1), (3, 1)]


@pytest.mark.parametrize("exactly_once", [True, False])
def test_a_child_of_a_handler_in_a_look_up_is_told_that_the_request_is_its_parent_s(
    exactly_once: bool,
) -> None:
    program = f"""
        import signal, socket, time
        real, asked, go_on = socket.getaddrinfo, threading.Event(), threading.Event()
        pid = None

        def look_up(host, port, **options):
            if options.get("flags"):
                return real(host, port, **options)
            go_on.wait()
            return real(*sys.argv[1].split(":"), type=socket.SOCK_STREAM)

        def handle(_number, _frame):
            global pid
            pid = os.fork()
            go_on.set()

        socket.getaddrinfo = look_up
        signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        began = time.monotonic()
        client = Client("some.name", timeout_ms=6_000, exactly_once={exactly_once})
        try:
            say("put", client.put("k", "1").revision)
        except kvstore.RefusedError as error:
            say(error.code, "soon" if time.monotonic() - began < 5 else "late")
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
        """
    with ScriptedNode(OK) as node:
        assert sorted(run(program, node.address)) == ["FORKED soon", "put 1"]


def test_an_unknown_outcome_stays_one_in_the_child_that_was_forked_meanwhile(
    tmp_path: Path,
) -> None:
    """A signal handler forks while the answer is awaited, and lets its child end first."""
    program = """
        import signal

        def handle(_number, _frame):
            pid = os.fork()
            if pid:
                assert os.waitpid(pid, 0)[1] == 0
                open(sys.argv[2], "x").close()

        signal.signal(signal.SIGALRM, handle)
        client = Client(sys.argv[1])
        try:
            say("put", client.put("k", str(os.getpid())).revision)
        except kvstore.OutcomeUnknownError as error:
            say(error)
        """

    child_ended = tmp_path / "ended"

    def has_it_fork() -> api.Result:
        put = node.requests[-1]
        assert isinstance(put, api.Put)
        os.kill(int(put.value), signal.SIGALRM)
        with contextlib.suppress(AssertionError):  # A child that goes on waits for the answer.
            eventually(child_ended.exists, "the child has ended", deadline_s=3.0)
        return OK

    script: list[Step] = [has_it_fork]
    with ScriptedNode(*script) as node:
        lines = sorted(run(program, node.address, str(child_ended)))
        assert lines[0] == "put 1"
        assert "forked in the middle of a request" in lines[1]
        assert numbers(node) == [(1, 1)]
