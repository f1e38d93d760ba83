"""One file per theorem: Raft's Figure 3, and what kvstore promises beyond it.

Law: a checker knows the theorem and not the code that must keep it. It observes a
running world step by step (`checker`), or judges what clients saw (`linearizability`,
`revisions`), and never changes what it looks at.
"""

from __future__ import annotations

from kvstore.sim.checkers.backlog import Backlog
from kvstore.sim.checkers.checker import Checker
from kvstore.sim.checkers.commitment import Commitment
from kvstore.sim.checkers.comparisons import Comparisons
from kvstore.sim.checkers.consent import Consent
from kvstore.sim.checkers.deference import Deference
from kvstore.sim.checkers.differing import Differing
from kvstore.sim.checkers.dropping import Dropping
from kvstore.sim.checkers.durability import Durability
from kvstore.sim.checkers.election_safety import ElectionSafety
from kvstore.sim.checkers.exactly_once import ExactlyOnce
from kvstore.sim.checkers.handovers import Handovers
from kvstore.sim.checkers.heirs import Heirs
from kvstore.sim.checkers.kept_majority import KeptMajority
from kvstore.sim.checkers.leader_append_only import LeaderAppendOnly
from kvstore.sim.checkers.leader_completeness import LeaderCompleteness
from kvstore.sim.checkers.log_matching import LogMatching
from kvstore.sim.checkers.membership import Membership
from kvstore.sim.checkers.never_ahead import NeverAhead
from kvstore.sim.checkers.never_goes_back import NeverGoesBack
from kvstore.sim.checkers.persist_then_speak import PersistThenSpeak
from kvstore.sim.checkers.punctuality import Punctuality
from kvstore.sim.checkers.retention import Retention
from kvstore.sim.checkers.room import Room
from kvstore.sim.checkers.state_machine_safety import StateMachineSafety
from kvstore.sim.checkers.vouching import Vouching

STEPWISE: tuple[type[Checker], ...] = (
    ElectionSafety,
    LeaderAppendOnly,
    LogMatching,
    LeaderCompleteness,
    StateMachineSafety,
    NeverGoesBack,
    PersistThenSpeak,
    Durability,
    Commitment,
    Membership,
    Retention,
    Dropping,
    Differing,
    ExactlyOnce,
    Vouching,
    Room,
    Consent,
    KeptMajority,
    Backlog,
    Deference,
    Punctuality,
    Comparisons,
    Handovers,
    Heirs,
    NeverAhead,
)
"""Those that watch every step, whatever was there before the first one."""
