"""Clients that want other members, from their requests to the answers.

Law: who waits is answered when the entry with the configuration is committed, or never can be;
as long as nobody can tell, the outcome is unknown. What may be changed, `member_changes.py` says.
"""

from __future__ import annotations

from itertools import count

import msgspec

from kvstore import api
from kvstore.raft.leadership import Leadership
from kvstore.server import refusals
from kvstore.server.directions import rolled_back
from kvstore.server.member_changes import Known, Refused, changed, holds
from kvstore.server.ticket import Answer, Ticket
from kvstore.server.waiting.kind import Here, first_deadline_ms, take_overdue, told
from kvstore.server.waiting.writes import EntryName, is_dead


class Change(msgspec.Struct, frozen=True, gc=False):
    """A client waits for a configuration to be committed."""

    ticket: Ticket
    deadline_ms: float
    name: EntryName


class WaitingChanges:
    """Those of one node that wait: of one change, or of copies of the request for it.

    * `waiting`: oldest first.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self.waiting: dict[int, Change] = {}

    @property
    def due_ms(self) -> float:
        """When the oldest one is overdue."""
        return first_deadline_ms(self.waiting)

    def begin(
        self, here: Here, change: api.Change, ticket: Ticket, deadline_ms: float
    ) -> list[Answer]:
        """Have a leader change the members; who leaves by that."""
        begun = _begun(here, change)
        if not isinstance(begun, tuple):
            return [Answer(ticket, begun)]
        self.waiting[next(self._numbers)] = Change(ticket, deadline_ms, begun)
        return []

    def settle(self, here: Here) -> list[Answer]:
        """Those leave of whose entries it is known what became of them."""
        answers: list[Answer] = []
        for number, change in [*self.waiting.items()]:
            if (result := _outcome(here, change.name)) is not None:
                del self.waiting[number]
                answers.append(Answer(change.ticket, result))
        return answers

    def give_up_overdue(self, here: Here) -> list[Answer]:
        """For want of a majority."""
        overdue = take_overdue(self.waiting, here.now_ms)
        return told(overdue, refusals.CHANGE_UNKNOWN)

    def abandon(self) -> list[Answer]:
        """Their entries are in the log."""
        left, self.waiting = self.waiting, {}
        return told(left.values(), refusals.CHANGE_UNKNOWN)


def _begun(here: Here, change: api.Change) -> EntryName | api.Result:
    """The entry for which the client has to wait, or what it is told at once."""
    raft, log = here.raft, here.raft.log
    if not raft.takes_commands:
        return here.redirect()
    if not raft.has_committed_in_term:
        # What is under way in its log is so but by the term of another, and it knows nobody yet.
        return refusals.no_leader("this leader has not committed anything yet; try again")
    index = log.configurations.in_force_at
    is_committed = index <= raft.commit_index
    if change.after not in (None, index):
        if not holds(log.configuration, change):
            return refusals.members_have_changed(index)
        return api.ChangeResult(index) if is_committed else (index, log.term(index))
    if not is_committed:
        return refusals.change_is_under_way(index)
    assert raft.leadership is not None
    after = changed(log.configuration, change, _known(here, raft.leadership, change.node_id))
    if isinstance(after, Refused):
        return refusals.cannot_change(after.why, may_pass=after.may_pass)
    if why := raft.reason_to_wait_with_changes():
        return refusals.cannot_change(f"{why}; try again later", may_pass=True)
    return raft.change(after)


def _known(here: Here, leadership: Leadership, node_id: int) -> Known:
    """What this leader knows of the nodes, and of this one."""
    promotion = None
    if node_id in leadership.answering and here.raft.log.configuration.member(node_id):
        promotion = leadership.promotion_of(node_id) if node_id != here.raft.id else None
    return Known(
        leadership.answering,
        {one: str(address) for one, address in here.roster.said.items()},
        promotion,
        here.raft.sending.receivers.keys(),
    )


def _outcome(here: Here, name: EntryName) -> api.Result | None:
    """What the client is told; None while nobody knows."""
    index, term = name
    log = here.raft.log
    if index < log.start.index:
        # What was between came as a whole, by a snapshot.
        return refusals.CHANGE_UNKNOWN
    if index <= log.commit_index and log.holds(index, term):
        return api.ChangeResult(index)
    if log.lacks_base:
        return None
    applied = here.machine.last_applied
    return rolled_back(here.redirect()) if is_dead(name, applied, log.term(applied)) else None
