"""What tests do inside of a client."""

from __future__ import annotations

from kvstore import Client


def forget_leader(client: Client) -> None:
    """As if that one had failed, so that the client asks in the order given again."""
    knowledge = client._caller._knowledge
    if (leader := knowledge.now.leader) is not None:
        knowledge.forget_leader(leader)
