"""Wrong versions of what serves the requests of one client side by side, and of what they share.

Law: each is one plausible mistake of code that several threads, and signal handlers, are in at
the same time, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

_DOUBTS = "tests/client/test_doubts.py"
_RANDOM_DOUBTS = f"{_DOUBTS}::test_no_write_is_overwritten_by_one_that_was_in_doubt_before_it_began"
_LANES = "tests/client/test_lanes.py"
_KNOWLEDGE = "tests/client/test_knowledge.py"

LANES = (
    Mutant(
        "what was learned meanwhile is overwritten",
        "Knowledge._learn",
        "            if version.later.setdefault(None, mine) is mine:\n",
        "            if version.later.setdefault(None, mine):\n",
        test=_KNOWLEDGE,
    ),
    Mutant(
        "a client believes the term that it heard last",
        "Knowledge.hear",
        "max(known.term, reply.term if of_leader else 0)",
        "reply.term if of_leader else known.term",
        test=_KNOWLEDGE,
    ),
    Mutant(
        "members of long ago take the place of newer ones",
        "Knowledge.meet",
        "            if found.index <= known.members_at:\n",
        "            if found.index < 0:\n",
        test=_KNOWLEDGE,
    ),
    Mutant(
        "two threads that begin at once are answered by two clusters",
        "Knowledge.hear",
        '            if known.cluster_id not in ("", reply.cluster_id):\n',
        "            if not reply.cluster_id:\n",
        test=_KNOWLEDGE,
    ),
    Mutant(
        "whoever fails has the leader forgotten",
        "Knowledge.forget_leader",
        "            if known.leader != node:\n",
        "            if known.leader is None:\n",
        test=_KNOWLEDGE,
    ),
    Mutant(
        "a copy of a client learns with it",
        "Knowledge.copied",
        "        return Knowledge(self.now)\n",
        "        return self\n",
        test=_KNOWLEDGE,
    ),
    Mutant(
        "lanes share a session",
        "Lanes._take",
        "Lane(self._caller.beside())",
        "Lane(self._caller)",
        test=_LANES,
    ),
    Mutant(
        "each request has a lane of its own",
        "Lanes._take",
        "            return self._free.pop()\n",
        "            return Lane(self._caller.beside())\n",
        test=_LANES,
    ),
    Mutant(
        "the lane that was used longest ago is taken",
        "Lanes._take",
        "self._free.pop()",
        "self._free.popleft()",
        test=_LANES,
    ),
    Mutant(
        "an end of all connections waits for nobody",
        "Lanes.close",
        "is_alone=True",
        "is_alone=False",
        test=_LANES,
    ),
    Mutant(
        "who comes later passes by who wants to be alone",
        "Gate._has_room",
        " and not any(ticket.is_alone for ticket in before)",
        "",
        test=_LANES,
    ),
    Mutant(
        "a connection that a callback ended stays for the next request",
        "Lanes.turn",
        "                    lane.links.close()\n",
        "                    pass\n",
        test=_LANES,
    ),
    Mutant(
        "only one of those who left wakes who comes next",
        "Gate.turn",
        "islice(self._line.copy(), self._places)",
        "islice(self._line.copy(), 1)",
        test=_LANES,
    ),
    Mutant(
        "of several requests under way the last is told",
        "Client.waiting",
        "min(self._lanes",
        "max(self._lanes",
        test=_LANES,
    ),
    Mutant(
        "a write goes under its session whatever another session left in doubt",
        "Caller.ask",
        "                yield from self._settle(timeout_ms, deadline)\n",
        "                pass\n",
        test=_RANDOM_DOUBTS,
    ),
    Mutant(
        "a write under way on another lane is taken for one in doubt",
        "Doubts.of_others",
        "            if request.is_over and number.session != session\n",
        "            if number.session != session\n",
        test=_DOUBTS,
    ),
    Mutant(
        "a write is noted as in doubt when it ends, which an interrupt has it never do",
        "Caller.ask",
        "            if (begun := self.course) is not None:\n",
        "            if (begun := self.course) is not None and begun.doubt is not None:\n",
        test=_RANDOM_DOUBTS,
    ),
    Mutant(
        "a doubt is settled by a number before it",
        "Caller._settle",
        "api.Once(*number, _NOTHING)",
        "api.Once(number.session, number.sequence - 1, _NOTHING)",
        test=_RANDOM_DOUBTS,
    ),
    Mutant(
        "a write whose outcome is unknown is done with",
        "Caller._carry_out_once",
        "            except OutcomeUnknownError:\n                raise\n",
        "            except OutcomeUnknownError:\n                self._doubts.end(number)\n"
        "                raise\n",
        test=_RANDOM_DOUBTS,
    ),
    Mutant(
        "a write that was refused for certain settles those before it",
        "Caller._carry_out_once",
        "                self._doubts.end(number)\n",
        "                self._doubts.end_through(number)\n",
        test=_DOUBTS,
    ),
    Mutant(
        "of several doubts of one session the first is kept",
        "Doubts.begin",
        "before[:-1]",
        "before[1:]",
        test=_DOUBTS,
    ),
    Mutant(
        "an unknown outcome of what settles is told as one of the write",
        "Caller._settle",
        "            except OutcomeUnknownError as error:\n                raise RefusedError(",
        "            except OutcomeUnknownError as error:\n                raise\n"
        "                raise RefusedError(",
        test=_DOUBTS,
    ),
    Mutant(
        "an interrupted write is in doubt when somebody forgets its frames",
        "Links.carry_out",
        "            way.close()\n",
        "            pass\n",
        test=_DOUBTS,
    ),
    Mutant(
        "lanes have doubts of their own",
        "Caller.beside",
        "        other._begin()\n",
        "        other._begin()\n        other._doubts = Doubts()\n",
        test=_RANDOM_DOUBTS,
    ),
)
