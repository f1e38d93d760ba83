"""The command `kvstore recover`: a cluster of one, made of what survived.

Law: nothing is changed before somebody who was told what may be lost has said so.
"""

from __future__ import annotations

import secrets
import sys
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kvstore.cli import node_options as given
from kvstore.cli import patience, render
from kvstore.cli.options import Command, as_json, option, options
from kvstore.config.limits import RECOVER_BUMP
from kvstore.exit_codes import DONE

if TYPE_CHECKING:
    from kvstore.recovery import Prospect, Recovery


@click.command(cls=Command, short_help="Make a cluster of one of what survived.")
@options(
    given.stopped_data("The directory of the node that held most; its server is stopped."),
    given.bump_revision(RECOVER_BUMP),
    option("--yes", section="Options", is_flag=True, help="Do not ask: what may be lost is known."),
    as_json,
)
def recover(data: Path, bump_revision: int, yes: bool, as_json: bool) -> int:
    """When a majority of the nodes is lost for good: go on with one directory, alone.

    Stop all nodes that are left, look at their directories with `kvstore inspect`, and take the one
    with the highest term of the last entry, and among those the highest index. What only
    others held is lost. The node becomes a cluster of one, under another name, which refuses the
    nodes and clients of the old one; its term and its revision are higher than all of
    before. If another directory of the same cluster was recovered before, and served,
    say twice as much with --bump-revision.

    It says what may be lost, and asks. Interrupted at any moment, the directory is as it was,
    or recovered; the old log stays beside, as raft.before. Copy the directory first.
    """
    # Other commands should not wait for the storage's modules to load.
    from kvstore import recovery
    from kvstore.storage.recovering import survivor

    with ExitStack() as opened:
        with _telling(f"reads {data}, and checks all of it"):
            found = opened.enter_context(survivor(data))
            prospect = recovery.prospect_of(found)
        if not as_json:
            mended = [f"mended: {what}" for what in found.mended]
            click.echo("\n".join([*_told(data, prospect), *mended]))
        if not yes:
            _ask(as_json)
        with _telling(f"applies what the log of {data} holds, and writes it anew"):
            done = recovery.recover(found, secrets.token_bytes, revision_bump=bump_revision)
    if as_json:
        fields = {**_fields(data, prospect, done), "mended": found.mended}
        click.echo(render.json_line(fields))
    else:
        click.echo(
            f"recovered: {data} is node {prospect.node_id}, the only one of cluster "
            f"{done.cluster_id}, with {done.keys} keys, from term {done.term} and revision "
            f"{done.revision} on. Serve it where it was, and add nodes with `kvstore member add`"
        )
    return DONE


def _telling(what: str) -> AbstractContextManager[None]:
    waiting = (time.monotonic(), what)
    return patience.told(lambda: waiting)


def _fields(data: Path, prospect: Prospect, done: Recovery) -> dict[str, object]:
    return {
        "data": str(data),
        "node": prospect.node_id,
        "cluster": done.cluster_id,
        "term": done.term,
        "revision": done.revision,
        "keys": done.keys,
        "old_cluster": prospect.cluster_id,
        "applied_index": prospect.applied_index,
        "last_index": prospect.last_index,
        "last_term": prospect.last_term,
        "unreadable": prospect.unreadable,
        "is_member": prospect.is_member,
        "is_voter": prospect.is_voter,
        "differs_at": prospect.differs_at,
    }


def _told(data: Path, found: Prospect) -> list[str]:
    others = ",".join(str(member) for member in found.members if member != found.node_id)
    doubtful = found.last_index - found.applied_index
    lines = [
        f"{data}: node {found.node_id} of cluster {found.cluster_id}, term {found.term}; the other "
        f"members were {others or 'none'}",
        f"known to be committed: all up to entry {found.applied_index}",
    ]
    if doubtful:
        lines.append(
            f"held, and not known to be committed: {doubtful} more, up to entry {found.last_index} "
            f"of term {found.last_term}. They are kept: writes that were never acknowledged may "
            "take effect"
        )
    if found.unreadable:
        lines.append(f"lost: {found.unreadable} entries that are damaged, or behind a damaged one")
    if not found.is_voter:
        lines.append(
            "this directory was never admitted, and may lack much: is there no better one?"
        )
    if not found.is_member:
        lines.append(
            f"by its own log node {found.node_id} was removed, and the others went on without it: "
            "is there no better one?"
        )
    if found.differs_at:
        lines.append(
            f"wrong: as of entry {found.differs_at} these data differ from the majority's, nobody "
            "knows where. Any other node's directory is better, and so may be a backup"
        )
    lines.append(
        "lost: whatever others acknowledged that is not in this directory, which nobody can tell "
        "from here"
    )
    return lines


def _ask(as_json: bool) -> None:
    """Raises `click.UsageError` where nobody can be asked, and `click.Abort` for no."""
    if as_json or not sys.stdin or not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: say --yes if this is to be done")
    click.confirm("Make a cluster of one of it? The old one is over then", abort=True)
