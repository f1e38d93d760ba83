"""A cluster of one node, made of a directory that survived the loss of a majority.

Law: what a majority may have committed, and this directory holds, is kept: every entry that it can
read is applied, committed or not, as nobody is left to say which were. What comes out is another
cluster: no node of the old one, and nothing that it said, counts there.

It must not know who asks, nor how a directory is replaced. Chance comes in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from kvstore import api
from kvstore.cluster_names import successor_of
from kvstore.config.limits import RECOVER_BUMP
from kvstore.errors import DirectoryRefusedError
from kvstore.kv.machine import StateMachine
from kvstore.raft.configuration import Configuration
from kvstore.raft.configurations import Configurations, latest_of
from kvstore.raft.types import EntryKind, HardState
from kvstore.raft.versions import version_of
from kvstore.storage.base import Identity
from kvstore.storage.records import FORMAT_VERSION
from kvstore.storage.survivor import Survivor

TERM_BUMP: Final = 1 << 24
"""More than a cluster has elections in ninety days at two a second."""
_SESSION_RULES: Final = api.SessionRules()


class Prospect(msgspec.Struct, frozen=True):
    """What a recovery would make of a directory, and what it cannot bring back.

    * Entries up to `applied_index` are known to be committed. Those from there to `last_index` are
      held, and become a part of the data, though nobody knows whether they were.
    * `unreadable`: entries behind `last_index` that are in the log, and damaged or behind damage.
    * `is_voter`: false for a directory that had not been admitted: it may lack much.
    * `is_member`: false for one whose own log says that its node was removed.
    * `differs_at`: as of this entry its data are known to differ from the majority's; 0 if not.
    """

    node_id: int
    cluster_id: str
    members: tuple[int, ...]
    term: int
    applied_index: int
    last_index: int
    last_term: int
    unreadable: int
    is_voter: bool
    is_member: bool
    differs_at: int


class Recovery(msgspec.Struct, frozen=True):
    """What was made of it."""

    cluster_id: str
    term: int
    revision: int
    keys: int


def prospect_of(survivor: Survivor) -> Prospect:
    """What to tell before anything is done."""
    identity, found = survivor.identity, survivor.found
    divergence = survivor.state.divergence
    members = tuple(one.node_id for one in latest_of(found).members)
    return Prospect(
        node_id=identity.node_id,
        cluster_id=identity.cluster_id,
        members=members,
        term=found.hard_state.current_term,
        applied_index=survivor.state.applied().last_applied,
        last_index=survivor.last_index,
        last_term=survivor.last_term,
        unreadable=found.last_index - survivor.last_index,
        is_voter=found.hard_state.is_voter,
        is_member=identity.node_id in members,
        differs_at=0 if divergence is None else divergence.index,
    )


def recover(
    survivor: Survivor,
    chance: Callable[[int], bytes],
    session_rules: api.SessionRules = _SESSION_RULES,
    revision_bump: int = RECOVER_BUMP,
) -> Recovery:
    """Make a cluster of one of it. Raises `StorageError`, and then it is what it was.

    `chance` gives so many bytes that nobody else was given; `session_rules` are those of the nodes
    that were lost; `revision_bump` is more than all clusters of this data can have written since.
    """
    old = survivor.identity
    machine = _applied(survivor, session_rules)
    applied = machine.applied.raised(revision_bump)
    term = max(survivor.found.hard_state.current_term, survivor.last_term) + TERM_BUMP
    identity = Identity(
        format_version=FORMAT_VERSION,
        cluster_id=successor_of(old.cluster_id, chance(16)),
        node_id=old.node_id,
        incarnation=chance(16).hex(),
    )
    survivor.replace(identity, HardState(term), _alone(survivor), applied)
    return Recovery(identity.cluster_id, term, applied.revision, survivor.state.count())


def _alone(survivor: Survivor) -> Configuration:
    """This node alone, where it was last: the founder of what comes."""
    node_id, found = survivor.identity.node_id, survivor.found
    held = Configurations(found.start.index, found.configuration, found.configurations).held
    for _, configuration in reversed(held):
        if (member := configuration.member(node_id)) is not None:
            return Configuration.of_founders({node_id: member.address})
    raise DirectoryRefusedError(
        f"nothing in this directory says where node {node_id} is reached, as it ends before the "
        "node was a member: recover another one"
    )


def _applied(survivor: Survivor, session_rules: api.SessionRules) -> StateMachine:
    """The state machine after all entries that can be read."""
    applied = survivor.state.applied()
    machine = StateMachine(survivor.state, applied, 0, session_rules)
    for entry in survivor.entries_after(applied.last_applied):
        if entry.kind is EntryKind.COMMAND:
            machine.apply(entry.index, entry.data)
            continue
        # Who led, and which directories counted, is over.
        machine.advance(entry.index)
        if entry.kind is EntryKind.VERSION:
            machine.adopt(version_of(entry))
    return machine
