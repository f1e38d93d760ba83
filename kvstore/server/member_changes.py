"""Which changes of members a leader takes: the rules, and the configuration that comes of one.

Law: a function of the configuration in force, of what is asked, and of what the leader knows of
its nodes. One voter comes or goes at a time, and those that answer are a majority of the voters
before and after, one of which has the data to lead. It must not know how a configuration gets into
the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import msgspec

from kvstore import api
from kvstore.address import parse_address
from kvstore.config.limits import MEMBERS_MAX
from kvstore.errors import ConfigError
from kvstore.raft.configuration import NOT_ADMITTED, Configuration, Member


class Refused(msgspec.Struct, frozen=True):
    """Why a change is not made. `may_pass`: another time it may be."""

    why: str
    may_pass: bool = False


class Known(msgspec.Struct, frozen=True):
    """What a leader knows of the nodes.

    * `answering`: who has answered it within an election timeout, itself too.
    * `addresses`: by node, where it says itself that it is.
    * `promotion`: the configuration in which the node that is asked for votes, if it keeps up.
    * `without_data`: who waits for a snapshot, and does not stand before it has one.
    """

    answering: Set[int]
    addresses: Mapping[int, str]
    promotion: Configuration | None = None
    without_data: Set[int] = frozenset()


def holds(configuration: Configuration, change: api.Change) -> bool:
    """Whether the members are as asked for: by an earlier copy of the request, for instance."""
    member = configuration.member(change.node_id)
    match change:
        case api.RemoveMember():
            return member is None
        case api.PromoteMember():
            return member is not None and member.is_voter
        case api.ReplaceMember():
            return (
                member is not None
                and member.address == change.address
                and (not member.is_voter or member.admitted_at > (change.after or 0))
            )
        case _:
            return member is not None and member.address == change.address


def changed(
    configuration: Configuration, change: api.Change, known: Known
) -> Configuration | Refused:
    """What the members become, or why they do not."""
    if isinstance(change, api.AddMember | api.MoveMember | api.ReplaceMember) and (
        complaint := _complaint_about_address(configuration, change)
    ):
        return Refused(complaint)
    member = configuration.member(change.node_id)
    if isinstance(change, api.AddMember):
        return _added(configuration, change, member)
    if member is None:
        ids = ", ".join(str(one.node_id) for one in configuration.members)
        return Refused(f"there is no node {change.node_id}: the members are {ids}")
    match change:
        case api.RemoveMember():
            return _removed(configuration, member, known)
        case api.MoveMember():
            return _moved(configuration, member, change.address, known)
        case api.ReplaceMember():
            return _replaced(configuration, member, change.address, known)
        case api.PromoteMember():
            return _promoted(member, known)


def _complaint_about_address(
    configuration: Configuration, change: api.AddMember | api.MoveMember | api.ReplaceMember
) -> str | None:
    try:
        address = str(parse_address(change.address, default_port=None))
    except ConfigError as error:
        return str(error)
    if address != change.address:
        return f"{change.address!r} is written {address}"
    for one in configuration.members:
        if one.address != address:
            continue
        if one.node_id != change.node_id:
            return f"node {one.node_id} is at {address}: give each its own address"
        if not isinstance(change, api.AddMember):
            how = "" if isinstance(change, api.MoveMember) else ", with no directory and --join"
            return f"node {one.node_id} is at {address} already: start it there{how}"
    return None


def _added(
    configuration: Configuration, change: api.AddMember, member: Member | None
) -> Configuration | Refused:
    if member is not None:
        return Refused(
            f"node {member.node_id} is a member already, at {member.address}: give the new one an "
            "id that is free, or replace or move this one"
        )
    if len(configuration.members) >= MEMBERS_MAX:
        return Refused(f"a cluster has at most {MEMBERS_MAX} members: remove one before")
    return configuration.with_member(Member(change.node_id, change.address, NOT_ADMITTED))


def _removed(configuration: Configuration, member: Member, known: Known) -> Configuration | Refused:
    after = configuration.without(member.node_id)
    return _with_majority(after, member, known, without="it")


def _replaced(
    configuration: Configuration, member: Member, address: str, known: Known
) -> Configuration | Refused:
    after = configuration.with_member(Member(member.node_id, address, NOT_ADMITTED))
    return _with_majority(after, member, known, without="it")


def _promoted(member: Member, known: Known) -> Configuration | Refused:
    if member.is_voter:
        return Refused(f"node {member.node_id} votes already")
    if member.node_id not in known.answering:
        return Refused(f"node {member.node_id} does not answer: start it", may_pass=True)
    if known.promotion is None:
        return Refused(
            f"node {member.node_id} lags: it votes by itself once it keeps up", may_pass=True
        )
    return known.promotion


def _moved(
    configuration: Configuration, member: Member, address: str, known: Known
) -> Configuration | Refused:
    after = configuration.with_member(msgspec.structs.replace(member, address=address))
    if known.addresses.get(member.node_id) != address:
        known = msgspec.structs.replace(known, answering=known.answering - {member.node_id})
    return _with_majority(after, member, known, without="it until it is there")


def _with_majority(
    after: Configuration, member: Member, known: Known, without: str
) -> Configuration | Refused:
    """The configuration, if those that answer can commit it and go on."""
    if not member.is_voter:
        return after
    if not after.voters:
        return Refused(f"node {member.node_id} is the only one that votes")
    answering = sorted(after.voters & known.answering)
    if after.has_majority(known.answering):
        if set(answering) <= known.without_data:
            who = ", ".join(map(str, answering))
            return Refused(
                f"without {without} nobody could lead: of the voters only {who} would answer, "
                "waiting for a snapshot",
                may_pass=True,
            )
        return after
    who = f"only {', '.join(map(str, answering))} would answer" if answering else "none answers"
    return Refused(
        f"without {without} no majority would be left: of the voters "
        f"{', '.join(map(str, sorted(after.voters)))} {who}",
        may_pass=True,
    )
