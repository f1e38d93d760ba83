"""Commands that are groups of commands: how a name finds its command, and how a group ends.

Law: a name that is none is told with the nearest that is one. A reader that has gone ends a
command quietly.

It must not know which commands there are.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from typing import Any

import click

from kvstore.cli import streams
from kvstore.cli.streams import PipeClosedError


class Group(click.Group):
    """Suggests the nearest command, and ends quietly when its reader has gone.

    * Click would end by itself then, with the code of what was not found.
    * `elsewhere`: what other stores and tools call a command.
    """

    def __init__(self, *args: Any, elsewhere: Mapping[str, str] | None = None, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._elsewhere = elsewhere or {}

    @streams.printing()
    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        return super().make_context(*args, **extra)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands and not args[0].startswith("-"):
            other = self._elsewhere.get(args[0])
            near = [other] if other else difflib.get_close_matches(args[0], self.commands, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.commands)}"
            raise click.UsageError(f"no such command {args[0]!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            raise PipeClosedError from None
        return result

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)
