"""The next release, made of this one: a field, a message and a command more, and version 3.

Law: each edit must fit exactly once, in the definition that it names; one that no longer fits
is an error. So this file shows, too, what each of them takes (see CONTRIBUTING.md).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from mutants.places import ROOT, place_of

A_FIELD_MORE = [
    (
        "AppendEntriesReply",
        "    needs_snapshot: int = 0\n",
        '    needs_snapshot: int = 0\n    mood: str = "glad"\n',
    )
]
A_MESSAGE_MORE = [
    (
        "messages.Message",
        "Message: TypeAlias = (\n",
        'class Gossip(_Message, frozen=True, kw_only=True, tag="gossip"):\n'
        '    """Something else that peers may be told."""\n\n'
        "    SINCE: ClassVar[int] = 3\n\n\n"
        "Message: TypeAlias = (\n    Gossip |\n",
    ),
    (
        "Raft.__init__",
        "        self._handlers: dict[type, Callable[..., None]] = {\n",
        "        from kvstore.raft.messages import Gossip\n"
        "        self._handlers: dict[type, Callable[..., None]] = {\n"
        "            Gossip: lambda message: self._events.append(\n"
        '                events.MessageIgnored(message.term, f"gossip of node {message.sender}")\n'
        "            ),\n",
    ),
    (
        "Leadership.messages",
        "        if heartbeat:\n",
        "        if heartbeat:\n"
        "            from kvstore.raft.messages import Gossip\n"
        "            for peer in self._progress:\n"
        "                self._outbox._post(Gossip, peer, self._log.last_term)\n",
    ),
]
A_COMMAND_MORE = [
    (
        "data.Delete",
        'class Delete(Write, frozen=True, tag="delete"):\n',
        'class Append(Write, frozen=True, tag="append"):\n'
        '    """Add to the end of a value."""\n\n'
        "    key: bytes\n    value: bytes\n\n\n"
        'class Delete(Write, frozen=True, tag="delete"):\n',
    ),
    (
        "WRITE_ROWS",
        "WRITE_ROWS: Final = (\n",
        "from kvstore.api.data import Append\n\n"
        "WRITE_ROWS: Final = (\n"
        "    WriteRow(\n"
        "        request=Append,\n"
        "        result=PutResult,\n"
        "        check=lambda append, bounds: check_key(append.key),\n"
        "        extent=lambda append: Extent(1, 1 << 20, keys=(append.key,)),\n"
        "        since=3,\n"
        "    ),\n",
    ),
    (
        "StateMachine._put",
        "    def _put(",
        "    def _append(self, append: Any) -> Effect:\n"
        "        old = self._record(append.key)\n"
        '        before = b"" if old is None else old[HEAD_BYTES:]\n'
        "        return self._put(api.Put(append.key, before + append.value))\n\n"
        "    def _put(",
    ),
    (
        "machine.WRITES",
        "WRITES: Final[dict[type, Callable[[StateMachine, Any], Effect]]] = {\n",
        "from kvstore.api.data import Append\n\n"
        "WRITES: Final[dict[type, Callable[[StateMachine, Any], Effect]]] = {\n"
        "    Append: StateMachine._append,\n",
    ),
    (
        "_SPECS",
        "_SPECS: Final = (\n",
        "from kvstore.api.data import Append\n\n"
        "_SPECS: Final = (\n"
        '    _spec("append", 3, "write denyoom", "RW insert",\n'
        "        lambda args: Append(args[1], args[2]), _written,\n"
        '        "<key> <value>", "Add to the end of a value"),\n',
    ),
]
ITS_VERSION = [
    ("PROTOCOL_VERSION", "PROTOCOL_VERSION: Final = 2", "PROTOCOL_VERSION: Final = 3"),
]
EDITS = [*A_FIELD_MORE, *A_MESSAGE_MORE, *A_COMMAND_MORE, *ITS_VERSION]


def make_newer(directory: Path) -> Path:
    """The next release, in `directory`; the root from which it runs."""
    shutil.copytree(
        ROOT / "kvstore", directory / "kvstore", ignore=shutil.ignore_patterns("__pycache__")
    )
    # The last of a file first: where the others stand is known by its lines as they were.
    for name, old, new in sorted(EDITS, key=lambda edit: place_of(edit[0]).first, reverse=True):
        place = place_of(name)
        path = directory / place.file
        path.write_text(place.edited(path.read_text(), old, new))
    return directory
