"""Wrong versions of how clients of Redis Cluster are guided to the leader.

Law: each is one plausible mistake, named by what it does wrong, with the scripted test
that notices; no simulated run has such clients in it.
"""

from __future__ import annotations

from .mutant import Mutant

_CLIENTS = "tests/server/test_cluster_clients.py"
_SLOTS = "tests/wire/test_key_slots.py"

GUIDING = (
    Mutant(
        "a cluster client is sent to a leader that has just died",
        "RespCodec._refusal.is_there",
        "self._service.reach.leader is not None",
        "True",
        test=f"{_CLIENTS}::test_nobody_is_sent_to_a_leader_that_cannot_be_reached",
    ),
    Mutant(
        "clients are sent to where the configuration has the leader, wherever it was found",
        "Reach.place_of",
        "(self.leads_to(node_id) or peers[node_id])",
        "peers[node_id]",
        test=f"{_CLIENTS}::test_a_leader_is_named_where_it_was_found",
    ),
    Mutant(
        "the map has the nodes where the configuration has them",
        "cluster_command._nodes",
        "view.reach.members.items()",
        "view.reach._roster.members.items()",
        test=f"{_CLIENTS}::test_a_leader_is_named_where_it_was_found",
    ),
    Mutant(
        "a node takes itself to be where the configuration has it",
        "Reach.place_of",
        "roster.said[node_id]",
        "roster.members[node_id]",
        test=f"{_CLIENTS}::test_a_node_is_itself_where_its_settings_say",
    ),
    Mutant(
        "a peer counts as found where it was dialled last",
        "PeerLink.leads_to",
        "self._dialled if self.is_ready else None",
        "self._dialled",
        test="tests/server/test_peers.py"
        "::test_a_peer_that_says_it_is_elsewhere_is_dialled_there_by_turns",
    ),
    Mutant(
        "the list of members does not say who is found elsewhere",
        "node_status.members_of",
        '"" if (there := str(found[one.node_id])) == one.address else there',
        '""',
        test=f"{_CLIENTS}::test_the_members_list_tells_where_they_should_be_and_where_they_are",
    ),
    Mutant(
        "a node that is cut off names itself for all slots",
        "cluster_command._owner",
        "view.settings.node_id if view.reach.has_majority else None",
        "view.settings.node_id",
        test=f"{_CLIENTS}::test_who_is_to_be_asked_is_the_leader_or_who_may_see_one_elected",
    ),
    Mutant(
        "who asks for the nodes is told in words that it does not know",
        "cluster_command._owner",
        "    state.follows_moved = True\n",
        "",
        test=f"{_CLIENTS}::test_who_knows_clusters_is_told_where_the_first_key_is",
    ),
    Mutant(
        "a follower's own log counts for that of others",
        "_offset",
        "status.match_index.get(node, 0)",
        "status.match_index.get(node, own)",
        test=f"{_CLIENTS}::test_a_follower_tells_how_far_its_own_log_goes_and_no_other",
    ),
    Mutant(
        "a brace that is not closed makes a tag",
        "key_slot",
        "tag if tag and brace else key",
        "tag or key",
        test=f"{_SLOTS}::test_clients_find_the_same_slots",
    ),
)
