"""Wrong versions of watches: whom a change is told, how often, and from where on.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

_RANGES = "tests/server/watching/test_ranges.py"
_MODEL = "tests/server/watching/test_model.py"
_HUB = "tests/server/watching/test_hub.py"
_COSTS = "tests/server/watching/test_costs.py"
_NODES = "tests/server/watching/test_nodes.py"
_FOLLOWING = "tests/client/test_following.py"
_WATCHING = "tests/client/test_watching.py"
_TALKS = "tests/server/watching/test_conversations.py"

WATCHES = (
    Mutant(
        "only the first of those who watch the same range is found",
        "Ranges.at",
        "                    yield from node.owners",
        "                    yield next(iter(node.owners))",
        test=_RANGES,
    ),
    Mutant(
        "how far ranges reach is not measured anew after one is gone",
        "ranges._without",
        "    tree.measure()\n",
        "",
        test=_RANGES,
    ),
    Mutant(
        "the end of a range is a part of it",
        "Ranges.at",
        "                if key < end:",
        "                if key <= end:",
        test=_RANGES,
    ),
    Mutant(
        "every range is looked at that begins before the key",
        "Ranges.at",
        "            if node is None or node.greatest <= key:",
        "            if node is None:",
        test=_RANGES,
    ),
    Mutant(
        "who is behind is told what is applied as well",
        "Watches._fall_behind",
        "        watch.group.live.pop(watch, None)\n",
        "",
        test=_MODEL,
    ),
    Mutant(
        "who is behind gets live one revision early",
        "CatchUp.go_on",
        "        if read.position[0] > past.revision:",
        "        if read.position[0] >= past.revision:",
        test=_MODEL,
    ),
    Mutant(
        "who has read all is told the last revision again",
        "Watches.go_live",
        "        watch.position = None\n",
        "        self._news.note(watch.subscriber, self._now_ms)\n"
        "        watch.position = (self._past.revision, 0)\n"
        "        self._catch_up.arrive(watch)\n"
        "        return\n",
        test=_MODEL,
    ),
    Mutant(
        "a queue that was dropped is read again from its end",
        "Watches._drop",
        "                first_of.setdefault(number, told.piece.position)",
        "                first_of[number] = told.piece.position",
        test=_MODEL,
    ),
    Mutant(
        "a queue that was dropped is read again for all watches from where its first one was",
        "Watches._drop",
        "            if number in subscriber.watches:\n"
        "                self._fall_behind(subscriber.watches[number], position)",
        "            position = min(first_of.values())\n"
        "            if number in subscriber.watches:\n"
        "                self._fall_behind(subscriber.watches[number], position)",
        test=_HUB + "::test_each_watch_goes_on_from_what_it_was_not_told",
    ),
    Mutant(
        "progress forgets what is queued",
        "Watches.progress",
        "            revision = min(revision, told.piece.revision - 1)",
        "            revision = max(revision, told.piece.revision - 1)",
        test=_MODEL,
    ),
    Mutant(
        "progress forgets who is behind",
        "Watches.progress",
        "        nexts = [*subscriber.ended.values(), *map(self._next_of, subscriber.behind)]",
        "        nexts = [*subscriber.ended.values()]",
        test=_MODEL,
    ),
    Mutant(
        "progress forgets watches that have ended and do not know it",
        "Watches.progress",
        "        nexts = [*subscriber.ended.values(), *map(self._next_of, subscriber.behind)]",
        "        nexts = [*map(self._next_of, subscriber.behind)]",
        test=_MODEL,
    ),
    Mutant(
        "the first revision that is kept cannot be watched",
        "Watches.create",
        "        if since < floor:",
        "        if since <= floor:",
        test=_HUB,
    ),
    Mutant(
        "who needs what is not kept any more goes on behind it",
        "CatchUp._begin_reading",
        "                del self._waiting[watch]\n                self._hub.is_compacted(watch)\n",
        "                watch.position = (floor, 0)\n",
        test=_MODEL,
    ),
    Mutant(
        "a reading goes on though the floor has passed it",
        "CatchUp.go_on",
        "        if self._position is not None and self._position[0] < past.floor:",
        "        if self._position is not None and self._position[0] < 0:",
        test=_MODEL,
    ),
    Mutant(
        "that a watch has ended is told before what it was told",
        "Subscriber.end",
        "        self.queue.append(ended)",
        "        self.queue.appendleft(ended)",
        test=_HUB,
    ),
    Mutant(
        "what waits for a watch is told after it was cancelled",
        "Watches.cancel",
        "        self._queues.forget(subscriber, number)\n",
        "",
        test=_MODEL,
    ),
    Mutant(
        "a number is free before its client knows that the watch has ended",
        "Watches.create",
        "        if request.watch in subscriber.watches or request.watch in subscriber.ended:",
        "        if request.watch in subscriber.watches:",
        test=_HUB,
    ),
    Mutant(
        "who got a part of a revision is not told that this was all",
        "CatchUp._tell",
        "            if is_whole and self._open:",
        "            if is_whole and not rows and self._open:",
        test=_MODEL,
    ),
    Mutant(
        "a part of a revision is told as all of it",
        "CatchUp._pieces",
        "                more=number < last or not is_whole,",
        "                more=number < last,",
        test=_MODEL,
    ),
    Mutant(
        "who boards later is given what it has had",
        "_first_of",
        "    return sum(row.position < position for row in rows)",
        "    return 0",
        test=_MODEL,
    ),
    Mutant(
        "history is read for whom nobody takes it",
        "Watches._drop",
        "        subscriber.asks = False\n",
        "",
        test=_HUB,
    ),
    Mutant(
        "a piece counts for each queue that it is in",
        "Queues._hold",
        "        if not piece.holders:\n            self.held_bytes += piece.size_bytes\n",
        "        self.held_bytes += piece.size_bytes\n",
        test=_COSTS,
    ),
    Mutant(
        "who takes what it is told loses its place to who does not",
        "Queues.take",
        "        self._holding.pop(subscriber, None)\n        if",
        "        if not subscriber.queued_bytes:\n"
        "            self._holding.pop(subscriber, None)\n        if",
        test=_HUB + "::test_who_takes_something_goes_last_of_those_who_hold",
    ),
    Mutant(
        "whoever was told of late is told of each change at once",
        "News.note",
        "        elif now_ms < subscriber.left_ms + self._pause_ms:",
        "        elif now_ms < subscriber.left_ms:",
        test=_HUB,
    ),
    Mutant(
        "what was put off is never told",
        "News.due_ms",
        "        return next(iter(self._later.values())) if self._later else math.inf",
        "        return math.inf",
        test=_HUB,
    ),
    Mutant(
        "an event has what was there before though nobody asked for it",
        "_event",
        "        to_key_value(key, old) if spec.with_previous and old is not None else None,",
        "        to_key_value(key, old) if old is not None else None,",
        test=_MODEL,
    ),
    Mutant(
        "every reading is for one watch",
        "CatchUp._board",
        "                self._aboard[watch] = watch.group.aboard[watch] = None\n",
        "                self._aboard[watch] = watch.group.aboard[watch] = None\n"
        "                if len(self._aboard) > 1:\n"
        "                    self.leave(watch)\n"
        "                    self._waiting[watch] = None\n"
        "                    continue\n",
        test=_COSTS,
    ),
    Mutant(
        "a change is told when it is proposed",
        "Node.submit_command",
        "        name = raft.propose(data)\n",
        "        name = raft.propose(data)\n"
        "        if self.watches.is_wanted and isinstance(command, api.Put):\n"
        "            change = command.key, None, None\n"
        "            self.watches.note(self.machine.revision + 1, [change])\n",
        test=_NODES,
    ),
    Mutant(
        "a snapshot leaves watches live",
        "Node.__init__",
        "            on_installed=(own_digest.forget, self.watches.restart),",
        "            on_installed=(own_digest.forget,),",
        test=_NODES,
    ),
    Mutant(
        "who needs a leader is not told that there is none any more",
        "Node.tick",
        "has_leader=self.raft.is_led)",
        "has_leader=True)",
        test=_NODES,
    ),
    Mutant(
        "data that are in doubt are told to who watches",
        "Node.state_differs",
        "            self.watches.end_all(self.divergence.refusal)\n",
        "",
        test=_NODES,
    ),
    Mutant(
        "who hangs up goes on watching",
        "Connection._forget",
        "        self._router.leave(self.context.node)\n",
        "",
        test=_TALKS,
    ),
    Mutant(
        "a connection that watches takes other requests too",
        "Router.dispatch",
        "        elif self.subscriber is not None:\n",
        "        elif self.subscriber is not None and asked.is_stale:\n",
        test=_TALKS,
    ),
    Mutant(
        "what is told to watches fills memory for who does not read",
        "Connection._send_news",
        "(unsent_bytes := stream.unsent_bytes) < _PIECE_BYTES and self._may_work():",
        "(unsent_bytes := stream.unsent_bytes) >= 0 and self._may_work():",
        test=_TALKS,
    ),
    Mutant(
        "a client goes on with the revision that it has seen",
        "Follower._hand",
        "        self.next_revision = revision + 1\n",
        "        self.next_revision = revision\n",
        test=_FOLLOWING,
    ),
    Mutant(
        "a client that saw nothing begins at another node with what is new there",
        "Follower._follow_at",
        "        start = self.next_revision\n",
        "        start = self.next_revision if self._served_at == 0.0 else 0\n",
        test=_FOLLOWING,
    ),
    Mutant(
        "a part of a revision is handed on before all of it is there",
        "Follower._take",
        "            if not result.more:\n",
        "            if result.events:\n",
        test=_FOLLOWING,
    ),
    Mutant(
        "parts of a node that was left are handed on with those of the next one",
        "Follower._follow_at",
        "        self._parts = []\n",
        "",
        test=_FOLLOWING,
    ),
    Mutant(
        "what a client was told before is handed on again",
        "Follower._hand",
        "        if revision < self.next_revision:\n            return\n",
        "",
        test=_FOLLOWING,
    ),
    Mutant(
        "a silent node is waited for for ever",
        "Follower._hear_or_ask",
        "        return (yield from self._hear(until))\n",
        "        while True:\n"
        "            try:\n"
        "                return (yield from self._hear(until))\n"
        "            except Unanswered as setback:\n"
        "                if not setback.is_silence:\n"
        "                    raise\n",
        test=_FOLLOWING,
    ),
    Mutant(
        "a client goes back to the node that it left",
        "Follower.follow",
        "            for node in self._round():\n",
        "            for node in self._round()[:1]:\n",
        test=_FOLLOWING,
    ),
    Mutant(
        "progress in the middle of a revision passes over the rest of it",
        "Follower._take",
        "            if not self._parts:\n",
        "            if True:\n",
        test=_FOLLOWING,
    ),
    Mutant(
        "what another cluster tells is handed on",
        "Follower._hear",
        "        if not self._knowledge.hear(reply, of_leader=False):\n",
        "        if not self._knowledge.hear(reply, of_leader=False) and not answer:\n",
        test=_FOLLOWING,
    ),
    Mutant(
        "a watch that is closed leaves its thread waiting",
        "Watch.close",
        "            link.interrupt()\n",
        "            pass\n",
        test=_WATCHING,
    ),
    Mutant(
        "a forked child takes what is its parent's",
        "Watch.__next__",
        "        if os.getpid() != self._process:\n",
        "        if not self._process:\n",
        test=_WATCHING,
    ),
)
