"""What a request is taken to cost before it is carried out is never less than what it costs."""

from __future__ import annotations

import random

import msgspec
import pytest

from kvstore import api
from kvstore.config.limits import Limits
from kvstore.kv.machine import StateMachine
from kvstore.kv.view import Applied
from kvstore.storage.base import Identity
from kvstore.storage.memory import MemoryState
from kvstore.wire import commands, typed

SLOW = b"*" + b"[^x]" * 120 + b"y"


class Store:
    """A key space with values of all lengths that its limits allow."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        longest = self.rng.choice((1, 3_000, 1 << 20, 4 << 20))
        limits = Limits.for_values(longest)
        if self.rng.random() < 0.5:
            limits = msgspec.structs.replace(limits, reply_bytes_max=3 * longest)
        self.limits = limits
        self.keys = [b"%d" % n * self.rng.choice((1, 400)) for n in range(6)]
        self.values = [bytes(size) for size in (0, longest // 2, longest)]
        identity = Identity(1, "test", 1, "0" * 32)
        self.machine = StateMachine(
            MemoryState(identity), Applied(), limits.reply_bytes_max, api.SessionRules()
        )
        for key in self.keys:
            self.apply(api.Put(key, self.rng.choice(self.values)))

    def apply(self, write: api.Command) -> api.Result:
        data = msgspec.msgpack.encode(write)
        return self.machine.apply(self.machine.last_applied + 1, data).result

    def query(self) -> api.Query:
        rng = self.rng
        keys = rng.choices(self.keys, k=rng.choice((1, 2, 20, api.KEYS_MAX)))
        return rng.choice(
            (
                api.Get(tuple(keys)),
                api.Get(tuple(keys), with_values=False),
                api.Scan(limit=rng.choice((1, 9_000)), with_values=rng.random() < 0.5),
                api.Scan(limit=9_000, pattern=rng.choice((SLOW, b"*", b"1*"))),
                api.Count(),
            )
        )

    def write(self) -> api.Write:
        rng = self.rng
        key, value = rng.choice(self.keys), rng.choice(self.values)
        return rng.choice(
            (
                api.Put(key, value, return_previous=True),
                api.Put(key, value, api.When.ABSENT, return_previous=True),
                api.Put(key, value, api.When.PRESENT),
                api.Put(key, value, guard=api.Guard(key, rng.randrange(9))),
                api.PutMany(tuple((key, b"%d" % rng.randrange(9)) for key in self.keys)),
                api.Delete(tuple(self.keys[:3])),
                api.Increment(key, api.INTEGER_MAX),
                api.DeleteRange(key, b"\0", rng.choice((0, 1, 2)), return_previous=True),
                self.txn(key, value),
            )
        )

    def txn(self, key: bytes, value: bytes) -> api.Txn:
        keys = tuple(self.rng.choices(self.keys, k=self.rng.randint(1, 3)))
        put = api.Put(key, value[:100_000], return_previous=True)
        inner = api.Txn((), (api.Get(keys, with_values=self.rng.random() < 0.8), put))
        return api.Txn((api.Compare(key, api.CompareTarget.MOD),), (), (api.Get(keys), inner))


@pytest.mark.parametrize("seed", range(12))
def test_no_query_costs_more_work_than_was_set_aside_for_it(seed: int) -> None:
    store = Store(seed)
    for _ in range(20):
        query = store.query()
        assert api.complaint_about(query, store.limits) is None
        before = store.machine.steps
        store.machine.query(query)
        steps = store.machine.steps - before
        assert steps <= api.QUERY_ROW_OF[type(query)].steps_max(query, store.limits), type(query)


@pytest.mark.parametrize("seed", range(12))
def test_no_write_is_answered_by_more_bytes_than_its_place_has(seed: int) -> None:
    """In both protocols, as a typed reply and as one of Redis."""
    store = Store(seed)
    for _ in range(20):
        write = store.write()
        if api.complaint_about(write, store.limits) is not None:
            continue
        place = api.ROW_OF[type(write)].place_bytes(write, store.limits)
        assert place == api.ROW_OF[api.Once].place_bytes(api.Once(1, 1, write), store.limits)
        result = store.apply(write)
        replies = [typed.encode_reply(api.Reply("c" * 64, 1 << 15, 1 << 62, 1 << 62, result))]
        if isinstance(result, api.Failure):
            replies.append(commands.render_failure(result))
        elif isinstance(write, api.Put) and isinstance(result, api.PutResult):
            render = commands.render_for(commands.COMMANDS[b"SET"], write)
            replies += [render(result, 2), render(result, 3)]
        assert max(map(len, replies)) <= place, type(write)
