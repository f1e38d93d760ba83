"""Who holds something else than the others is named, and nobody else ever is.

Law: of one entry, all nodes whose records are what they were tell one digest, and one with a record
that has changed tells another. What a leader calls the majority's is that of the first, and a node
finds that it differs if a record of it has changed, and then only.
"""

from __future__ import annotations

from kvstore.raft.messages import CompareStates, CompareStatesReply, Message
from kvstore.raft.types import LogStart
from kvstore.sim.checkers.checker import Checker, Part, Watched
from kvstore.sim.log_start import FIRST

_NOTHING = Part(0)


class Comparisons(Checker):
    """Remembers what was told of each entry.

    * `_sound`: its digest, by a node none of whose records had changed.
    """

    theorem = "who differs is named, and nobody else"
    watches = _NOTHING
    heeds = (CompareStates, CompareStatesReply)
    hears_of = ()

    def __init__(self, members: tuple[int, ...], start: LogStart = FIRST) -> None:
        super().__init__(members, start)
        self._sound: dict[int, bytes] = {}
        self._named: dict[int, int] = {}
        """Node -> as of which entry it was found to differ last."""

    def speaks(self, host: Watched, message: Message) -> None:
        assert isinstance(message, CompareStates | CompareStatesReply)
        if isinstance(message, CompareStatesReply):
            self._judge_own(host, message)
        elif message.digest and message.digest != self._sound.get(message.index, message.digest):
            self.fail(
                f"node {host.id} calls a digest the majority's as of entry {message.index}, which"
                " no node has whose records are what they were"
            )

    def _judge_own(self, host: Watched, reply: CompareStatesReply) -> None:
        if not reply.digest:
            return
        has_changed = reply.index in host.disk.state.changed_at
        if not has_changed:
            sound = self._sound.setdefault(reply.index, reply.digest)
            if sound != reply.digest:
                self.fail(f"node {host.id} tells another digest as of {reply.index} than others")
        elif reply.digest == self._sound.get(reply.index):
            self.fail(f"node {host.id} does not see as of {reply.index} that a record has changed")

    def turned(self, host: Watched) -> None:
        named = host.running.checking.differs_at
        if named in (0, self._named.get(host.id, 0)):
            return
        self._named[host.id] = named
        if named not in host.disk.state.changed_at:
            self.fail(f"node {host.id} is named as of entry {named}, and no record has changed")
