"""Wrong versions of how members change: what is allowed, how often it is made, and who is believed.

Law: each is one plausible mistake, named by what it does wrong, and noticed by the scripted test
that it names.
"""

from __future__ import annotations

from .mutant import Mutant

_RULES = "tests/server/test_member_changes.py"
_CHANGES = "tests/server/test_changes.py"
_ROSTER = "tests/server/test_roster.py"
_PEERS = "tests/server/test_peers.py"
_CLIENT = "tests/client/test_members.py"

MEMBERS = (
    Mutant(
        "a change is made that those who answer cannot commit",
        "_with_majority",
        "    if after.has_majority(known.answering):\n",
        "    if after.has_majority(known.answering | after.voters):\n",
        test=_RULES,
    ),
    Mutant(
        "a node that moves counts before it is there",
        "_moved",
        "    if known.addresses.get(member.node_id) != address:\n",
        "    if not known.addresses:\n",
        test=_RULES,
    ),
    Mutant(
        "two nodes get one address",
        "_complaint_about_address",
        "        if one.node_id != change.node_id:\n",
        "        if one.node_id < change.node_id:\n",
        test=_RULES,
    ),
    Mutant(
        "who has moved was replaced",
        "member_changes.holds",
        "not member.is_voter or member.admitted_at > (change.after or 0)",
        "True",
        test=_RULES,
    ),
    Mutant(
        "who was replaced and votes again was not",
        "member_changes.holds",
        " or member.admitted_at > (change.after or 0)",
        "",
        test=_RULES,
    ),
    Mutant(
        "a node is added again",
        "_added",
        "    if member is not None:\n",
        "    if member is not None and not member.is_voter:\n",
        test=_RULES,
    ),
    Mutant(
        "a cluster gets one member more than it may have",
        "_added",
        "len(configuration.members) >= MEMBERS_MAX",
        "len(configuration.members) > MEMBERS_MAX",
        test=_RULES,
    ),
    Mutant(
        "a copy of a change is taken for another one",
        "_begun",
        "    if change.after not in (None, index):\n",
        "    if change.after is not None and change.after > index:\n",
        test=_CHANGES,
    ),
    Mutant(
        "a change is refused for what is under way before its leader has a majority",
        "changes._begun",
        "    if not raft.has_committed_in_term:\n",
        "    at = raft.log.configurations.in_force_at\n"
        "    if not raft.has_committed_in_term and at <= raft.commit_index:\n",
        test=_CHANGES,
    ),
    Mutant(
        "a change is begun while another is under way",
        "_begun",
        "    if not is_committed:\n",
        "    if index > log.last_index:\n",
        test=_CHANGES,
    ),
    Mutant(
        "the outcome of a change is told before a majority has it",
        "_outcome",
        "    if index <= log.commit_index and log.holds(index, term):\n",
        "    if log.holds(index, term):\n",
        test=_CHANGES,
    ),
    Mutant(
        "a change is told to be rolled back as soon as its leader leads no more",
        "changes._outcome",
        "if is_dead(name, applied, log.term(applied)) else None",
        "if not here.raft.takes_commands else None",
    ),
    Mutant(
        "a change is refused that waits for a majority for too long",
        "WaitingChanges.give_up_overdue",
        "told(overdue, refusals.CHANGE_UNKNOWN)",
        "told(overdue, refusals.cannot_change('it takes too long', may_pass=True))",
        test=_CHANGES,
    ),
    Mutant(
        "a change that is made is refused",
        "changes._begun",
        "    return raft.change(after)\n",
        "    raft.change(after)\n    return refusals.cannot_change('not now', may_pass=True)\n",
    ),
    Mutant(
        "a change is told to be done as the node is a member at all",
        "member_changes.holds",
        "            return member is not None and member.is_voter\n",
        "            return member is not None\n",
        test=_RULES,
    ),
    Mutant(
        "a change is asked for again of whatever members there are by then",
        "Caller._ask",
        "            request = msgspec.structs.replace(request, after=index)\n",
        "            assert index >= 0\n",
        test=_CLIENT,
    ),
    Mutant(
        "a change that was not answered is said to have changed nothing",
        "_doubt",
        "    if not isinstance(asked, (*api.WRITES, api.HandOver, *api.CHANGES)):\n",
        "    if not isinstance(asked, (*api.WRITES, api.HandOver)):\n",
        test=_CLIENT,
    ),
    Mutant(
        "a client goes on with the members that it was given",
        "Knowledge.meet",
        "replace(known, members=members, members_at=found.index)",
        "replace(known, members_at=found.index)",
        test=_CLIENT,
    ),
    Mutant(
        "a stranger is believed whatever it knows",
        "Roster.believes",
        "configured_at > self._index",
        "configured_at >= self._index",
        test=_ROSTER,
    ),
    Mutant(
        "who leaves by a configuration that is not committed is not heard",
        "Roster._note",
        "        everybody |= before | self._members\n",
        "        everybody |= self._members\n",
        test=_ROSTER,
    ),
    Mutant(
        "a stranger stays, though the log has come further and says nothing of it",
        "Roster._note",
        " and stranger.configured_at > self._index",
        "",
        test=_ROSTER,
    ),
    Mutant(
        "a learner is told that it was removed before that is committed",
        "Roster.removed_at",
        "raft.has_committed_in_term and index <= raft.commit_index",
        "raft.has_committed_in_term",
        test=_ROSTER,
    ),
    Mutant(
        "a learner whose addition was truncated is told that it was removed",
        "Roster._was_member",
        "at < log.start.index or log.configurations.as_of(at).member(node_id) is not None",
        "True",
        test=_ROSTER,
    ),
    Mutant(
        "members change by who was asked, whether they answer or not",
        "Progress.__init__",
        "self.answered_ms = -math.inf",
        "self.answered_ms = heard_ms",
        test="tests/raft/test_rejoin.py"
        "::test_who_was_only_asked_by_a_new_leader_does_not_answer_yet",
    ),
    Mutant(
        "a directory stays ended by a configuration that was truncated",
        "Configurations.truncate",
        "        self._ends.clear()\n",
        "",
        test="tests/raft/test_old_directories.py"
        "::test_what_ends_a_directory_is_looked_for_once_and_anew_when_the_log_changes",
    ),
    Mutant(
        "a directory goes on to vote by what was known before its end",
        "Configurations.add",
        "        self._ends.clear()\n",
        "",
        test="tests/raft/test_old_directories.py"
        "::test_what_ends_a_directory_is_looked_for_once_and_anew_when_the_log_changes",
    ),
    Mutant(
        "a leader whose majority a new voter makes has not heard it",
        "Leadership._change_for",
        "            self._progress[peer].heard_ms = self._now_ms\n",
        "            pass\n",
        test="tests/raft/test_configuration.py"
        "::test_who_is_promoted_counts_as_answering_from_then_on",
    ),
    Mutant(
        "an entry may hold any number of members",
        "configuration_of",
        " or len(ids) > MEMBERS_BELIEVED_MAX",
        "",
        test="tests/raft/test_old_directories.py"
        "::test_entries_that_a_configuration_malformed_is_refused_before_it_reaches_the_core",
    ),
    Mutant(
        "a peer is looked for nowhere but where the configuration has it",
        "PeerLink._next_address",
        "(self._elsewhere() if is_turn_of_other else None) or ",
        "",
        test=_PEERS,
    ),
    Mutant(
        "a peer that says it is elsewhere is dialled only there",
        "PeerLink._next_address",
        "self._elsewhere() if is_turn_of_other else None",
        "self._elsewhere()",
        test=_PEERS,
    ),
    Mutant(
        "where a peer says that it is, it is looked for though it should be elsewhere",
        "Roster.elsewhere",
        " if node_id in self._elsewhere or knows_better else None",
        "",
        test=_ROSTER,
    ),
    Mutant(
        "a node that lags looks for its leader where that was once",
        "Roster.elsewhere",
        " or knows_better",
        "",
        test=f"{_ROSTER}"
        "::test_a_node_that_lags_believes_a_peer_that_knows_newer_members_where_it_is",
    ),
    Mutant(
        "who was elsewhere once is so for ever",
        "Roster.meet",
        "(self._elsewhere.add if is_elsewhere else self._elsewhere.discard)(node_id)",
        "self._elsewhere |= {node_id} if is_elsewhere else set()",
        test=_ROSTER,
    ),
    Mutant(
        "a hello does not say that its node is elsewhere",
        "Acquaintances.hello_to",
        "            is_elsewhere=self._is_elsewhere(),\n",
        "",
        test="tests/server/test_acquaintances.py",
    ),
    Mutant(
        "a directory is given up in silence",
        "Leadership._change_for",
        "            if configuration is not None:\n                self._events",
        "            if False:\n                self._events",
        test="tests/raft/test_rejoin.py",
    ),
    Mutant(
        "strangers are kept without end",
        "Roster.meet",
        "len(self._strangers) >= MEMBERS_MAX",
        "len(self._strangers) >= 100 * MEMBERS_MAX",
        test=_ROSTER,
    ),
    Mutant(
        "a peer that has moved is looked for where it was",
        "Peers._follow",
        "            if peer in before and before[peer].address == address\n",
        "            if peer in before\n",
        test="tests/server/test_peers.py::test_links_follow_the_peers_that_come_and_go_and_move",
    ),
    Mutant(
        "the address in a hello is taken as it comes",
        "decode_hello",
        "    _check_address(hello.address)\n",
        "",
        test="tests/wire/test_peer_frames.py::test_an_unsound_hello_is_refused",
    ),
    Mutant(
        "an operator is told to add a node to another cluster than it is to join",
        "joining.admitted",
        "                if settings.cluster_id and not",
        "                if not _reason_to_wait(found, settings) and settings.cluster_id and not",
        test="tests/cli/test_joining.py"
        "::test_another_cluster_is_an_error_before_anybody_is_told_to_add_this_node_to_it",
    ),
    Mutant(
        "a node that joins forgets by what it could",
        "joining.admitted",
        ", joined_at=found.index\n",
        "\n",
        test="tests/cli/test_joining.py::test_who_is_a_member_here_begins_at_once",
    ),
    Mutant(
        "who was removed before it heard of its members waits to be added",
        "Roster.configured_at",
        "else self._joined_at",
        "else NO_MEMBER",
        test="tests/server/test_greetings.py"
        "::test_who_joined_and_was_removed_before_it_heard_of_its_members_is_told_so",
    ),
    Mutant(
        "a node begins where nobody looks for it",
        "_reason_to_wait",
        "    if member.address == str(address):\n",
        "    if member.address:\n",
        test="tests/cli/test_joining.py",
    ),
)
