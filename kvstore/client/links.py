"""The connections of one caller: what it wants done, done with sockets and the clock.

Law: here the client waits, and nowhere else. A connection on which anything failed, or was
interrupted, is ended: a later request must not read the late reply to an earlier one.

This module must not know what a request says, whom to ask next, nor what an answer means.
"""

from __future__ import annotations

import random
import time
from typing import cast

import hiredis

from kvstore import api
from kvstore.address import Address
from kvstore.client.attempt import (
    Attempt,
    Full,
    HangUp,
    NotSent,
    Rest,
    Setback,
    Step,
    Unanswered,
    Way,
)
from kvstore.client.link import Link
from kvstore.lookup import Lookup
from kvstore.wire import resp, typed


class Links:
    """The connections of one caller in one process.

    * One to each node, opened when first needed, and one more for stale reads: READONLY
      holds for a whole connection, and must not leak into others.
    """

    def __init__(self) -> None:
        self._open: dict[tuple[Address, bool], Link] = {}
        self._lookups: dict[Address, Lookup] = {}
        """Those that were under way when they were asked for last."""

    def carry_out(self, way: Way) -> api.Result:
        """Go a way to its end, which it has come to whatever is raised here."""
        try:
            step = next(way)
            while True:
                step = self._do(way, step)
        except StopIteration as end:
            return cast(api.Result, end.value)
        finally:
            way.close()

    def close(self) -> None:
        """End all connections; a later request opens them again."""
        links, self._open = self._open, {}
        for link in links.values():
            link.close()

    def abandon(self) -> None:
        """These are a child's copies of its parent's: to close them here ends none there."""
        self.close()
        for lookup in self._lookups.values():
            lookup.abandon()

    def _do(self, way: Way, step: Step) -> Step:
        """Do what a way wants done; what it wants next."""
        match step:
            case Attempt():
                try:
                    answer = self._ask(step)
                except Setback as setback:
                    return way.throw(setback)
                return way.send(answer)
            case HangUp(node, is_stale):
                self._drop(node, is_stale)
            case Rest():
                # Drawn, so that those who lost the same leader do not come all at once.
                pause_s = random.uniform(step.shortest_s, step.longest_s)  # noqa: S311 - no secret
                time.sleep(min(pause_s, max(0.0, step.until - time.monotonic())))
        return next(way)

    def _ask(self, attempt: Attempt) -> object:
        try:
            link = self._link(attempt.node, attempt.is_stale, attempt.send_until)
            frame = typed.encode_call(attempt.call)
            return link.ask(frame, attempt.send_until, attempt.reply_until)
        except BaseException:
            # Ctrl-C included.
            self._drop(attempt.node, attempt.is_stale)
            raise

    def _link(self, node: Address, is_stale: bool, until: float) -> Link:
        """The open connection to a node, or a new one."""
        link = self._open.get((node, is_stale))
        if link is not None and link.is_idle():
            return link
        self._drop(node, is_stale)
        link = self._open[node, is_stale] = Link(self._lookup(node), until)
        if is_stale:
            try:
                reply = link.ask(resp.command(b"READONLY"), until, until)
            except Unanswered as setback:
                raise NotSent(str(setback), is_silence=setback.is_silence) from None
            if isinstance(reply, hiredis.ReplyError):
                is_full = str(reply).startswith(Full.words)
                raise Full if is_full else NotSent(f"refused READONLY: {reply}")
        return link

    def _lookup(self, node: Address) -> Lookup:
        """Where the node is: what was asked before and is not answered yet is not asked again."""
        lookup = self._lookups.pop(node, None) or Lookup(node)
        if not lookup.is_done:
            self._lookups[node] = lookup
        return lookup

    def _drop(self, node: Address, is_stale: bool) -> None:
        link = self._open.pop((node, is_stale), None)
        if link is not None:
            link.close()
