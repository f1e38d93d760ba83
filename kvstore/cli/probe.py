"""One question to one node, once: for who watches nodes, and must not wait for them.

Law: it is over in time, whatever the node does, or the network, or the look-up of its name.
What came instead of an answer is told as a `Silence`.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import hiredis

from kvstore import api
from kvstore.address import Address
from kvstore.cli.overview import Silence, Why
from kvstore.client.attempt import Full, NotSent, Unanswered
from kvstore.client.link import Link
from kvstore.errors import ProtocolError
from kvstore.lookup import Lookup
from kvstore.wire import typed


def ask(node: Address, call: api.Call, until: float) -> api.Result | Silence:
    """Ask a node, and wait no longer than until then (`time.monotonic`)."""
    try:
        link = Link(Lookup(node), until)
    except NotSent as setback:
        why = Why.OUT_OF_REACH if setback.is_silence else Why.DOWN
        return Silence(why, str(setback).removeprefix("cannot connect: "))
    try:
        return _understood(link.ask(typed.encode_call(call), until, until))
    except (NotSent, Unanswered) as setback:
        why = Why.FROZEN if setback.is_silence else Why.DOWN
        return Silence(why, str(setback))
    finally:
        link.close()


def _understood(answer: object) -> api.Result | Silence:
    if isinstance(answer, hiredis.ReplyError) and str(answer).startswith(Full.words):
        return Silence(Why.FULL, str(answer))
    if not isinstance(answer, bytes):
        return Silence(Why.STRANGER, str(answer))
    try:
        return typed.decode_reply(answer).result
    except ProtocolError as error:
        return Silence(Why.STRANGER, str(error))


def ask_all(nodes: Sequence[Address], call: api.Call, until: float) -> list[api.Result | Silence]:
    """Ask all side by side; what each said, in their order."""
    with ThreadPoolExecutor(len(nodes)) as threads:
        return list(threads.map(lambda node: ask(node, call, until), nodes))
