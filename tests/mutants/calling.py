"""Wrong versions of the client: what it sends again, to whom, as whom, and what it says.

Law: each is one plausible mistake, named by what it does wrong. Simulated runs have what
the client decides in them, but no socket, thread or copy, and not every hour of bad luck:
where they do not come to show it, or not soon, it says which scripted test must notice.
"""

from __future__ import annotations

from .mutant import Mutant

_FENCING = "tests/client/test_fencing.py"

CALLING = (
    Mutant(
        "a cluster that is no more is waited for",
        "Course.foreign",
        "        if self._foreign.issuperset(self._nodes):\n",
        "        if False:\n",
        test=_FENCING,
    ),
    Mutant(
        "one node of another cluster speaks for all",
        "Course.foreign",
        "self._foreign.issuperset(self._nodes)",
        "self._foreign",
        test=_FENCING,
    ),
    Mutant(
        "a write in doubt was not made if another cluster has taken the place",
        "Course._end_among_others",
        "if self.doubt is not None:",
        "if False:",
        test=_FENCING,
    ),
    Mutant(
        "a bare write is sent again",
        "_may_be_repeated",
        "    return not isinstance(request, api.WRITES)\n",
        "    return True\n",
    ),
    Mutant(
        "a node that says it does not know is taken to have refused",
        "Caller._turn_away",
        '            _doubt(course, request, f"which said: {failure.message}")\n',
        "",
        test="tests/client/test_retries.py",
    ),
    Mutant(
        "a node that is full is no such thing to a stale read",
        "Links._link",
        "raise Full if is_full else NotSent(",
        "raise NotSent(",
        test="tests/client/test_full_nodes.py",
    ),
    Mutant(
        "a look-up that hangs hides why the one before failed",
        "Link.__init__",
        "            raise NotSent(reason, is_silence=True)\n",
        "            raise NotSent(reason)\n",
        test="tests/client/test_names.py",
    ),
    Mutant(
        "a handover that was not answered is said to have changed nothing",
        "_doubt",
        "    if not isinstance(asked, (*api.WRITES, api.HandOver, *api.CHANGES)):\n",
        "    if not isinstance(asked, api.WRITES):\n",
        test="tests/client/test_transfer_leader.py",
    ),
    Mutant(
        "a reply that did not come is taken for a request that did not arrive",
        "Caller._carry_out",
        "                if isinstance(setback, Unanswered):\n",
        "                if isinstance(setback, Unanswered) and isinstance(request, api.Put):\n",
    ),
    Mutant(
        "a request that did not arrive leaves the outcome unknown",
        "Caller._carry_out",
        "                if isinstance(setback, Unanswered):\n",
        "                if isinstance(setback, Unanswered | NotSent):\n",
    ),
    Mutant(
        "an interrupted write's number is used again",
        "Caller._carry_out_once",
        "            else:\n                self._doubts.end_through(number)\n",
        "            except GeneratorExit:\n                self._sequence -= 1\n"
        "                raise\n"
        "            else:\n                self._doubts.end_through(number)\n",
    ),
    Mutant(
        "a request outlives its deadline",
        "Caller._carry_out.reply_until",
        "_until if _may_be_repeated(request) else course.deadline\n",
        "_until if _may_be_repeated(request) else course.deadline + 1\n",
    ),
    Mutant(
        "a session that is gone is asked for again and again",
        "Caller._carry_out_once",
        "                self._session = None\n                if gone",
        "                if gone",
    ),
    Mutant(
        "a client forgets that a copy was sent",
        "_doubt",
        "    course.doubt = doubt\n",
        "    course.doubt = None\n",
        test="tests/client/test_sessions.py"
        "::test_a_write_that_nobody_answers_is_unknown_at_the_deadline_and_gives_up_its_number",
    ),
    Mutant(
        "a refusal settles what an earlier copy may have done",
        "Course.end",
        "        if self.doubt is None:\n            return refusal",
        "        if self.doubt != refusal:\n            return refusal",
        test="tests/client/test_sessions.py"
        "::test_a_refusal_after_a_copy_that_was_not_answered_settles_nothing",
    ),
    Mutant(
        "a lone text is a list of its characters",
        "_items",
        "    if isinstance(things, _TEXTS) or not",
        "    if not",
        test="tests/client/test_arguments.py::test_what_is_wrong_is_told_before_anything_is_sent",
    ),
    Mutant(
        "a value that is given as an array is sent as it is by then",
        "as_bytes",
        "        return bytes(text)\n",
        "        return text\n",
        test="tests/client/test_requests.py"
        "::test_what_is_changed_after_it_was_given_is_sent_as_it_was",
    ),
    Mutant(
        "a name is waited for beyond the deadline",
        "Link.__init__",
        "        if not lookup.wait(_rest_of(until)):\n",
        "        if not lookup.wait(5.0 + _rest_of(until)):\n",
        test="tests/client/test_names.py"
        "::test_the_deadline_holds_though_the_resolver_does_not_answer",
    ),
    Mutant(
        "a resolver that hangs gets another thread with each attempt",
        "Links._lookup",
        "            self._lookups[node] = lookup\n",
        "            pass\n",
        test="tests/client/test_names.py"
        "::test_the_deadline_holds_though_the_resolver_does_not_answer",
    ),
    Mutant(
        "the first address of a name has all the time",
        "_connected",
        "            sock.settimeout(_rest_of(until) / left)\n",
        "            sock.settimeout(_rest_of(until))\n",
        test="tests/client/test_names.py"
        "::test_an_address_that_does_not_answer_has_a_share_of_the_time",
    ),
    Mutant(
        "a forked child waits for a thread that its parent has",
        "Links.abandon",
        "            lookup.abandon()\n",
        "            pass\n",
        test="tests/client/test_copies.py"
        "::test_a_child_of_a_handler_in_a_look_up_is_told_that_the_request_is_its_parent_s",
    ),
    Mutant(
        "who waits is told of it ten times a second",
        "told.watch",
        "            last = found[0]\n",
        "",
        test="tests/cli/test_waiting.py::test_a_command_that_gets_nowhere_says_once_what_it_tries",
    ),
    Mutant(
        "what a client waits for is told when it waits no more",
        "Caller.ask",
        "            self.course = None\n",
        "            pass\n",
        test="tests/cli/test_waiting.py::test_a_client_tells_other_threads_what_it_waits_for",
    ),
    Mutant(
        "a handover is asked for again of whoever leads by then",
        "Caller._ask",
        "            request = api.HandOver(request.heir, self._knowledge.now.term)\n",
        "            request = api.HandOver(request.heir)\n",
        test="tests/client/test_transfer_leader.py"
        "::test_who_is_asked_again_is_told_which_leader_was_to_hand_over",
    ),
    Mutant(
        "a write in doubt is repeated under a new session",
        "Caller._carry_out_once",
        "                if course.doubt is not None:\n",
        "                if course.doubt == '':\n",
        test="tests/client/test_sessions.py"
        "::test_a_lost_session_leaves_a_write_that_was_sent_before_unknown",
    ),
    Mutant(
        "a client believes every node about the term",
        "Caller._answer_to",
        "        of_leader = fits and not stale and not isinstance(call.request, api.NodeQuery)\n",
        "        of_leader = fits\n",
        test="tests/client/test_fencing.py"
        "::test_only_what_a_leader_answers_shows_that_a_term_has_one",
    ),
    Mutant(
        "a reset after the whole request was sent is taken for not sent",
        "Link.receive",
        '            raise Unanswered(f"the connection broke: {_reason(error)}") from None',
        '            raise NotSent(f"the connection broke: {_reason(error)}") from None',
        test="tests/client/test_resets.py"
        "::test_without_a_session_a_write_that_was_sent_whole_is_unknown_whatever_breaks",
    ),
    Mutant(
        "an end before the reply is taken for not sent",
        "Link.receive",
        '                    raise Unanswered("the connection was closed before the reply")',
        '                    raise NotSent("the connection was closed before the reply")',
        test="tests/client/test_resets.py"
        "::test_without_a_session_a_write_that_was_sent_whole_is_unknown_whatever_breaks",
    ),
    Mutant(
        "a refusal that comes before the request is over is not heard",
        "Link.ask",
        "            if refusal is None:\n",
        "            if True:\n",
        test="tests/client/test_resets.py"
        "::test_a_node_that_refuses_before_it_has_all_and_hangs_up_is_heard",
    ),
    Mutant(
        "the next request follows one that was sent in part",
        "Link.is_idle",
        "        if not self._is_in_step:\n            return False\n",
        "",
        test="tests/client/test_resets.py::test_nothing_follows_a_request_that_was_sent_in_part",
    ),
    Mutant(
        "a forked child goes on where its parent is",
        "_leave_all_to_parent",
        "        client._leave_to_parent()\n",
        "        pass\n",
        test="tests/client/test_copies.py"
        "::test_forked_children_begin_their_own_and_leave_their_parent_s_alone",
    ),
    Mutant(
        "a forked child waits at its parent's gate",
        "Client._leave_to_parent",
        "        self._lanes = Lanes(self._caller, self._connections_max)\n",
        "        gate, self._lanes = self._lanes._gate, Lanes(self._caller, 1)\n"
        "        self._lanes._gate = gate\n",
        test="tests/client/test_copies.py"
        "::test_a_child_is_served_although_a_thread_of_its_parent_was_in_a_request",
    ),
    Mutant(
        "a forked child keeps its parent's connections open",
        "Lanes.abandon",
        "            lane.links.abandon()\n",
        "",
        test="tests/client/test_copies.py::test_an_unknown_outcome_stays_one_in_the_child_that_was_forked_meanwhile",
    ),
    Mutant(
        "a request is carried out by both processes if one forks in its middle",
        "Caller._check_whose",
        "        if self._is_abandoned:\n",
        "        if self._clock is None:\n",
        test="tests/client/test_copies.py"
        "::test_a_request_in_the_middle_of_which_a_process_forks_is_its_parent_s",
    ),
    Mutant(
        "one more is served at a time than there are places",
        "Gate._has_room",
        "len(before) < self._places",
        "len(before) <= self._places",
        test="tests/client/test_threads.py"
        "::test_threads_that_share_a_client_use_each_number_once_and_get_their_own_answers",
    ),
    Mutant(
        "whoever leaves the gate wakes nobody",
        "Gate.turn",
        "                    ticket.awake.release()\n",
        "                    pass\n",
        test="tests/client/test_threads.py"
        "::test_threads_that_share_a_client_use_each_number_once_and_get_their_own_answers",
    ),
    Mutant(
        "who gave up waiting stays in the line",
        "Gate.turn",
        "                self._line.remove(mine)\n",
        "                if self._line[0] is mine:\n                    self._line.remove(mine)\n",
        test="tests/client/test_threads.py"
        "::test_who_waits_in_vain_is_refused_in_time_and_nothing_was_sent",
    ),
    Mutant(
        "a callback waits for the request that called it",
        "Gate._wait",
        "            if any(ticket.thread == mine.thread for ticket in before):\n",
        "            if not before:\n",
        test="tests/client/test_threads.py"
        "::test_a_callback_cannot_ask_with_the_client_that_calls_it_and_harms_nothing",
    ),
    Mutant(
        "what no node takes is sent all the same",
        "checked",
        "    if complaint := api.complaint_about(request, _WIDEST):\n",
        "    if (complaint := api.complaint_about(request, _WIDEST)) and not request:\n",
        test="tests/client/test_limits.py"
        "::test_what_no_node_takes_is_refused_before_anything_is_sent",
    ),
    Mutant(
        "a leader that did not answer is asked first again",
        "Caller._carry_out",
        " as setback:\n                self._knowledge.forget_leader(node)\n",
        " as setback:\n",
        test="tests/client/test_second_times.py"
        "::test_a_leader_that_failed_is_forgotten_although_the_request_failed_too",
    ),
    Mutant(
        "who did not answer is asked first again in the next round",
        "Course.failed",
        "        self._nodes.remove(self.node)\n        self._nodes.append(self.node)\n",
        "",
        test="tests/client/test_second_times.py"
        "::test_who_did_not_answer_is_asked_last_in_the_next_round",
    ),
    Mutant(
        "who was asked in one round is not asked in the next",
        "Course._plan_rest",
        "        self._tried.clear()\n",
        "",
        test="tests/client/test_second_times.py"
        "::test_every_round_asks_all_nodes_and_follows_them_again",
    ),
    Mutant(
        "a node that has no room is taken to refuse the request",
        "Caller._answer_to",
        "            if str(answer).startswith(Full.words):\n",
        "            if not str(answer):\n",
        test="tests/client/test_full_nodes.py"
        "::test_a_node_without_a_free_place_is_passed_over_each_time",
    ),
    Mutant(
        "clients that found a node full come back ten times a second",
        "Course.full",
        "        self._is_crowded = True\n",
        "        self._is_crowded = False\n",
        test="tests/client/test_full_nodes.py::test_full_nodes_are_asked_less_and_less_often",
    ),
    Mutant(
        "what a node says beyond its reply is taken for the next one",
        "Link.is_idle",
        "            return not self._reader.has_data()\n",
        "            return True\n",
        test="tests/client/test_second_times.py"
        "::test_what_a_node_says_beyond_its_reply_is_not_taken_for_the_next_one",
    ),
    Mutant(
        "a redirect settles what an earlier copy may have done",
        "Caller._turn_away",
        "                raise course.end(refusal)\n            asked",
        "                raise refusal\n            asked",
        test="tests/client/test_honesty.py",
    ),
    Mutant(
        "a session that is gone was never written under",
        "Caller._carry_out_once",
        "                if gone.is_certain:\n",
        "                if gone:\n",
        test="tests/client/test_honesty.py",
    ),
    Mutant(
        "whoever answers a read is taken for the leader",
        "Caller._carry_out",
        "if source is Source.LEADER and not isinstance(request, api.NodeQuery):",
        "if not isinstance(request, api.NodeQuery):",
        test="tests/client/test_routes.py"
        "::test_who_answers_a_read_without_leading_is_not_taken_for_the_leader",
    ),
    Mutant(
        "a node that does not say how far it is ends a backup of the others",
        "backup._candidate",
        "except (UnreachableError, RefusedError):",
        "except UnreachableError:",
        test="tests/client/test_backups.py::test_a_node_that_does_not_say_how_far_it_is_comes_last",
    ),
)
