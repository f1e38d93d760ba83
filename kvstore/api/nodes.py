"""What a node is asked of itself, and asked to do, beside the data.

Law: the node that is asked answers; none of it goes through the log.

It must not know how a node finds out.
"""

from __future__ import annotations

import msgspec

from kvstore.api.base import Request, Result


class Status(Request, frozen=True, tag="status"):
    """Describe the node itself; answered by any node, without consensus."""


class HandOver(Request, frozen=True, tag="handover"):
    """Have node `heir` lead, or the one that lags least; asked of the leader (thesis §3.10).

    `term` is that of the leader that is to hand over: a later one does not, as leadership has
    moved by then. So a request that is sent again moves it once. 0 is whoever leads.
    """

    heir: int | None = None
    term: int = 0


class Transfer(msgspec.Struct, frozen=True):
    """A snapshot on its way: up to which entry, how much of it has come, and in what time."""

    index: int
    done_bytes: int
    size_bytes: int
    ms: float


class CheckReplicas(Request, frozen=True, tag="check_replicas"):
    """Compare the states of all nodes as of an entry that is at `since` or later.

    0 is a new entry, unless a comparison is under way. Asked of the leader, which answers when it
    knows all, or after a second. Who asks again, with the index of that answer, waits on.
    """

    since: int = 0


class CheckResult(Result, frozen=True, tag="check_replicas"):
    """What came of it, as of the entry at `index`; `is_settled`: no more is to come."""

    index: int
    is_settled: bool
    is_decided: bool
    """A majority of the voters has the same state."""
    digests: dict[int, str]
    """Per node that has told it, the digest of its state, in hex."""
    differ: tuple[int, ...] = ()
    """The nodes whose state is not that of the majority."""
    absent: tuple[int, ...] = ()
    """Those that take no part: for want of room or of time, or because they started since."""
    silent: tuple[int, ...] = ()
    """Those that have not answered."""

    @property
    def is_disputed(self) -> bool:
        """Whether states differ, and nobody knows which is right."""
        return not self.is_decided and len({*self.digests.values()}) > 1


class StatusResult(Result, frozen=True, tag="status"):
    """What a node knows of itself and of its cluster; `leader_id` is None when unknown."""

    node_id: int
    cluster_id: str
    incarnation: str
    role: str
    term: int
    voted_for: int | None
    leader_id: int | None
    leader_address: str | None
    commit_index: int
    last_applied: int
    last_log_index: int
    revision: int
    keys: int
    members: dict[int, str]
    """Where each is, by the configuration that is in force here."""
    match_index: dict[int, int]
    """Per node, what the leader knows to be on its disk; empty on other nodes."""
    leader_ms: float | None
    """For how long this node has known its leader; None if it knows none."""
    is_voter: bool
    """False for a learner, and for a directory that came in the place of a lost one."""
    damaged_entries: int
    """Of the log; they are asked for at the other nodes."""
    room_bytes: int
    """Left on the disk, or in the maps of the stores if that is less."""
    waits_for_room: int
    """Index of the committed entry that cannot be applied until there is room; 0 for none."""
    sync_last_ms: float | None
    """How long the last write to the log took; None before the first."""
    sync_p99_ms: float | None
    is_short_of_room: bool
    """Too little is left for clients' writes: this node, as a leader, would refuse them."""
    links: dict[int, str]
    """Per peer, why this node has no link to it; "" if it has one."""
    heard_from: tuple[int, ...]
    """The peers that have a link to this node."""
    refused: dict[int, str]
    """Per peer whose directory this node refused when it came last, why it did."""
    version: str
    """Of the program."""
    format_version: int
    """Of the data directory."""
    speaks: tuple[int, int]
    """Oldest and newest version of the protocol that the program speaks."""
    cluster_version: int
    """Of the protocol, as the cluster has it by what was applied here."""
    first_log_index: int
    """Of the log, if there is an entry: what was before is applied, and dropped."""
    log_bytes: int
    """What the log's entries take."""
    lacks_data: bool
    """Its log goes on where its data end: it applies nothing until it has a snapshot."""
    receiving: Transfer | None
    """The snapshot that it fetches from its leader."""
    sending: dict[int, Transfer]
    """Per node, the snapshot that it fetches from this one, its leader."""
    learners: tuple[int, ...] = ()
    """The members that do not vote yet."""
    reached_at: str = ""
    """Where the others reach this node, by its settings."""
    snapshot_setback: str = ""
    """Why a snapshot that is needed is not taken, or not written, for now, and what to do."""
    check: CheckResult | None = None
    """What a leader knows of the last comparison of states."""
    differs_at: int = 0
    """As of this entry its data are known to differ from the majority's; 0 while it is trusted."""


class HandOverResult(Result, frozen=True, tag="handover"):
    """Who leads now, and since which term."""

    leader_id: int
    term: int
