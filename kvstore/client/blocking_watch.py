"""The method of a blocking client that is told of changes.

Law: a watch has a connection of its own, and what it knows of the cluster in common with its
client. It must not know how anything is asked.
"""

from __future__ import annotations

import time

from kvstore import api
from kvstore.client import watch_requests
from kvstore.client.arguments import Text, as_flag, as_patience
from kvstore.client.asking import Asking
from kvstore.client.following import Follower
from kvstore.client.watching import Watch


class WatchMethods(Asking):
    """How a client is told of changes."""

    def watch(
        self,
        key: Text | None = None,
        *,
        end: Text | None = None,
        prefix: Text | None = None,
        start_revision: int | None = None,
        with_previous: bool = False,
        puts: bool = True,
        deletes: bool = True,
        progress: bool = False,
        patience_s: float | None = None,
    ) -> Watch:
        """What happens to a key, to the keys from `key` to before `end`, or to all with a prefix.

        Without any of them, to all keys. An iterator of `WatchBatch(revision, events)`: all that
        one revision did there, in the order of revisions, each once, whichever nodes tell it. It
        begins behind all that is acknowledged by now, or at `start_revision`, and goes on until it
        is closed (`close`, from any thread, or leaving its `with`). An event has `key`, `item`
        (None: it is gone) and, `with_previous`, `previous`. With `progress` there are batches
        without events too, which say how far nothing happened.

        It reconnects by itself, for ever, or raises UnreachableError when no node has served it for
        `patience_s`. What is no longer kept raises CompactedError, whose `floor` is the first
        revision that is.
        """
        request = watch_requests.watch(
            key,
            end=end,
            prefix=prefix,
            start_revision=0 if start_revision is None else start_revision,
            with_previous=with_previous,
            puts=puts,
            deletes=deletes,
        )
        patience_s, progress = as_patience(patience_s), as_flag(progress, "progress")
        if start_revision is None:
            newest = self._ask(watch_requests.revision_now(), api.GetResult).revision
            request = watch_requests.starting_at(request, newest + 1)
        nodes = [*dict.fromkeys((*self._knowledge.now.members, *self._nodes))]
        return Watch(
            Follower(
                *(request, self._knowledge, nodes, time.monotonic),
                progress=progress,
                patience_s=patience_s,
            )
        )
