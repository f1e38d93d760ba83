"""Commands that one node answers by itself, as rows: with subcommands, or without.

Law: whether a command or subcommand is known, and takes so many arguments, is decided here,
by its row, before it is carried out. It must not know what any of them does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import msgspec

from kvstore.server.client_state import ClientState
from kvstore.server.view import ServerView
from kvstore.wire import resp
from kvstore.wire.catalogue import Arguments, Row
from kvstore.wire.commands import CommandError, wrong_arity

Answer: TypeAlias = Callable[[ClientState, ServerView, Arguments], bytes]

HANDSHAKE: Final = ("loading", "stale")
"""What is asked while a connection is made is answered whatever the server is at."""
ABOUT_CONNECTION: Final = ("noscript", *HANDSHAKE)
FOR_ADMINISTRATORS: Final = ("admin", *ABOUT_CONNECTION)


class Builtin(Row, frozen=True, kw_only=True):
    """One row of `BUILTINS`, or of the `subcommands` of one.

    * `answer` may be missing where there are subcommands, and where the command is
      carried out elsewhere.
    """

    answer: Answer | None = None
    subcommands: dict[bytes, Builtin] = msgspec.field(default_factory=dict)

    def called_by(self, args: Arguments) -> Builtin:
        """This row, or that of the subcommand. Raises `CommandError`."""
        row = self
        if self.subcommands and len(args) > 1:
            found = self.subcommands.get(args[1].upper())
            if found is None:
                raise CommandError(_unknown_subcommand(self.name, args[1]))
            row = found
        if len(args) not in row.lengths:
            raise CommandError(row.wrong_arity)
        return row

    @property
    def wrong_arity(self) -> str:
        """The error text that Redis clients know."""
        text = wrong_arity(self.name)
        if self.name != "exec":
            return text
        return f"EXECABORT Transaction discarded because of: {text.removeprefix('ERR ')}"


def builtin(
    name: str,
    arity: int,
    answer: Answer,
    summary: str,
    usage: str = "",
    *,
    group: str,
    flags: tuple[str, ...],
    categories: tuple[str, ...] = (),
    tips: tuple[str, ...] = (),
) -> Builtin:
    """A row; those of one kind, or of one command, share what is named."""
    return Builtin(
        name=name,
        arity=arity,
        usage=usage,
        summary=summary,
        group=group,
        flags=flags,
        categories=categories,
        tips=tips,
        answer=answer,
    )


def with_subcommands(row: Builtin, subcommands: Iterable[Builtin]) -> Builtin:
    """The row of a command with these subcommands, and with HELP, which lists them."""
    name = row.name.upper()
    parts = list(subcommands)
    lines = [f"{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for part in parts:
        usage = f"{part.name.partition('|')[2].upper()} {part.usage}"
        lines += [usage.rstrip(), f"    {part.summary}."]
    text = resp.array([resp.simple(line) for line in (*lines, "HELP", "    Print this help.")])
    help_row = Builtin(
        name=f"{row.name}|help",
        arity=2,
        summary="Print what subcommands there are",
        group=row.group,
        flags=HANDSHAKE,
        categories=parts[0].categories,
        answer=lambda _state, _view, _args: text,
    )
    named = {p.name.partition("|")[2].upper().encode(): p for p in (*parts, help_row)}
    return msgspec.structs.replace(row, subcommands=named)


def _unknown_subcommand(name: str, subcommand: bytes) -> str:
    shown = subcommand[:128].decode("utf-8", "replace")
    return f"ERR unknown subcommand '{shown}'. Try {name.upper()} HELP."
