"""Clients that ask for everything, one attempt each, and write down what they were told.

Law: a request is sent to one node, once. What was never sent is not in the history; what
was sent and not answered is there with an unknown outcome. A value is written once, and
a set of keys is used for a while only: the judge's work grows with the unknown
operations on a key.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile

from process.cluster import DEADLINE_S, Cluster
from process.history import History, Outcome
from process.workload import Workload

from kvstore import Client, api
from kvstore.address import Address
from kvstore.client.attempt import NotSent, Unanswered
from kvstore.client.link import Link
from kvstore.lookup import Lookup
from kvstore.sim.history import Operation
from kvstore.wire import typed

CLIENTS = 5
READERS = 2
"""Clients that only read: nothing keeps them from a leader that was replaced and answers."""
TIMEOUT_S = 1.5
PAUSE_AFTER_FAILURE_S = 0.03
PAUSE_BETWEEN_S = 0.004
OPERATIONS_ON_KEYS = 2_000
COLOURS = 3
BULK = 2_000
BULK_VALUE_BYTES = 1_000
PUSHER = 900
"""The client that makes logs grow."""
PUSHED_KEYS = 4
PUSHED_VALUE_BYTES = 8 << 10


class Calls(History):
    """Operations and samples, in the order of their completion, from any number of threads."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.unsent = 0
        """Requests that no node ever had."""
        self.keys: set[bytes] = set()

    def record(self, operation: Operation | None) -> None:
        with self._lock:
            if operation is None:
                self.unsent += 1
            else:
                self.operations.append(operation)

    @property
    def attempts(self) -> int:
        return len(self.operations) + self.unsent

    def count(self, outcome: Outcome, since: float = 0.0) -> int:
        """How many commands that were invoked after `since` ended so."""
        since_ms = since * 1_000
        later = takewhile(lambda one: one.returned_ms >= since_ms, reversed(self.operations))
        commands = (one for one in later if isinstance(one.request, api.COMMANDS))
        return sum(one.invoked_ms >= since_ms and outcome_of(one) is outcome for one in commands)

    @property
    def summary(self) -> str:
        found = Counter(map(outcome_of, list(self.operations)))
        counts = ", ".join(f"{found[outcome]} {outcome.value}" for outcome in Outcome)
        return f"{found.total()} operations: {counts}; {self.unsent} unsent"


def outcome_of(operation: Operation) -> Outcome:
    if operation.is_unknown:
        return Outcome.UNKNOWN
    return Outcome.REFUSED if operation.is_refused else Outcome.OK


def _message(operation: Operation | None) -> str:
    """What the node said that failed a request, if it said anything."""
    if operation is not None and isinstance(operation.result, api.Failure):
        return operation.result.message
    return ""


class Chatter(Workload):
    """Clients on few keys, until it stops; `history` says what became of their requests."""

    history: Calls

    def __init__(self, cluster: Cluster, seed: int, clients: int = CLIENTS) -> None:
        super().__init__(cluster, seed, clients)
        self.history = Calls()
        self.bulk: dict[bytes, bytes] = {}
        self._seen: dict[bytes, bytes] = {}
        self._pushes = 0

    def write_bulk(self) -> None:
        """Write `bulk`, which nobody changes; once, before the clients do anything to it."""
        self.bulk = {b"bulk.%d" % n: b"%d." % n + bytes(BULK_VALUE_BYTES) for n in range(BULK)}
        pairs = list(self.bulk.items())
        nodes = [f"{node.host}:{node.port}" for node in self._cluster.nodes.values()]
        with Client(nodes, timeout_ms=60_000) as client:
            for first in range(0, BULK, 100):
                client.put_many(pairs[first : first + 100])

    @contextlib.contextmanager
    def pushing(self) -> Iterator[None]:
        """Have large values written in this block, so that logs grow, and are dropped, fast."""
        self._pushes += 1
        stopped = threading.Event()
        pusher = threading.Thread(target=self._guard, args=(self._push, self._pushes, stopped))
        pusher.start()
        try:
            yield
        finally:
            stopped.set()
            pusher.join(DEADLINE_S)

    def _push(self, push: int, stopped: threading.Event) -> None:
        rng = random.Random(push)
        node_id = rng.choice(list(self._cluster.nodes))
        with contextlib.closing(Caller(self._cluster, PUSHER)) as caller:
            for number in itertools.takewhile(lambda _: not stopped.is_set(), itertools.count()):
                key = b"push.%d.%d" % (push, number % PUSHED_KEYS)
                value = b"%d." % number + bytes(PUSHED_VALUE_BYTES)
                self.history.keys.add(key)
                operation = caller.ask(node_id, api.Put(key, value))
                self.history.record(operation)
                if operation is None or outcome_of(operation) is not Outcome.OK:
                    node_id = self._next_node(_message(operation), rng)
                    stopped.wait(PAUSE_AFTER_FAILURE_S)

    @property
    def failed(self) -> bool:
        """Whether a client or the observer met what must not be; `running` will raise it."""
        return bool(self._errors)

    def _work(self, rng: random.Random, client_id: int) -> None:
        caller = Caller(self._cluster, client_id)
        requests = self._requests(rng, client_id)
        if client_id < READERS:
            requests = filter(lambda one: isinstance(one, api.Get), requests)
        node_id = rng.choice(list(self._cluster.nodes))
        try:
            while not self._stopped.is_set():
                operation = caller.ask(node_id, next(requests))
                self.history.record(operation)
                self._remember(operation)
                if operation is None or outcome_of(operation) is not Outcome.OK:
                    node_id = self._next_node(_message(operation), rng)
                    self._stopped.wait(PAUSE_AFTER_FAILURE_S)
                self._stopped.wait(PAUSE_BETWEEN_S)
        finally:
            caller.close()

    def _requests(self, rng: random.Random, client_id: int) -> Iterator[api.Request]:
        """Every kind of request of one key and of two, for ever."""
        number = 0
        while True:
            number += 1
            era = len(self.history.operations) // OPERATIONS_ON_KEYS
            chosen = rng.randrange(COLOURS)
            colour, other = (b"colour.%d.%d" % (era, one % COLOURS) for one in (chosen, chosen + 1))
            counter = b"counter.%d" % era
            self.history.keys.update({colour, other, counter})
            value = b"%d.%d" % (client_id, number)
            guess = self._seen.get(colour, value)
            yield rng.choices(
                [
                    api.Get((colour,)),
                    api.Get((counter,)),
                    api.Put(colour, value),
                    api.Put(colour, value, api.When.ABSENT),
                    api.Put(colour, value, api.When.PRESENT),
                    api.Put(colour, value, api.When.EQUAL, guess),
                    api.Increment(counter, rng.randrange(1, 4)),
                    api.Delete((rng.choice([colour, colour, counter]),)),
                    api.PutMany(((colour, value), (other, b"%s.other" % value))),
                    api.Get((other, colour)),
                    api.Delete((colour, other)),
                ],
                weights=[4, 1, 5, 2, 2, 3, 3, 2, 2, 2, 1],
            )[0]

    def _remember(self, operation: Operation | None) -> None:
        """Values that were there lately: a condition on another one would seldom hold."""
        match operation:
            case Operation(
                request=api.Put(key=key, value=value), result=api.PutResult(written=True)
            ):
                self._seen[key] = value
            case Operation(result=api.GetResult(items=(api.KeyValue(key=key, value=value),))):
                self._seen[key] = value


class Caller:
    """One client: a connection to each node that it has asked, one request at a time."""

    def __init__(self, cluster: Cluster, client_id: int) -> None:
        self._cluster = cluster
        self._client_id = client_id
        self._links: dict[int, Link] = {}

    def ask(self, node_id: int, request: api.Request) -> Operation | None:
        """One attempt; None if the node never had the request."""
        invoked = time.monotonic()
        until = invoked + TIMEOUT_S
        result: api.Result | None = None
        try:
            link = self._link(node_id, until)
            reply = link.ask(typed.encode_call(api.Call(request)), until, until)
            assert isinstance(reply, bytes), f"node {node_id} answers {request} with {reply!r}"
            result = typed.decode_reply(reply).result
        except NotSent:
            self._drop(node_id)
            return None
        except Unanswered:
            self._drop(node_id)
        returned = time.monotonic()
        return Operation(self._client_id, invoked * 1_000, returned * 1_000, request, result)

    def close(self) -> None:
        for node_id in list(self._links):
            self._drop(node_id)

    def _link(self, node_id: int, until: float) -> Link:
        link = self._links.get(node_id)
        if link is None or not link.is_idle():
            self._drop(node_id)
            node = self._cluster.nodes[node_id]
            link = self._links[node_id] = Link(Lookup(Address(node.host, node.port)), until)
        return link

    def _drop(self, node_id: int) -> None:
        link = self._links.pop(node_id, None)
        if link is not None:
            link.close()
