"""The model of membership holds, and each rule of it is needed."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest

from .tlc import check_model, missing

pytestmark = [
    pytest.mark.model,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        missing() is not None and "CI" not in os.environ,
        reason=f"the formal model is not checked: {missing()}",
    ),
]

LOST_DIRECTORY, FOUR_VOTERS, LEARNER = "Membership", "FourVoters", "Learner"


@pytest.mark.parametrize("bounds", [LOST_DIRECTORY, FOUR_VOTERS, LEARNER])
def test_the_model_of_membership_keeps_its_promises(bounds: str) -> None:
    broken, output = check_model("Membership", bounds)
    assert broken is None, output[-4000:]


@dataclass(frozen=True)
class WrongModel:
    """`breaks`: the promises of which TLC may find any first."""

    name: str
    bounds: str
    old: str
    new: str
    breaks: frozenset[str]


SAFETY = frozenset({"ElectionSafety", "LeaderCompleteness", "StateMachineSafety", "OneSideDecides"})
LIVENESS = frozenset({"SomebodyCanWin"})

ONE_LESS = "        \\cup {voters \\ {d} : d \\in voters}\n"
MAY_STAND = "MayStand(d) ==\n    /\\ Voters(d) # {}\n"
BY_THE_LOG = "WouldVote(d, candidate) == ~IsAhead(log[d], log[candidate])\n"

WRONG_MODELS = [
    WrongModel(
        "changes before its own term has committed",
        FOUR_VOTERS,
        "    /\\ HasCommittedInTerm(t)\n",
        "",
        SAFETY,
    ),
    WrongModel(
        "changes before the last change is committed",
        LOST_DIRECTORY,
        "    /\\ IsInForceForGood(t)\n",
        "",
        SAFETY,
    ),
    WrongModel(
        "changes two voters at once",
        LOST_DIRECTORY,
        ONE_LESS,
        "        \\cup {voters \\ {one, two} : one, two \\in voters}\n",
        SAFETY,
    ),
    WrongModel(
        "puts a directory in place of another in one step",
        LOST_DIRECTORY,
        ONE_LESS,
        ONE_LESS + "        \\cup {(voters \\ NodeOf(d)) \\cup {d} : d \\in Directory}\n",
        SAFETY,
    ),
    WrongModel(
        "counts any directory of a node",
        LOST_DIRECTORY,
        "Counts(d, voters) == d \\in voters\n",
        "Counts(d, voters) == NodeOf(d) \\cap voters # {}\n",
        SAFETY,
    ),
    WrongModel(
        "does not stand once its log has ended it",
        FOUR_VOTERS,
        MAY_STAND,
        MAY_STAND + "    /\\ ~IsEnded(d, log[d])\n",
        LIVENESS,
    ),
    WrongModel(
        "does not stand as a learner",
        LEARNER,
        MAY_STAND,
        MAY_STAND + "    /\\ d \\in Voters(d) \\/ IsEnded(d, log[d])\n",
        LIVENESS,
    ),
    WrongModel(
        "does not vote once its log has ended it",
        FOUR_VOTERS,
        BY_THE_LOG,
        BY_THE_LOG.rstrip() + " /\\ ~IsEnded(d, log[d])\n",
        LIVENESS,
    ),
    WrongModel(
        "does not hear whom its log has ended",
        LOST_DIRECTORY,
        BY_THE_LOG,
        BY_THE_LOG.rstrip() + " /\\ ~IsEnded(candidate, log[d])\n",
        LIVENESS,
    ),
]


@pytest.mark.parametrize("wrong", WRONG_MODELS, ids=lambda wrong: wrong.name)
def test_a_wrong_model_of_membership_breaks_a_promise(wrong: WrongModel) -> None:
    broken, output = check_model("Membership", wrong.bounds, wrong.old, wrong.new)
    assert broken in wrong.breaks, output[-2000:]
