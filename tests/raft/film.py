"""Golden message scripts: commands in, what was said and seen out, as text that reads like a film.

Law: a script file holds commands at the margin, comments after `#`, and under each
command, indented, everything that came of it. Playing the commands again must
give the same text, wherever the logs of the nodes begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from founding import founders
from told_from_one import ToldFromOne

from kvstore.raft.messages import Message
from kvstore.raft.types import HardState, LogStart

from .disk import Disk, entries_of_terms
from .harness import World
from .messages import shown, shown_entry

INDENT = "    "


class Film:
    """One world, driven by the lines of a script, and told as if its logs began with entry 1."""

    def __init__(self, start: LogStart) -> None:
        self._start = start
        self._told_by = ToldFromOne(start)
        self._world = World(3, start=start)
        self._held: list[Message] = []
        self._commands: dict[str, Callable[..., Iterable[str] | None]] = {
            "nodes": self._nodes,
            "begin": self._begin,
            "timeout": lambda node: self._world.time_out(int(node)),
            "tick": lambda node, ms: self._world.tick(int(node), int(ms)),
            "propose": self._propose,
            "read": lambda node, *ids: self._world.read(int(node), *map(int, ids)),
            "deliver": self._deliver,
            "drop": self._drop,
            "duplicate": self._duplicate,
            "hold": self._hold,
            "release": self._release,
            "cut": lambda *ids: self._world.isolate(*map(int, ids)),
            "heal": lambda: self._world.heal(),
            "crash": lambda node: self._world.crash(int(node)),
            "restart": lambda node: self._world.restart(int(node)),
            "compact": self._compact,
            "spool": self._spool,
            "install": lambda node: self._world.install(int(node)),
            "settle": self._settle,
            "state": self._state,
        }

    def play(self, command: str) -> list[str]:
        """What comes of one command: events first, then messages that left, in order."""
        name, *arguments = command.split()
        before = list(self._world.bag)
        lines = list(self._commands[name](*arguments) or ())
        lines += self._told()
        left = [m for m in self._world.bag if not any(m is one for one in before)]
        return lines + [self._shown(m) for m in left]

    def _told(self) -> list[str]:
        return [
            f"[node {node_id}] {line}"
            for node_id in self._world.nodes
            for line in (*self._noted(node_id), *self._answered(node_id))
        ]

    def _shown(self, message: Message) -> str:
        return shown(self._told_by.message(message))

    def _noted(self, node_id: int) -> list[str]:
        events = self._world.nodes[node_id].events
        told = [str(self._told_by.event(event)) for event in events]
        events.clear()
        return told

    def _answered(self, node_id: int) -> list[str]:
        return [
            f"read {one.read_id} is confirmed, as of index {self._told_by.index(one.index)}"
            for one in self._world.answered(node_id)
        ]

    # --- Commands -------------------------------------------------------------------------

    def _nodes(self, count: str) -> None:
        self._world = World(int(count), start=self._start)

    def _begin(self, node: str, term: str, *log: str) -> None:
        """Start a node from a disk with this term and a log of these terms."""
        start = self._start
        entries = entries_of_terms((start.term + int(one) for one in log), start.index + 1)
        hard_state = HardState(start.term + int(term))
        disk = Disk(hard_state, entries, start)
        disk.configuration = founders(self._world.nodes)
        self._world.nodes[int(node)].disk = disk
        self._world.restart(int(node))

    def _compact(self, node: str, index: str) -> None:
        """Its log begins after this entry from now on."""
        self._world.compact(int(node), self._start.index + int(index))

    def _spool(self, node: str, size_bytes: str) -> None:
        """It has written a snapshot of all that it has applied."""
        self._world.spool(int(node), int(size_bytes))

    def _propose(self, node: str, *commands: str) -> None:
        self._world.propose(int(node), *commands)

    def _deliver(self, link: str = "*", count: str = "all") -> list[str]:
        """Deliver what is under way on a link, or the oldest `count` of it."""
        return self._arrive(self._on(link)[: None if count == "all" else int(count)])

    def _arrive(self, messages: list[Message]) -> list[str]:
        lines: list[str] = []
        self._remove(messages)
        for message in messages:
            if message.recipient in self._world.alive:
                self._world.hand(message)
                lines += self._told()
        return lines

    def _settle(self) -> list[str]:
        """Deliver, showing each message that arrives, until nothing is under way."""
        lines: list[str] = []
        while self._world.bag:
            message = self._world.bag[0]
            lines += [self._shown(message), *self._arrive([message])]
        return lines

    def _drop(self, link: str, count: str = "all") -> list[str]:
        lost = self._on(link)[: None if count == "all" else int(count)]
        self._remove(lost)
        return [f"lost: {self._shown(m)}" for m in lost]

    def _duplicate(self, link: str) -> list[str]:
        twice = self._on(link)
        self._world.bag += twice
        return [f"twice: {self._shown(m)}" for m in twice]

    def _hold(self, link: str) -> list[str]:
        late = self._on(link)
        self._remove(late)
        self._held += late
        return [f"late: {self._shown(m)}" for m in late]

    def _release(self) -> None:
        self._world.bag += self._held
        self._held = []

    def _state(self, *nodes: str) -> list[str]:
        return [self._shown_node(int(node)) for node in nodes or self._world.nodes]

    def _shown_node(self, node_id: int) -> str:
        if node_id not in self._world.alive:
            return f"node {node_id} is down"
        raft, told = self._world.raft(node_id), self._told_by
        entries = map(told.entry, self._world.log(node_id))
        log = " ".join(map(shown_entry, entries)).replace("no-op of ", "@")
        term, commit = told.term(raft.current_term), told.index(raft.commit_index)
        return (
            f"node {node_id} {raft.role:9} term {term} vote {raft.voted_for or '-'} "
            f"leader {raft.leader_id or '-'} commit {commit} log {log or '-'}"
        )

    # --- The bag --------------------------------------------------------------------------

    def _on(self, link: str) -> list[Message]:
        if link == "*":
            return list(self._world.bag)
        sender, recipient = link.split(">")
        return self._world.sent(
            int(sender) if sender else None, int(recipient) if recipient else None
        )

    def _remove(self, messages: list[Message]) -> None:
        """Take each message off the network once; a duplicate stays."""
        for message in messages:
            position = next(i for i, one in enumerate(self._world.bag) if one is message)
            del self._world.bag[position]


def played(script: Path, start: LogStart) -> str:
    """The text of a script with what its commands give when played now."""
    film = Film(start)
    lines: list[str] = []
    for line in script.read_text().splitlines():
        if line.startswith(INDENT):
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            lines += [INDENT + shown_line for shown_line in film.play(line)]
    return "\n".join(lines) + "\n"
