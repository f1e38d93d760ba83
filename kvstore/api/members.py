"""Who the members of a cluster are, and how that is changed: the requests and their answers.

Law: the leader answers, but for who asks for what any node knows. A change goes through the log
as a configuration of its own, and takes the place of the one that its client has seen: `after`
names that, so a copy of the request does nothing a second time.

It must not know what a leader allows.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

from kvstore.api.base import Request, Result, Struct

ADDRESS_CHARACTERS_MAX: Final = 300
"""A name has 253 at most, and its port five."""


class MemberRole(enum.StrEnum):
    """What a member is."""

    VOTER = "voter"
    """It counts towards majorities."""
    LEARNER = "learner"
    """It gets the log and does not vote; it is promoted when it keeps up."""


class Members(Request, frozen=True, tag="members"):
    """List the members, as the leader knows them; asked as a stale read, as any node does."""


class AddMember(Request, frozen=True, tag="add_member"):
    """Have a new node as a learner: `node_id`, which is to be at `address`.

    `after`: index of the configuration's entry that this one replaces, as `Members` told it; a
    later one is not changed. None is whichever is in force.
    """

    node_id: int
    address: str
    after: int | None = None


class PromoteMember(Request, frozen=True, tag="promote_member"):
    """Have a learner that keeps up vote; `after` as in `AddMember`."""

    node_id: int
    after: int | None = None


class RemoveMember(Request, frozen=True, tag="remove_member"):
    """Have a member be none any more, for good as its directory goes; `after` as in `AddMember`."""

    node_id: int
    after: int | None = None


class MoveMember(Request, frozen=True, tag="move_member"):
    """Look for a member at another address; `after` as in `AddMember`."""

    node_id: int
    address: str
    after: int | None = None


class ReplaceMember(Request, frozen=True, tag="replace_member"):
    """Have a new node in the place of a member that is lost: a learner of the same id, at
    `address`; `after` as in `AddMember`.
    """

    node_id: int
    address: str
    after: int | None = None


Change: TypeAlias = AddMember | PromoteMember | RemoveMember | MoveMember | ReplaceMember
CHANGES: Final = (AddMember, PromoteMember, RemoveMember, MoveMember, ReplaceMember)


class Member(Struct, frozen=True, forbid_unknown_fields=False):
    """One of them.

    * `answers`: whether it has answered the leader within an election timeout.
    * `match_index`: up to which entry the leader knows the log to be on its disk.
    * `found_at`: where the answering node finds it, if that is not the `address` which the
      configuration has; else "".
    """

    node_id: int
    address: str
    role: MemberRole
    answers: bool
    match_index: int
    found_at: str = ""


class MembersResult(Result, frozen=True, tag="members"):
    """The members by the configuration in force, in the order of their ids.

    * `index`: of its entry; 0 is that with which the cluster was made.
    * `is_settled`: that entry is committed, so it can be replaced.
    * `leader_id`: None if none is known. `last_log_index`: how far the answering node's log goes.
    """

    cluster_id: str
    leader_id: int | None
    index: int
    is_settled: bool
    last_log_index: int
    members: tuple[Member, ...]


class ChangeResult(Result, frozen=True, tag="change"):
    """The members are as was asked for: by the configuration whose entry is at `index`."""

    index: int
