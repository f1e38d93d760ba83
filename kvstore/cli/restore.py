"""The command `kvstore restore`: a directory of a new cluster, made from a backup.

Law: what the directory becomes follows from the backup and the settings alone, so that all members
that are restored from one file with the same settings are one cluster.
"""

from __future__ import annotations

import os
import secrets
import time

import click
import msgspec

from kvstore.cli import node_options as given
from kvstore.cli import patience, render
from kvstore.cli.backups import opened, shown_name
from kvstore.cli.options import Command, as_json, options
from kvstore.cluster_names import STEM_CHARACTERS_MAX, is_meant, successor_of
from kvstore.config.limits import RESTORE_BUMP
from kvstore.config.settings import Settings, settings_from
from kvstore.errors import ConfigError
from kvstore.exit_codes import DONE


@click.command(cls=Command, short_help="Make a new cluster's directory from a backup.")
@click.argument("file")
@options(
    given.ID,
    given.PORT,
    given.PEERS,
    given.HOST,
    given.CLUSTER,
    given.DATA,
    given.LOG_MAP_BYTES,
    given.STATE_MAP_BYTES,
    given.bump_revision(RESTORE_BUMP),
    given.CONFIG,
    as_json,
)
def restore(file: str, bump_revision: int, as_json: bool, **settings: str | None) -> int:
    """Make the data directory of one node of a new cluster from the backup in FILE.

    FILE may be - for standard input. Do so once for each node, with the settings that it will
    be served with, and the same FILE and --bump-revision; then serve them. Only one node is
    needed for a cluster of one (--peers none).

    It is a new cluster, under a name of its own: nodes and clients of the old one are
    refused, and so is a node that was restored with another FILE, --bump-revision or other
    members. Client sessions are over. The revision goes up by far more than the old
    cluster can have written since the backup; if a backup is restored that was restored
    before, and written to, say twice as much with --bump-revision, which makes another
    cluster again.

    The directory must not be there. It is made whole, or not at all.

    \b
    Examples:
      kvstore restore monday.backup --id 1 --port 9001 --peers 9002,9003 --data data/n1
      kvstore serve --id 1 --port 9001 --peers 9002,9003 --data data/n1
    """
    # Other commands should not wait for the storage's modules to load.
    from kvstore.raft.configuration import Configuration
    from kvstore.storage.base import Identity
    from kvstore.storage.records import FORMAT_VERSION
    from kvstore.storage.restoring import restore_snapshot
    from kvstore.storage.snapshot_file import SnapshotReader
    from kvstore.storage.tables import count_words, outliving

    node = settings_from(settings, os.environ)
    if not node.members:
        raise ConfigError("name the other nodes of the new cluster with --peers, or none, as ''")
    waiting = (time.monotonic(), f"reads {shown_name(file)}, and makes {node.data_dir} of it")
    with opened(file) as stream, patience.told(lambda: waiting):
        reader = SnapshotReader(stream, shown_name(file))
        founders = Configuration.of_founders({one: str(at) for one, at in node.members.items()})
        identity = Identity(
            format_version=FORMAT_VERSION,
            cluster_id=_cluster_of(node, reader.header, founders, bump_revision),
            node_id=node.node_id,
            incarnation=secrets.token_hex(16),
        )
        restored = restore_snapshot(
            reader,
            node.data_dir,
            identity,
            founders,
            revision_bump=bump_revision,
            log_map_bytes=node.log_map_bytes,
            state_map_bytes=node.state_map_bytes,
        )
    header = restored.header
    kept = outliving(header.counts)
    if as_json:
        fields = {"data": str(node.data_dir), "node": node.node_id, "cluster": identity.cluster_id}
        more = {"index": header.index, "revision": restored.revision, **kept}
        click.echo(render.json_line({**fields, **more}))
    else:
        click.echo(
            f"restored {count_words(kept)} as of index {header.index} of cluster "
            f"{header.cluster_id}\n{node.data_dir} is node {node.node_id} of the new cluster "
            f"{identity.cluster_id}; its revisions go on from {restored.revision}"
        )
    return DONE


def _cluster_of(node: Settings, *origin: object) -> str:
    """The name of the new cluster: by all in which its members must agree.

    A node that was restored with a slip is a stranger then, and no member that differs unseen.
    """
    name = successor_of(node.cluster_id, msgspec.msgpack.encode(origin))
    if not is_meant(node.cluster_id, name):
        raise ConfigError(
            f"--cluster: {node.cluster_id} leaves no room to say that the cluster was restored: "
            f"give a name of at most {STEM_CHARACTERS_MAX} characters"
        )
    return name
