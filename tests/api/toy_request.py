"""What must know a request that was just added. Run in a copy of the source that has `Append`.

Law: nothing here adds anything to what the copy has.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from kvstore import api
from kvstore.api.data import Append, AppendResult  # type: ignore[attr-defined]
from kvstore.cli import reports
from kvstore.client import arguments
from kvstore.config.limits import Limits
from kvstore.kv.machine import StateMachine
from kvstore.kv.view import Applied
from kvstore.raft.types import Entry, EntryKind
from kvstore.sim.clients import Client
from kvstore.sim.run import run
from kvstore.sim.scenario import scenario
from kvstore.sim.world import World
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState
from kvstore.wire import typed

APPEND = Append(b"log", b"more")
LONG = Append(b"k" * 481, b"more")


def the_typed_door_reads_it_and_holds_it_to_its_bounds() -> None:
    def decoded(request: Any) -> api.Call | api.Failure:
        return typed.decode_call(msgspec.msgpack.encode(api.Call(request)), Limits())

    assert decoded(APPEND) == api.Call(APPEND)
    assert decoded(api.Once(1, 2, APPEND)) == api.Call(api.Once(1, 2, APPEND))
    for refused in (
        LONG,
        api.Once(1, 2, LONG),
        Append(b"log", b"more", guard=api.Guard(b"k" * 481, 1)),
    ):
        assert isinstance(decoded(refused), api.Failure)


def a_reply_carries_its_answer() -> None:
    reply = api.Reply("c", 1, 1, 1, AppendResult(7, 4))
    payload = typed.encode_reply(reply).partition(b"\r\n")[2].removesuffix(b"\r\n")
    assert typed.decode_reply(payload) == reply
    assert api.answers_to(APPEND) == (api.GuardFailed, AppendResult)


def no_log_gets_it_before_its_version() -> None:
    assert (api.since_of(APPEND), api.since_of(api.Once(1, 2, APPEND))) == (3, 3)


def the_client_takes_it_from_its_user() -> None:
    assert arguments.checked(arguments.as_request(APPEND)) == APPEND


def the_state_machine_says_beforehand_what_it_changes() -> None:
    state = MemoryState(Identity(1, "toy", 1, ""))
    machine = StateMachine(state, Applied(), 1 << 20, api.SessionRules())
    data = msgspec.msgpack.encode(APPEND)
    assert machine.footprint(data).of("keys").puts == 1
    assert machine.apply(1, data).result == AppendResult(2, 4)
    assert machine.apply(2, data).result == AppendResult(3, 8)


def the_inspection_reads_it() -> None:
    entry = Entry(1, 1, EntryKind.COMMAND, msgspec.msgpack.encode(APPEND))
    assert reports._what(entry) == 'append key "log" value "more"'
    guarded = msgspec.structs.replace(APPEND, guard=api.Guard(b"log", 3))
    entry = Entry(1, 1, EntryKind.COMMAND, msgspec.msgpack.encode(guarded))
    assert reports._what(entry).endswith(' if "log" has revision 3')


def simulated_clients_are_answered_and_all_checkers_judge_it() -> None:
    """Proposed, applied on all nodes, replayed, and told to the client that ships."""
    draw, told = Client._random_request, Counter[str]()

    def drawn(client: Client) -> api.Request:
        if client._rng.random() < 0.3:
            return Append(b"log.%d" % client._rng.randint(1, 2), b"%d." % client.id)
        return draw(client)

    judge = World.__init__

    def seen(world: World, *arguments: Any, **named: Any) -> None:
        judge(world, *arguments, **named)
        worlds.append(world)

    worlds: list[World] = []
    Client._random_request, World.__init__ = drawn, seen  # type: ignore[method-assign]
    for seed in range(12):
        report = run(scenario(seed), traced=True)
        assert report.violation is None, (seed, report.violation)
        asked = [one for world in worlds for one in world.history]
        worlds.clear()
        for one in asked:
            if isinstance(one.request, Append):
                told[type(one.result).__name__] += 1
                told["is refused"] += "needs version 3 of the protocol" in str(one.result)
    assert told["AppendResult"] > 20, told
    assert told["is refused"], "until a cluster has that version"


if __name__ == "__main__":
    the_typed_door_reads_it_and_holds_it_to_its_bounds()
    a_reply_carries_its_answer()
    no_log_gets_it_before_its_version()
    the_client_takes_it_from_its_user()
    the_state_machine_says_beforehand_what_it_changes()
    the_inspection_reads_it()
    simulated_clients_are_answered_and_all_checkers_judge_it()
