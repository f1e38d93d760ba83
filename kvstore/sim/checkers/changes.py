"""Members change as somebody asked, and whoever asked is told what came of it.

Law: by the entries that were applied, each change of the configuration is one that somebody asked
for who was not refused, of the members that it names, and no more often than it was asked for. A
node's vote alone comes and goes without a request. Who is told that the members are as asked for
can find them so in the log, and so can who asked for them.

Requests of unknown outcome may have taken effect, or may not. It must not know who leads, nor what
a leader allows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from kvstore import api
from kvstore.raft.configuration import Configuration, Member
from kvstore.raft.configurations import configuration_of
from kvstore.raft.types import CONFIGURE, Entry
from kvstore.sim.history import Operation
from kvstore.sim.words import describe

_Effect: TypeAlias = tuple[str, int, str]
"""What a change does, to which node, and where that is then."""

_KINDS: Final[dict[type, str]] = {
    api.AddMember: "add",
    api.RemoveMember: "remove",
    api.MoveMember: "move",
    api.ReplaceMember: "move",
}


class _Held(NamedTuple):
    """The members from the entry `since` on."""

    since: int
    members: dict[int, Member]


def check_changes(
    operations: Iterable[Operation], founders: Configuration, applied: Iterable[Entry]
) -> list[str]:
    """What the log does not bear out of what was told, or nobody asked for; empty if all agrees.

    `applied`: the entries behind those that left the `founders`.
    """
    held = [_Held(-1, _by_id(founders))]
    held += [
        _Held(entry.index, _by_id(configuration_of(entry)))
        for entry in applied
        if entry.kind is CONFIGURE
    ]
    asked = [one for one in operations if isinstance(one.request, (api.Members, *api.CHANGES))]
    return [*_unasked(held, asked), *_untrue(held, asked)]


def _by_id(configuration: Configuration) -> dict[int, Member]:
    return {one.node_id: one for one in configuration.members}


# --- What was made ------------------------------------------------------------------------


def _unasked(held: Sequence[_Held], asked: Sequence[Operation]) -> Iterator[str]:
    """Changes that nobody asked for who was not refused, or not so often."""
    granted = [one for one in asked if not one.is_refused and type(one.request) in _KINDS]
    wishes = Counter(_wish(one.request) for one in granted)
    for before, after in pairwise(held):
        for effect in _effects(before.members, after.members):
            wishes[effect] -= 1
            if wishes[effect] < 0 or not any(
                _wish(one.request) == effect and _names(one.request, before, after)
                for one in granted
            ):
                yield f"entry {after.since} changes the members unasked: {effect}"


def _effects(before: dict[int, Member], after: dict[int, Member]) -> Iterator[_Effect]:
    """What is another now, votes apart."""
    for node in sorted(before.keys() | after.keys()):
        old, new = before.get(node), after.get(node)
        if old is None and new is not None:
            yield ("add", node, new.address)
        elif new is None:
            yield ("remove", node, "")
        elif old is not None and old.address != new.address:
            yield ("move", node, new.address)


def _wish(request: api.Request) -> _Effect:
    assert isinstance(request, api.CHANGES)
    address: str = getattr(request, "address", "")
    return (_KINDS.get(type(request), "vote"), request.node_id, address)


def _names(request: api.Request, before: _Held, after: _Held) -> bool:
    """Whether it is to replace what was in force: by its entry, or by where a log began since."""
    named: int | None = getattr(request, "after", None)
    return named is None or before.since <= named < after.since


# --- What was told ------------------------------------------------------------------------


def _untrue(held: Sequence[_Held], asked: Sequence[Operation]) -> Iterator[str]:
    """Answers that say something else than the log does."""
    for one in asked:
        match one.request, one.result:
            case api.Members(), api.MembersResult(is_settled=True) as told:
                found = {member.node_id: member.address for member in told.members}
                there = _as_of(held, told.index)
                if found != {node: member.address for node, member in there.items()}:
                    yield f"by entry {told.index} the members are others\n  {describe(one)}"
            case _, api.ChangeResult(index=index):
                if not _is_so(one.request, _as_of(held, index)):
                    yield f"by entry {index} that is not so\n  {describe(one)}"


def _as_of(held: Sequence[_Held], index: int) -> dict[int, Member]:
    return held[bisect_right(held, index, key=lambda one: one.since) - 1].members


def _is_so(request: api.Request, members: dict[int, Member]) -> bool:
    """Whether the members are as this asks for."""
    assert isinstance(request, api.CHANGES)
    member = members.get(request.node_id)
    if isinstance(request, api.RemoveMember):
        return member is None
    if member is None:
        return False
    if isinstance(request, api.PromoteMember):
        return member.admitted_at >= 0
    return member.address == getattr(request, "address", "")
