"""Wrong versions of what operators and supervisors are told.

Law: each is one plausible mistake, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

_ADVICE = "tests/cli/test_advice.py"
_JSON = "tests/cli/test_json.py"
_WATCHING = "tests/cli/test_watching.py"
_EVENTS = "tests/server/test_event_log.py"

WATCHING = (
    Mutant(
        "who was removed is to be started",
        "_no_members",
        "if view.leader is None or not is_gone:",
        "if True:",
        test=_ADVICE,
    ),
    Mutant(
        "who is named by settings is a member for ever",
        "View._silent_members",
        "self.leader is None or member in self.members",
        "True",
        test=_ADVICE,
    ),
    Mutant(
        "who is found by its own word is to be started where it was",
        "View.reason_not_there",
        "            nobody_there = there.reason\n",
        "            pass\n",
        test=_ADVICE,
    ),
    Mutant(
        "who is found by its own word is where it should be",
        "_answering",
        "if cut_off else one.members.get(member, one.reached_at)",
        "if cut_off else one.reached_at",
        test=_ADVICE,
    ),
    Mutant(
        "a leader that was deposed counts beside the one that followed it",
        "View.__init__",
        "            key=lambda answer: answer.term,\n            default=None",
        "            key=lambda answer: -answer.term,\n            default=None",
        test=_ADVICE,
    ),
    Mutant(
        "no leader is blamed on one full disk of three",
        "_why_no_leader",
        "    if len(short) >= view.majority:\n",
        "    if short:\n",
        test=_ADVICE,
    ),
    Mutant(
        "a pipe with settings is read for the format of the log alone",
        "_format_in.text",
        ' if path.is_file() else ""\n',
        "\n",
        test="tests/config/test_sources.py::test_a_pipe_is_left_to_who_gathers_settings",
    ),
    Mutant(
        "a file that a variable names is read in place of --config",
        "gather.file_name",
        '    file_name = options.get("config") or environ.get("KVSTORE_CONFIG")\n',
        '    file_name = environ.get("KVSTORE_CONFIG") or options.get("config")\n',
        test="tests/config/test_sources.py::test_the_file_of_the_command_line_is_read_and_no_other",
    ),
    Mutant(
        "a node that was not asked is counted among those that answer",
        "_spares.answering",
        "    answering = sum(member in view.answers for member in view.members)\n",
        "    answering = len(view.members) - len(view.silent)\n",
        test=_ADVICE,
    ),
    Mutant(
        "a node that waits to be admitted counts as one that may fail",
        "View.voters",
        "return [one.node_id for one in self.answers.values() if one.is_voter]",
        "return [one.node_id for one in self.answers.values()]",
        test=_ADVICE,
    ),
    Mutant(
        "a node that was not asked is taken for one that is down",
        "View.may_fail.there",
        "one for one in self.not_asked if self.linked_to(one)",
        "one for one in self.not_asked if False",
        test=_ADVICE,
    ),
    Mutant(
        "a node that has moved is told as one that is down",
        "_absent",
        "        if view.reason_not_there(member):\n",
        "        if False:\n",
        test=_ADVICE,
    ),
    Mutant(
        "lost directories are hoped for",
        "_why_no_leader",
        "    if waiting and may_count < view.majority:\n",
        "    if False:\n",
        test=_ADVICE,
    ),
    Mutant(
        "a leader without a majority passes for one that takes writes",
        "_leadership",
        "        if (view.may_fail or 0) < 0:\n",
        "        if False:\n",
        test=_ADVICE,
    ),
    Mutant(
        "a full leader passes for one that takes writes",
        "_room.leads",
        "    leads = view.leader is not None and view.leader.is_short_of_room\n",
        "    leads = False\n",
        test=_ADVICE,
    ),
    Mutant(
        "a node is ready by what it believes",
        "_reason_not_ready",
        "    if isinstance(found, api.GetResult):\n        return None\n",
        "    if found:\n        return None\n",
        test=_WATCHING,
    ),
    Mutant(
        "a read of what the node has shows that it is ready",
        "_reason_not_ready.read",
        ", from_any=True)",
        ")",
        test=_WATCHING,
    ),
    Mutant(
        "an error is told on standard error to who wants JSON",
        "outcomes.tell",
        "    if not (as_json and _is_printed(outcome)):\n",
        "    if not as_json or _is_printed(outcome):\n",
        test=_JSON,
    ),
    Mutant(
        "a value behind -- asks for JSON",
        "are_json.options",
        'words[: words.index("--")] if "--" in words else words',
        "words",
        test=f"{_JSON}::test_a_value_is_no_option",
    ),
    Mutant(
        "a command that is to be quiet tells of its waiting",
        "telling",
        "return nullcontext() if is_quiet else patience.told(waiting)",
        "return nullcontext() if not waiting else patience.told(waiting)",
        test="tests/cli/test_waiting.py",
    ),
    Mutant(
        "the second question of health gets the whole timeout again",
        "_reason_not_ready",
        "probe.ask_all([node], read, until)",
        "probe.ask_all([node], read, until + 2.0)",
        test=f"{_WATCHING}::test_both_questions_of_health_have_one_deadline",
    ),
    Mutant(
        "nodes are asked one after the other",
        "ask_all",
        "    with ThreadPoolExecutor(len(nodes)) as threads:\n",
        "    with ThreadPoolExecutor(1) as threads:\n",
        test="tests/cli/test_reading.py::test_status_asks_the_nodes_side_by_side",
    ),
    Mutant(
        "a variable comes before the command line",
        "all_nodes",
        '    if config is None and (named := environ.get("KVSTORE_TO")):\n',
        '    if named := environ.get("KVSTORE_TO"):\n',
        test=_WATCHING,
    ),
    Mutant(
        "health asks where the others reach the node",
        "cluster_from.bound",
        '    bound = read(given, "bind", partial(parse_bind, port=address.port), address)\n',
        "    bound = address\n",
        test=_WATCHING,
    ),
    Mutant(
        "a mistyped variable is passed over",
        "gather",
        "    _check_variables(environ)\n",
        "",
        test="tests/config/test_sources.py",
    ),
    Mutant(
        "a service link is a setting",
        "gather",
        "        if environ.get(variable) and not _is_service_link(variable, environ):\n",
        "        if environ.get(variable):\n",
        test="tests/config/test_sources.py",
    ),
    Mutant(
        "why a server ends is text, whatever its log is",
        "LastWords.say",
        "        if logs.are_json():\n",
        "        if False:\n",
        test="tests/cli/test_last_words.py",
    ),
    Mutant(
        "being replaced is told as a handover",
        "Raft.step.kind",
        "            kind = events.Deposed if self.takes_commands else events.SteppingDown\n",
        "            kind = events.SteppingDown\n",
        test=_EVENTS,
    ),
    Mutant(
        "a handover is told as a loss",
        "Raft.step.kind",
        "            kind = events.Deposed if self.takes_commands else events.SteppingDown\n",
        "            kind = events.Deposed if self.role is Role.LEADER else events.SteppingDown\n",
        test=_EVENTS,
    ),
    Mutant(
        "refusing writes is told like a restart",
        "WARNINGS",
        "    events.ShortOfRoom,\n",
        "",
        test=_EVENTS,
    ),
    Mutant(
        "a start is told as a standstill",
        "Node._notice_stall.silent_ms",
        "        silent_ms = now_ms - self.now_ms if self.now_ms else 0.0\n",
        "        silent_ms = now_ms - self.now_ms\n",
        test=_EVENTS,
    ),
    Mutant(
        "a peer that is restarted is a warning",
        "PeerLink._lost.say",
        "            say = self._log.warning if is_refused else self._log.info\n",
        "            say = self._log.warning\n",
        test=_EVENTS,
    ),
    Mutant(
        "a peer that was missed once is never missed again",
        "PeerLink._on_bytes",
        "self._down_since_ms, self._is_missed = math.inf, False",
        "self._down_since_ms = math.inf",
        test="tests/server/test_peers.py::test_each_absence_that_is_long_is_told_once",
    ),
    Mutant(
        "a peer that is away shortly is missed as it was away before",
        "PeerLink._on_bytes",
        "self._down_since_ms, self._is_missed = math.inf, False",
        "self._is_missed = False",
        test="tests/server/test_peers.py::test_each_absence_that_is_long_is_told_once",
    ),
    Mutant(
        "a link to where a peer says that it is is told as one to where it should be",
        "PeerLink._at",
        "(self._dialled if self._is_ready else None) or self.address",
        "self.address",
        test="tests/server/test_peers.py"
        "::test_a_peer_that_says_it_is_elsewhere_is_dialled_there_by_turns",
    ),
    Mutant(
        "what kept a leader from a snapshot is told though it writes one",
        "Spooling.waits_for",
        '"" if self._writing or self._file else self._setback.reason',
        "self._setback.reason",
        test="tests/server/test_sending_snapshots.py"
        "::test_a_file_that_takes_too_much_while_it_is_written_is_given_up_and_tried_again",
    ),
)
