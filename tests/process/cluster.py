"""A cluster of real server processes that a test may kill, pause, cut off and restart.

Law: only processes that were started here are ended here, by their ids, and each
is woken first so that none stays behind stopped. Waits poll a condition.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.retry import Retry

from kvstore.storage.compare import compare
from kvstore.storage.inspect import Report, inspect_directories

from .proxy import Link, Mode, Proxy, Reservation
from .resp import ask, ask_for_text, dial

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
POLL_S = 0.02
QUICK_REPLY_S = 2.0
CLUSTER_NAME = "process-tests"

# A server must not outlive the test run, not even one that is killed outright: Linux
# ends it together with the thread that started it (1 = PR_SET_PDEATHSIG).
_BOOT = """
import ctypes, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
from kvstore.start import main
sys.exit(main())
"""


def eventually(
    condition: Callable[[], object],
    what: str,
    *,
    deadline_s: float = DEADLINE_S,
    ignoring: tuple[type[Exception], ...] = (),
) -> None:
    """Poll until the condition holds; fail saying what was awaited."""
    end = time.monotonic() + deadline_s
    last: Exception | None = None
    while time.monotonic() < end:
        try:
            if condition():
                return
        except ignoring as error:
            last = error
        time.sleep(POLL_S)
    raise AssertionError(f"not within {deadline_s:g} s: {what}" + (f" ({last})" if last else ""))


def connect(port: int, **options: object) -> redis.Redis:
    """A redis-py client that never repeats a request on its own.

    It does not say that it is a library, so refusals come to it in words, as to people.
    """
    settings: dict[str, object] = {
        "host": "127.0.0.1",
        "driver_info": DriverInfo(name="", lib_version=""),
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": 10.0,
    }
    return redis.Redis(port=port, **{**settings, **options})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Status:
    """What a node says of itself in INFO."""

    role: str
    term: int
    leader_id: int | None
    voted_for: int | None
    commit_index: int
    last_applied: int


def status_from_info(text: str) -> Status:
    """Read the raft_* lines of INFO; ids that are not known are not numbers there."""
    fields = dict(re.findall(r"(?m)^raft_(\w+):(.*?)\r?$", text))

    def node_id(name: str) -> int | None:
        return int(fields[name]) if fields[name].isdecimal() and fields[name] != "0" else None

    return Status(
        role=fields["role"],
        term=int(fields["term"]),
        leader_id=node_id("leader_id"),
        voted_for=node_id("voted_for"),
        commit_index=int(fields["commit_index"]),
        last_applied=int(fields["last_applied"]),
    )


class Node:
    """One server: its address, its directory, and its process while it has one."""

    def __init__(self, node_id: int, directory: Path) -> None:
        self.id = node_id
        self.host = "127.0.0.1"
        self.data_dir = directory / f"n{node_id}"
        self.log_path = directory / f"n{node_id}.log"
        self.reservation = Reservation()
        self.port = self.reservation.port
        self.process: subprocess.Popen[bytes] | None = None
        self.root = ROOT
        """Where the release is that it runs."""
        self.starts = 0
        self.directories = 1
        """How many it has had, the present one included."""

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        """Everything that it has written to stderr and stdout, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def spawn(self, command: Sequence[str], environ: Mapping[str, str]) -> None:
        assert not self.is_running, f"node {self.id} runs already"
        path = environ["PYTHONPATH"].replace(str(ROOT), str(self.root))
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.root,
                env={**environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1

    def lose_directory(self) -> None:
        """Have nothing any more; it does not run."""
        assert not self.is_running
        shutil.rmtree(self.data_dir)
        self.directories += 1

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: signal.Signals) -> int:
        """Wake it, send it the signal, and wait for its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


class Cluster:
    """`size` nodes on this machine; with `links`, a proxy stands on each way between two.

    * `is_audited`: its directories must be sound at the end; a test that damages one says no.
    """

    def __init__(
        self,
        directory: Path,
        size: int = 3,
        *,
        links: bool = False,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._directory = directory
        self.nodes = {node_id: Node(node_id, directory) for node_id in range(1, size + 1)}
        self._left: list[Node] = []
        """Those whose place another machine took."""
        self.environ = dict(environ or {})
        self.paused: set[int] = set()
        self.is_audited = True
        self._proxy = Proxy() if links else None
        self._links: dict[tuple[int, int], Link] = {}
        if self._proxy is not None:
            for one, two in permutations(self.nodes, 2):
                self._links[one, two] = self._proxy.link(self.nodes[two].port)

    # --- Processes ------------------------------------------------------------------------

    def command(self, node_id: int, **changes: object) -> list[str]:
        """The command line of a node; `changes` replace single options, or leave them out."""
        peers = [
            f"{peer}={node.host}:{self._links[node_id, peer].port if self._links else node.port}"
            for peer, node in self.nodes.items()
            if peer != node_id
        ]
        options = {
            "id": node_id,
            "host": self.nodes[node_id].host,
            "port": self.nodes[node_id].port,
            "peers": ",".join(peers) or "none",
            "cluster": CLUSTER_NAME,
            "data": self.nodes[node_id].data_dir,
            **changes,
        }
        words = [f"--{name}={value}" for name, value in options.items() if value is not None]
        return [sys.executable, "-c", _BOOT, "serve", *words]

    @staticmethod
    def clean_environ() -> dict[str, str]:
        """This process's environment, without settings that are meant for somebody else."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("KVSTORE_")
        }
        return {**inherited, "PYTHONPATH": str(ROOT)}

    def process_environ(self) -> dict[str, str]:
        return {**self.clean_environ(), **self.environ}

    def spawn(self, *node_ids: int) -> None:
        """Start processes without waiting for them."""
        for node_id in node_ids:
            self.nodes[node_id].spawn(self.command(node_id), self.process_environ())

    def start(self, *node_ids: int) -> None:
        """Start nodes (all, if none is named) and wait until they answer PING."""
        wanted = node_ids or tuple(self.nodes)
        self.spawn(*wanted)
        for node_id in wanted:
            self.wait_until_answers(node_id)

    restart = start

    def add(self, node_id: int) -> Node:
        """Another machine, on which nothing runs yet; where a node was before, nobody comes."""
        if node_id in self.nodes:
            self._left.append(self.nodes[node_id])
        node = self.nodes[node_id] = Node(node_id, self._directory)
        return node

    def join(self, node_id: int, *through: int) -> None:
        """Start a node without a directory, to join the cluster of these nodes (of all others).

        It is not waited for: it begins once it is a member.
        """
        others = through or tuple(one for one in self.nodes if one != node_id)
        nodes = ",".join(self.address(one) for one in others)
        command = self.command(node_id, peers=None, join=nodes)
        self.nodes[node_id].spawn(command, self.process_environ())

    def address(self, node_id: int) -> str:
        """Where a node is."""
        node = self.nodes[node_id]
        return f"{node.host}:{node.port}"

    def wait_until_answers(self, node_id: int) -> None:
        node = self.nodes[node_id]

        def answers() -> bool:
            assert node.is_running, f"node {node_id} ended at once:\n{node.log[-2_000:]}"
            with dial(node.port, QUICK_REPLY_S, node.host) as connection:
                return ask(connection, b"PING") == "+PONG"

        eventually(answers, f"node {node_id} answers PING", ignoring=(OSError,))

    def run_to_end(self, node_id: int, **changes: object) -> subprocess.CompletedProcess[str]:
        """Run a server that is expected to refuse to start."""
        return subprocess.run(
            self.command(node_id, **changes),
            cwd=ROOT,
            env=self.process_environ(),
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    def kill(self, *node_ids: int) -> None:
        """SIGKILL, all of them before the first is waited for."""
        for node_id in node_ids:
            self.nodes[node_id].send(signal.SIGKILL)
        for node_id in node_ids:
            self.nodes[node_id].end(signal.SIGKILL)
            self.paused.discard(node_id)

    def terminate(self, node_id: int) -> int:
        """SIGTERM; returns the exit code."""
        self.paused.discard(node_id)
        return self.nodes[node_id].end(signal.SIGTERM)

    def pause(self, node_id: int) -> None:
        """SIGSTOP, and wait until it has really stopped."""
        self.nodes[node_id].send(signal.SIGSTOP)
        self.wait_until_stopped(node_id)

    def wait_until_stopped(self, node_id: int) -> None:
        """Wait for the SIGSTOP of somebody, of the node itself for instance."""
        node = self.nodes[node_id]
        self.paused.add(node_id)
        assert node.process is not None
        stat = Path(f"/proc/{node.process.pid}/stat")
        eventually(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", "it stopped")

    def resume(self, node_id: int) -> None:
        self.nodes[node_id].send(signal.SIGCONT)
        self.paused.discard(node_id)

    def close(self) -> None:
        """End every process that still runs, and the proxy; then give up the ports.

        Who is alive dials them: a cluster that another test is starting must not be at one.
        """
        for node in self.nodes.values():
            if node.is_running:
                node.end(signal.SIGKILL)
        if self._proxy is not None:
            self._proxy.close()
        for node in (*self.nodes.values(), *self._left):
            node.reservation.release()

    # --- What nodes say -------------------------------------------------------------------

    def client(self, node_id: int, **options: object) -> redis.Redis:
        node = self.nodes[node_id]
        return connect(node.port, host=node.host, **options)

    def status(self, node_id: int) -> Status:
        """Raises OSError. Asked for often, so without the cost of a client library."""
        node = self.nodes[node_id]
        with dial(node.port, QUICK_REPLY_S, node.host) as connection:
            return status_from_info(ask_for_text(connection, b"INFO"))

    @property
    def awake(self) -> tuple[int, ...]:
        return tuple(
            node_id
            for node_id, node in self.nodes.items()
            if node.is_running and node_id not in self.paused
        )

    def leader_of(self, among: Iterable[int]) -> int | None:
        """The one that all of these follow in one and the same term, if they are of one mind."""
        statuses = {node_id: self.status(node_id) for node_id in among}
        views = {(status.term, status.leader_id) for status in statuses.values()}
        if len(views) != 1:
            return None
        leader = views.pop()[1]
        return leader if leader in statuses and statuses[leader].role == "leader" else None

    def wait_for_leader(self, among: Iterable[int] = ()) -> int:
        """Wait until the named nodes (all that are awake) agree on a leader; its id."""
        wanted = tuple(among) or self.awake
        found: list[int] = []

        def agreed() -> bool:
            leader = self.leader_of(wanted)
            found.extend([leader] if leader else [])
            return bool(found)

        eventually(agreed, f"nodes {wanted} agree on a leader", ignoring=(OSError,))
        return found[0]

    def wait_for_role(self, node_id: int, role: str) -> Status:
        found: list[Status] = []

        def has_role() -> bool:
            found.append(self.status(node_id))
            return found[-1].role == role

        eventually(has_role, f"node {node_id} is {role}", ignoring=(OSError,))
        return found[-1]

    def wait_until_level(self) -> None:
        """Wait until all nodes that are awake have applied what the furthest has committed."""

        def level() -> bool:
            statuses = [self.status(node_id) for node_id in self.awake]
            top = max(status.commit_index for status in statuses)
            return all(status.last_applied == top for status in statuses)

        eventually(level, "all nodes have applied everything", ignoring=(OSError,))

    def wait_for_log(self, node_id: int, text: str, *, after: int = 0) -> int:
        """Wait for a line that holds `text` beyond position `after`; where the text ends."""
        node = self.nodes[node_id]
        eventually(lambda: text in node.log[after:], f"node {node_id} logs {text!r}")
        return node.log.index(text, after) + len(text)

    def reports(self) -> dict[int, Report]:
        """What the directories hold, whether or not their nodes are running."""
        existing = [node for node in self.nodes.values() if node.data_dir.exists()]
        reports = inspect_directories([node.data_dir for node in existing])
        return {node.id: report for node, report in zip(existing, reports, strict=True)}

    def audit(self) -> list[str]:
        """What is wrong in the directories, each by itself and all against each other."""
        reports = list(self.reports().values())
        findings = [finding for report in reports for finding in report.findings]
        return findings + list(compare(reports).findings if reports else ())

    # --- Network --------------------------------------------------------------------------

    def cut(self, sender: int, recipient: int, mode: Mode = Mode.DROP) -> None:
        """Lose what one node sends to another; the way back stays whole."""
        assert self._proxy is not None, "the cluster has no links to cut"
        self._proxy.set_mode(self._links[sender, recipient], mode)

    def partition(self, *groups: Iterable[int], mode: Mode = Mode.DROP) -> None:
        """Cut both ways between nodes of different groups."""
        side = {node_id: number for number, group in enumerate(groups) for node_id in group}
        for one, two in permutations(self.nodes, 2):
            if side[one] != side[two]:
                self.cut(one, two, mode)

    def heal(self) -> None:
        """Make every link whole; connections that lost bytes are reset."""
        for one, two in permutations(self.nodes, 2):
            self.cut(one, two, Mode.FORWARD)


@contextlib.contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, started; closed in the end, whatever happened."""
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()
