"""The methods of a blocking client that are about the cluster: its nodes, members and backups.

Law: each is what it says of itself, and asks by `requests.py` (which tells where a new one goes).
It must not know how anything is asked.
"""

from __future__ import annotations

from typing import cast

from kvstore import api
from kvstore.client import requests
from kvstore.client.arguments import as_callback
from kvstore.client.asking import Asking
from kvstore.client.backup import OnBackupProgress, Progress, Writable, fetch


class ClusterMethods(Asking):
    """What a client may ask of a cluster, and do with it."""

    def status(self, address: str | None = None) -> api.StatusResult:
        """What one node knows: the one at `address` and no other, or any that answers."""
        if address is None:
            return self._ask(requests.status(), api.StatusResult)
        node = requests.node_at(address)
        return cast(api.StatusResult, self._ask_node(node, requests.status()))

    def backup(
        self,
        writable: Writable,
        address: str | None = None,
        *,
        on_progress: OnBackupProgress | None = None,
    ) -> Progress:
        """Write all data to `writable`, as one node has applied it at this moment.

        That is the node at `address`, which need not lead; or the leader; or, while there is
        none, who has applied most of those that answer. What was written is whole if this
        returns; `kvstore verify` and `kvstore restore` read it. `on_progress` is told after each
        piece; the timeout is for each of them. Other threads have their turns between two.
        Raises what `writable` raises too.
        """
        as_callback(on_progress, "on_progress")
        nodes = self._nodes if address is None else [requests.node_at(address)]
        return fetch(nodes, self._ask_node, writable, on_progress)

    def transfer_leader(self, to_node: int | None = None) -> api.HandOverResult:
        """Have that node lead, or the one that lags least; who leads then.

        Leadership moves once, however often it has to be asked for. If another leader has
        come in the meantime, that is the answer, or to `to_node` a RefusedError; but if an
        earlier copy may have moved it, an OutcomeUnknownError. Where nobody can take over now,
        the RefusedError has the code NOHEIR.
        """
        return self._ask(requests.transfer_leader(to_node), api.HandOverResult)

    def check(self) -> api.CheckResult:
        """Whether all nodes hold the same, as of an entry of the log; they go on meanwhile.

        Each reads all its data, so it may take minutes: the timeout is for what the leader says
        of it, about once a second.
        """
        result = self._ask(requests.check(), api.CheckResult)
        while not result.is_settled:
            result = self._ask(requests.check(result), api.CheckResult)
        return result

    # --- Members --------------------------------------------------------------------------

    def members(self) -> api.MembersResult:
        """Who the members are, who of them votes, and who answers, as the leader knows them."""
        return self._ask(requests.members(), api.MembersResult)

    def add_member(self, node_id: int, address: str) -> api.ChangeResult:
        """Have a new node, which is to be at `host:port`: it votes once it keeps up.

        This and the other changes are made once, however often they have to be asked for, and
        answered when a majority has them. What cannot be done now is a RefusedError with the
        code NOCHANGE, what never can one with ERR.
        """
        return self._change(requests.add_member(node_id, address))

    def promote_member(self, node_id: int) -> api.ChangeResult:
        """Have a node vote that does not yet, as soon as it has the log; it comes by itself."""
        return self._change(requests.promote_member(node_id))

    def remove_member(self, node_id: int) -> api.ChangeResult:
        """Have a node be no member any more; its directory is none of this cluster's from then."""
        return self._change(requests.remove_member(node_id))

    def replace_member(self, node_id: int, address: str) -> api.ChangeResult:
        """Have a new node at `host:port` in the place of one that is lost; it votes as soon."""
        return self._change(requests.replace_member(node_id, address))

    def move_member(self, node_id: int, address: str) -> api.ChangeResult:
        """Have the others look for a node at `host:port`, where it is by now, or will be."""
        return self._change(requests.move_member(node_id, address))

    def _change(self, change: api.Change) -> api.ChangeResult:
        return self._ask(change, api.ChangeResult)
