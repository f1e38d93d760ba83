"""A node without a directory asks the cluster that it is to join, and waits until it may.

Law: it begins as a member where the others look for it, or not at all: else it would wait in vain
for what nobody sends. While it waits, its log says what to do, once for each reason.
"""

from __future__ import annotations

import time
from typing import Final, cast

import msgspec
from structlog.typing import FilteringBoundLogger

from kvstore import api
from kvstore.client.blocking import Client
from kvstore.cluster_names import is_meant
from kvstore.config.settings import Settings
from kvstore.errors import ConfigError, RequestError

_ASK_EVERY_S: Final = 0.2
_PATIENCE_MS: Final = 1_000


def admitted(settings: Settings, log: FilteringBoundLogger) -> Settings:
    """The settings, with the name of the cluster, once this node is a member of it there, and with
    the index by which it is one.

    Raises `ConfigError` if it is another cluster than the settings name.
    """
    nodes = ",".join(map(str, settings.join))
    said = ""
    with Client(nodes, _PATIENCE_MS) as client:
        while True:
            try:
                found = _members(client)
            except RequestError as error:
                why = f"it cannot be asked yet ({error})"
            else:
                if settings.cluster_id and not is_meant(settings.cluster_id, found.cluster_id):
                    raise ConfigError(
                        f"the nodes at {nodes} are cluster {found.cluster_id}, not "
                        f"{settings.cluster_id}: correct --join or --cluster"
                    )
                if (reason := _reason_to_wait(found, settings)) is None:
                    return msgspec.structs.replace(
                        settings, cluster_id=found.cluster_id, joined_at=found.index
                    )
                why = reason
            if why != said:
                said = why
                log.info(f"waits to join the cluster of {nodes}: {why}", code="joining")
            time.sleep(_ASK_EVERY_S)


def _members(client: Client) -> api.MembersResult:
    """As the leader knows them; where nobody leads, as any node does.

    A node that lost its directory is a member all the same, and its operator is to see it.
    """
    try:
        return client.members()
    except RequestError:
        return cast(api.MembersResult, client.execute(api.Members(), stale=True))


def _reason_to_wait(found: api.MembersResult, settings: Settings) -> str | None:
    """Why this node is no member yet, and what to do; None if it is one."""
    node_id, address = settings.node_id, settings.address
    member = next((one for one in found.members if one.node_id == node_id), None)
    if member is None:
        return f"node {node_id} is no member yet: kvstore member add {node_id} {address}"
    if member.address == str(address):
        return None
    if member.answers:
        return (
            f"node {node_id} is at {member.address} now, and answers there: leave this one off, or "
            f"start it with an --id that is free, and kvstore member add ID {address}"
        )
    return (
        f"node {node_id} is a member at {member.address}, not at {address}: start it there, or if "
        f"that one is lost, kvstore member replace {node_id} --with {address}"
    )
