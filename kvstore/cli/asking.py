"""The client that the commands share which ask a cluster through one: its options, and what
they tell meanwhile.

Law: one client a command, made from its options alone. What is told meanwhile goes to standard
error, unless `--quiet` stands. What is asked is the command's business.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import click
from click.core import ParameterSource

from kvstore.address import parse_addresses
from kvstore.cli import patience, streams
from kvstore.cli.options import Function, as_json, option, options, quiet, timeout, to_nodes
from kvstore.client.blocking import Client

_no_follow = option(
    "--no-follow",
    section="Cluster",
    is_flag=True,
    help="Show a node's NOTLEADER as an error instead of following it.",
)


def with_client(function: Function) -> Function:
    """Give the command a client, made from the common options."""

    @options(to_nodes, _no_follow, timeout, quiet, as_json)
    @functools.wraps(function)
    def run(to: str, no_follow: bool, timeout_ms: int, quiet: bool, **options: Any) -> int:
        parse_addresses(to, _source_of_nodes())
        client = Client(
            to,
            timeout_ms,
            follow=not no_follow,
            on_redirect=None if quiet else _tell_redirect,
            reads_from_any=options.get("from_any", False),
        )
        with client, telling(client.waiting):
            code: int = function(client, **options)
            return code

    return run


def telling(waiting: Callable[[], patience.Waiting | None]) -> AbstractContextManager[None]:
    """Within this context, tell what the command waits for, unless it is to be quiet."""
    is_quiet = click.get_current_context().params["quiet"]
    return nullcontext() if is_quiet else patience.told(waiting)


def _source_of_nodes() -> str | None:
    source = click.get_current_context().get_parameter_source("to")
    return {ParameterSource.COMMANDLINE: "--to", ParameterSource.ENVIRONMENT: "KVSTORE_TO"}.get(
        source or ParameterSource.DEFAULT
    )


def _tell_redirect(asked: str, leader: str) -> None:
    streams.tell(f"node at {asked} is not the leader; following to node at {leader}")
