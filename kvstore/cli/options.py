"""Options: how the help of every command lists them, and those that several share.

Law: looks and defaults only. What an option means is its command's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import click

from kvstore.address import LOCAL_CLUSTER
from kvstore.cli.streams import printing


class Option(click.Option):
    """An option that says under which heading of the help it stands."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class Command(click.Command):
    """A command whose help lists options under headings."""

    @printing()
    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Nothing but help is printed while a command line is read."""
        return super().make_context(*args, **extra)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                # --help is click's own, and the last.
                sections.setdefault(getattr(parameter, "section", "Other"), []).append(record)
        width = max(len(names) for records in sections.values() for names, _ in records)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl([(names.ljust(width), text) for names, text in records])


Function: TypeAlias = Callable[..., Any]


def option(*names: str, section: str, **attributes: Any) -> Callable[[Function], Function]:
    """`click.option` under a heading of the help."""
    return click.option(*names, cls=Option, section=section, **attributes)


def options(*decorators: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Several options as one decorator, in the order in which the help shows them."""

    def decorate(function: Function) -> Function:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


# --- What several commands share ----------------------------------------------------------

to_nodes = option(
    "--to",
    section="Cluster",
    metavar="NODES",
    default=LOCAL_CLUSTER,
    envvar="KVSTORE_TO",
    show_default=True,
    help="Nodes to ask, in this order: 9001, host:port or [::1]:9001, with commas. "
    "Also from KVSTORE_TO.",
)
timeout = option(
    "--timeout-ms",
    section="Cluster",
    metavar="MS",
    type=int,
    default=5_000,
    envvar="KVSTORE_TIMEOUT_MS",
    show_default=True,
    help="Longest time for the request with all its retries. Also from KVSTORE_TIMEOUT_MS.",
)
quiet = option(
    "--quiet",
    section="Output",
    is_flag=True,
    help="Say nothing of redirects and of waiting on standard error, but only errors.",
)
as_json = option(
    "--json",
    "as_json",
    section="Output",
    is_flag=True,
    help="Print one JSON object on one line, errors too; bytes that are not UTF-8 as NAME_base64.",
)
