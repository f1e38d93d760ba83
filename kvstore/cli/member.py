"""The commands `kvstore member ...`: who the members are, and how that is changed.

Law: one request each, by a client; what it comes to is a line, or one object. What may be
changed, and when, is for the leader.
"""

from __future__ import annotations

from typing import cast

import click

from kvstore import api
from kvstore.api.base import NODE_ID_MAX
from kvstore.cli import render, streams
from kvstore.cli.asking import with_client
from kvstore.cli.groups import Group
from kvstore.cli.options import Command, option
from kvstore.client.blocking import Client
from kvstore.errors import RefusedError
from kvstore.exit_codes import DONE

_node_id = click.argument("node_id", metavar="ID", type=click.IntRange(1, NODE_ID_MAX))
_address = click.argument("address")


@click.group(cls=Group, short_help="See and change who the members are.", no_args_is_help=False)
def member() -> None:
    """See who the members of a cluster are, and change it, one at a time.

    A change is in force at once, and done when a majority has it. It is refused while another
    one is under way, and where the nodes that answer would be no majority any more.

    \b
    Examples:
      kvstore member list
      kvstore member add 4 10.0.0.4:9004        then, there:
        kvstore serve --join 10.0.0.1:9001 --id 4 --host 10.0.0.4
      kvstore member replace 2 --with 10.0.0.5:9002
      kvstore member remove 4
    """


@member.command("list", cls=Command)
@with_client
def list_members(client: Client, as_json: bool) -> int:
    """Show the members, who of them votes, and how far each has come.

    \b
    ROLE     voter, or learner: it gets the log, and votes once it keeps up
    MATCH    what the leader knows to be on the node's disk, LAG what is missing there
    ANSWERS  whether it has answered the leader within an election timeout

    Where nobody leads, any node says who the members are; the rest is not known then.
    """
    is_stale = False
    try:
        result = client.members()
    except RefusedError as error:
        if error.code != "NOLEADER":
            raise
        result = cast(api.MembersResult, client.execute(api.Members(), stale=True))
        is_stale = True
        if not click.get_current_context().params["quiet"]:
            streams.tell(f"nobody leads, so this is what one node knows: {error}")
    if as_json:
        click.echo(render.json_line(render.members_fields(result, is_stale=is_stale)))
    else:
        click.echo(render.members_table(result, is_stale=is_stale))
    return DONE


@member.command(cls=Command)
@_node_id
@_address
@with_client
def add(client: Client, node_id: int, address: str, as_json: bool) -> int:
    """Have a new node: ID is free, and the others reach it at ADDRESS.

    Start it with --join and no directory, before or after this. It gets the log, and votes
    once it keeps up.
    """
    done = client.add_member(node_id, address)
    return _tell(done, as_json, f"node {node_id} is a learner at {address}: {_start_it(node_id)}")


@member.command(cls=Command)
@_node_id
@with_client
def promote(client: Client, node_id: int, as_json: bool) -> int:
    """Have a learner vote. It comes by itself as soon as it keeps up."""
    return _tell(client.promote_member(node_id), as_json, f"node {node_id} votes")


@member.command(cls=Command)
@_node_id
@with_client
def remove(client: Client, node_id: int, as_json: bool) -> int:
    """Have a node be no member any more.

    It ends by itself if it is up, and cannot come back with its directory. A leader hands
    over first.
    """
    return _tell(client.remove_member(node_id), as_json, f"node {node_id} is no member any more")


@member.command(cls=Command)
@_node_id
@option(
    "--with",
    "address",
    section="Options",
    metavar="ADDRESS",
    required=True,
    help="Where the others reach the new node.",
)
@with_client
def replace(client: Client, node_id: int, address: str, as_json: bool) -> int:
    """Have a new node in the place of one that is lost, under the same ID.

    Start it with --join and no directory. It gets the log, and votes once it keeps up. The old
    one counts no more from now on.
    """
    done = client.replace_member(node_id, address)
    return _tell(done, as_json, f"node {node_id} is a learner at {address}: {_start_it(node_id)}")


@member.command(cls=Command)
@_node_id
@_address
@with_client
def move(client: Client, node_id: int, address: str, as_json: bool) -> int:
    """Have the others look for a node at ADDRESS.

    Start it there with the directory that it has, before or after this.
    """
    done = client.move_member(node_id, address)
    return _tell(done, as_json, f"node {node_id} is looked for at {address}")


def _start_it(node_id: int) -> str:
    return f"start it with --join and --id {node_id}, and it votes once it keeps up"


def _tell(done: api.ChangeResult, as_json: bool, text: str) -> int:
    if as_json:
        click.echo(render.json_line({"index": done.index}))
    else:
        click.echo(f"{text} (log entry {done.index})")
    return DONE
