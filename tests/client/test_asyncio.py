"""What the client decides, carried out by asyncio: nothing of it waits, and nothing must change."""

from __future__ import annotations

import asyncio
import random
import time

import hiredis
import pytest
from scripted_node import OK, Misbehave, ScriptedNode, not_leader

from kvstore import OutcomeUnknownError, api
from kvstore.address import Address, parse_address
from kvstore.client.attempt import Attempt, HangUp, NotSent, Rest, Setback, Step, Unanswered, Way
from kvstore.client.caller import Caller, Source
from kvstore.wire import typed

from .numbers import numbers

PUT = api.Put(b"k", b"1")
TIMEOUT_MS = 5_000


class Connections:
    """One connection to each node, and the reader of its replies."""

    def __init__(self) -> None:
        self._open: dict[Address, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def carry_out(self, way: Way) -> object:
        try:
            step = next(way)
            while True:
                try:
                    answer = await self._do(step)
                except Setback as setback:
                    step = way.throw(setback)
                else:
                    step = way.send(answer)
        except StopIteration as end:
            return end.value

    async def _do(self, step: Step) -> object:
        match step:
            case Attempt(node=node):
                try:
                    return await self._ask(step)
                except Setback:
                    self._drop(node)
                    raise
            case HangUp(node=node):
                self._drop(node)
            case Rest(shortest_s=shortest_s, longest_s=longest_s):
                await asyncio.sleep(random.uniform(shortest_s, longest_s))
        return None

    async def _ask(self, attempt: Attempt) -> object:
        node = attempt.node
        try:
            if node not in self._open:
                self._open[node] = await asyncio.open_connection(node.host, node.port)
        except OSError as error:
            raise NotSent(str(error)) from None
        stream, out = self._open[node]
        out.write(typed.encode_call(attempt.call))
        replies = hiredis.Reader(notEnoughData=None)
        try:
            async with asyncio.timeout(attempt.reply_until - time.monotonic()):
                while (reply := replies.gets()) is None:
                    received = await stream.read(1 << 16)
                    if not received:
                        raise Unanswered("the connection was closed before the reply")
                    replies.feed(received)
        except TimeoutError:
            raise Unanswered("no reply came in time", is_silence=True) from None
        return reply

    def _drop(self, node: Address) -> None:
        if (link := self._open.pop(node, None)) is not None:
            link[1].close()

    def close(self) -> None:
        for node in [*self._open]:
            self._drop(node)


async def ask(nodes: list[str], *requests: api.Request, exactly_once: bool = True) -> list[object]:
    """What one client is told, request after request."""
    addresses = [parse_address(node) for node in nodes]
    caller = Caller(addresses, True, None, exactly_once, time.monotonic)
    connections = Connections()
    try:
        return [
            await connections.carry_out(
                caller.ask(
                    request, Source.LEADER, TIMEOUT_MS, time.monotonic() + TIMEOUT_MS / 1_000
                )
            )
            for request in requests
        ]
    finally:
        connections.close()


def test_a_write_finds_its_leader_and_takes_effect_once_over_asyncio() -> None:
    with ScriptedNode(Misbehave.HANG_UP, OK, OK) as leader, ScriptedNode() as node:
        node.extend(*[not_leader(leader.address)] * 3)
        told = asyncio.run(ask([node.address, leader.address], PUT, PUT))
        assert told == [OK, OK]
        assert [number for _, number in numbers(leader)] == [1, 1, 2]


def test_many_clients_wait_in_one_thread() -> None:
    """Each for a node of its own, which answers when all have been asked."""

    async def all_of_them(nodes: list[ScriptedNode]) -> list[list[object]]:
        return await asyncio.gather(*(ask([node.address], PUT) for node in nodes))

    nodes = [ScriptedNode(OK) for _ in range(20)]
    try:
        assert asyncio.run(all_of_them(nodes)) == [[OK]] * len(nodes)
    finally:
        for node in nodes:
            node.close()


def test_what_nobody_can_know_is_unknown_over_asyncio_too() -> None:
    with ScriptedNode(Misbehave.HANG_UP) as node, pytest.raises(OutcomeUnknownError):
        asyncio.run(ask([node.address], PUT, exactly_once=False))
