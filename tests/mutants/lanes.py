"""Wrong versions of what the requests of one client have in common: what they know of the cluster.

Law: each is one plausible mistake of code that several threads, and signal handlers, are in at
the same time, named by what it does wrong.
"""

from __future__ import annotations

from .mutant import Mutant

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
)
