"""Wrong versions of what keeps nodes of different versions apart or together."""

from __future__ import annotations

from .mutant import Mutant

_CLUSTER = "tests/server/test_cluster_version.py::"
_FRAMES = "tests/wire/test_message_versions.py::"

UPGRADING = (
    Mutant(
        "a message that has a field more is refused",
        "_Message",
        "array_like=True, kw_only=True)",
        "array_like=True, kw_only=True, forbid_unknown_fields=True)",
        test=_FRAMES + "test_fields_of_a_newer_node_are_ignored",
    ),
    Mutant(
        "the envelope stands behind what may grow",
        "TimeoutNow",
        'frozen=True, kw_only=True, tag="timeout_now"):\n',
        'frozen=True, tag="timeout_now"):\n    why: int = 0\n',
        test=_FRAMES + "test_the_envelope_never_grows_as_the_fields_of_each_kind_stand_behind_it",
    ),
    Mutant(
        "of an entry, fields that are not known are ignored",
        "types.Entry",
        "array_like=True, forbid_unknown_fields=True, gc=False)",
        "array_like=True, gc=False)",
        test=_FRAMES + "test_of_an_entry_nothing_is_ignored_and_nothing_made_up",
    ),
    Mutant(
        "a result that has a field more is refused",
        "base.Result",
        ", forbid_unknown_fields=False",
        "",
        test="tests/wire/test_typed_command.py"
        "::test_a_result_of_a_newer_node_is_read_as_far_as_it_is_known",
    ),
    Mutant(
        "of a request, fields that are not known are ignored",
        "base.Request",
        "class Request(Struct, frozen=True):",
        "class Request(Struct, frozen=True, forbid_unknown_fields=False):",
        test="tests/wire/test_typed_command.py::test_of_a_request_nothing_is_ignored",
    ),
    Mutant(
        "an entry of a later version is taken for damage",
        "records.decode_entry",
        "        raise DirectoryRefusedError(\n",
        "        raise DamagedError(\n",
        test="tests/storage/test_directory.py"
        "::test_an_entry_of_a_later_version_is_refused_and_never_mended",
    ),
    Mutant(
        "peers that have no version in common talk",
        "check_versions",
        "    if theirs.speaks.meets(ours.speaks):\n",
        "    if theirs.speaks.newest >= ours.speaks.oldest:\n",
        test=_CLUSTER + "test_peers_whose_ranges_do_not_meet_are_told_which_to_upgrade",
    ),
    Mutant(
        "who is too old for the cluster is let in",
        "Acquaintances.reason_to_refuse",
        "reason_outdated(theirs, self.hello_to(theirs.node_id))",
        "None",
        test=_CLUSTER + "test_who_is_too_old_for_the_cluster_is_refused_for_good",
    ),
    Mutant(
        "a node that is too old does not believe its peers",
        "Acquaintances.check_own_version",
        "            raise DirectoryRefusedError(outdated)\n",
        "            return\n",
        test=_CLUSTER + "test_a_node_that_a_peer_shows_to_be_too_old_ends",
    ),
    Mutant(
        "no turn asks whether all speak a newer version",
        "Turn.first_half",
        "        node.cluster_version.tick(around.spoken_versions)\n",
        "",
        test=_CLUSTER + "test_the_leader_raises_the_version_when_all_speak_a_newer_one",
    ),
    Mutant(
        "the version is raised while a member is away",
        "ClusterVersion.tick",
        "spoken.keys() >= {*peers}",
        "spoken",
        test=_CLUSTER + "test_one_that_is_older_or_away_holds_the_version_back",
    ),
    Mutant(
        "the version is raised to what the leader speaks",
        "ClusterVersion.tick",
        "min([self.speaks.newest, *(spoken[peer].newest for peer in peers)])",
        "self.speaks.newest",
        test=_CLUSTER + "test_one_that_is_older_or_away_holds_the_version_back",
    ),
    Mutant(
        "the version is proposed again in every turn",
        "Leadership.raise_version",
        "        self._version = version\n",
        "",
        test=_CLUSTER + "test_the_leader_raises_the_version_when_all_speak_a_newer_one",
    ),
    Mutant(
        "the version goes back",
        "StateMachine.adopt",
        "max(version, self.cluster_version)",
        "version",
        test=_CLUSTER + "test_a_version_does_not_go_back_whatever_a_later_entry_says",
    ),
    Mutant(
        "the version is forgotten with the next start",
        "StateMachine.applied",
        "            self.cluster_version,\n",
        "            2,\n",
        test=_CLUSTER + "test_the_version_is_kept_with_the_data_and_found_again",
    ),
    Mutant(
        "what needs a newer version is proposed before all have it",
        "Node.submit_command",
        "        if version.missing and (failure := version.refuse(command)):\n",
        "        if failure := None:\n",
        test=_CLUSTER + "test_what_needs_a_newer_version_is_refused_until_the_cluster_has_it",
    ),
    Mutant(
        "what needs a newer version stays refused once all have it",
        "ClusterVersion.apply",
        "        self.note()\n",
        "",
        test=_CLUSTER + "test_what_needs_it_is_taken_as_soon_as_it_is_applied_and_not_before",
    ),
    Mutant(
        "a session carries what the cluster does not take yet",
        "since_of",
        "max(since, since_of(command.write)) if isinstance(command, Once) else since",
        "since",
        test=_CLUSTER + "test_a_write_in_a_session_needs_what_its_write_needs",
    ),
    Mutant(
        "a program that is too old goes on behind the entry",
        "ClusterVersion.apply",
        "        self.check(version)\n",
        "",
        test=_CLUSTER
        + "test_a_program_that_is_too_old_ends_at_the_entry_and_applies_nothing_behind_it",
    ),
    Mutant(
        "a program that is too old starts on newer data",
        "ClusterVersion.__init__",
        "        self.check(machine.cluster_version)\n",
        "",
        test=_CLUSTER + "test_a_program_that_is_too_old_for_its_own_data_does_not_start",
    ),
    Mutant(
        "a link carries what its peer does not know",
        "PeerLink.send",
        " or self._speaks.newest < message.SINCE:",
        ":",
        test="tests/server/test_peers.py::test_a_peer_gets_no_message_of_a_kind_it_does_not_know",
    ),
    Mutant(
        "a node forgets the version as it starts again",
        "StateMachine.applied",
        "            self.cluster_version,\n",
        "            min(2, self.cluster_version),\n",
    ),
    Mutant(
        "commands of the next version are proposed before it",
        "ClusterVersion.note",
        "range(self._machine.cluster_version + 1, ",
        "range(self._machine.cluster_version + 2, ",
    ),
    Mutant(
        "what the leader speaks is enough for a command",
        "ClusterVersion.refuse",
        "needed not in self.missing",
        "needed <= self.speaks.newest",
    ),
    Mutant(
        "the version is raised though one member is older",
        "ClusterVersion.tick",
        "min([self.speaks.newest, ",
        "max([self.speaks.newest, ",
    ),
    Mutant(
        "the version is raised by those who are there",
        "ClusterVersion.tick",
        "        if not spoken.keys() >= {*peers}:\n            return\n",
        "        spoken = dict.fromkeys(peers, self.speaks) | spoken\n",
    ),
    Mutant(
        "a cluster of newer nodes stays at its version",
        "ClusterVersion.tick",
        "        if version > has:",
        "        if version > has + 1:",
    ),
    Mutant(
        "a node runs on with a program that is a little too old",
        "ClusterVersion.check",
        "version > self.speaks.newest:",
        "version > self.speaks.newest + 1:",
    ),
    Mutant(
        "who judges versions passes what is written under a session",
        "Upgrades._needed",
        "0 if isinstance(command, api.Internal) else self._since_of(command)",
        "0 if isinstance(logged, api.Stamped) else self._since_of(logged)",
        test="tests/sim/test_releases.py::test_a_command_that_comes_before_its_version_is_found",
    ),
    Mutant(
        "ranges of versions meet where the other one is newer",
        "Versions.meets",
        "self.oldest <= other.newest and other.oldest <= self.newest",
        "self.oldest <= other.newest",
        test="tests/raft/test_versions.py::test_ranges_meet_where_both_have_a_version",
    ),
    Mutant(
        "ranges of versions meet where the other one is older",
        "Versions.meets",
        "self.oldest <= other.newest and other.oldest <= self.newest",
        "other.oldest <= self.newest",
        test="tests/raft/test_versions.py::test_ranges_meet_where_both_have_a_version",
    ),
    Mutant(
        "a learner gets a version that it does not speak",
        "ClusterVersion.tick",
        "configuration.members_besides(",
        "configuration.voters_besides(",
        test="tests/server/test_cluster_version.py"
        "::test_a_learner_that_is_older_holds_the_version_back_too",
    ),
)
