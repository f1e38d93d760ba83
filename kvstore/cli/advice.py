"""What the answers of all nodes come to: how the cluster is, and what to do about it.

Law: a function of what the nodes said, and nothing else. Each finding is one line that says
what is so and what to do.

This module must not know how nodes are asked, nor how advice is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from kvstore import api
from kvstore.cli.findings import (
    Advice,
    Severity,
    State,
    Verdict,
    critical,
    nodes,
    note,
    warning,
)
from kvstore.cli.overview import Asked, Silence, View, Why

FAR_BEHIND: Final = 1_000
"""Entries; a follower under load lags by less."""
LITTLE_ROOM_BYTES: Final = 256 << 20
SLOW_SYNC_MS: Final = 500.0
"""As long as the shortest election timeout, unless told otherwise."""


def judge(asked: Sequence[Asked]) -> Verdict:
    """How the cluster is, the worst first."""
    view = View(asked)
    if not view.answers:
        return Verdict(State.UNREACHABLE, tuple(_nobody(asked)))
    found = [advice for rule in _RULES for advice in rule(view)]
    found.sort(key=lambda advice: -advice.severity)
    worst = max((advice.severity for advice in found), default=Severity.NOTE)
    state = {
        Severity.NOTE: State.HEALTHY,
        Severity.WARNING: State.DEGRADED,
        Severity.CRITICAL: State.NO_WRITES,
    }[worst]
    may_fail = None if state is State.NO_WRITES else view.may_fail
    return Verdict(state, tuple(found), may_fail)


def reason_not_ready(status: api.StatusResult) -> str | None:
    """Why a node should get no traffic, and none of the others be restarted; None if it may."""
    if status.leader_id is None:
        return "it knows no leader"
    if not status.is_voter:
        return "it does not vote yet"
    if status.differs_at:
        return f"its data differ from the majority's as of log entry {status.differs_at}"
    if status.lacks_data or status.receiving is not None:
        return "it waits for a snapshot of its leader's"
    if status.damaged_entries:
        return f"its disk lost {_counted(status.damaged_entries, 'log entry')}"
    if status.waits_for_room:
        return f"it has no room to apply log entry {status.waits_for_room}"
    return None


def unapplied(status: api.StatusResult) -> str | None:
    """How much of the log a node has still to apply, if it is so much that reads wait."""
    count = status.commit_index - status.last_applied
    return _counted(count, "log entry") if count > FAR_BEHIND else None


# --- Words --------------------------------------------------------------------------------


def _counted(count: int, thing: str) -> str:
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count:,} {thing if count == 1 else plural}"


def _mib(count: int) -> str:
    return f"{count >> 20} MiB"


def _fetches(transfer: api.Transfer | None) -> str:
    """How far a node has come with a snapshot."""
    if transfer is None:
        return "lacks its data, and waits for a snapshot of its leader's"
    mib_per_s = transfer.done_bytes / 1_048.576 / max(transfer.ms, 1.0)
    return (
        f"fetches a snapshot up to log entry {transfer.index}: {_mib(transfer.done_bytes)} of "
        f"{_mib(transfer.size_bytes)}, {mib_per_s:.1f} MiB/s"
    )


def _verb(things: Sequence[object], one: str, several: str) -> str:
    return one if len(things) == 1 else several


# --- Who is there -------------------------------------------------------------------------

_WHAT_TO_DO: Final = {
    Why.DOWN: "start it, or wait if it is starting; its log says why it ended",
    Why.OUT_OF_REACH: "look at its machine, and at the network on the way",
    Why.FROZEN: "its process is stopped, or its disk hangs: look at both",
    Why.FULL: "look for clients that do not hang up, or raise its ulimit -n",
    Why.STRANGER: "correct the address",
}
_START_SEVERAL: Final = "start them, or wait if they are starting; their logs say why they ended"


def _nobody(asked: Sequence[Asked]) -> Iterator[Advice]:
    whys = {one.answer.why for one in asked if isinstance(one.answer, Silence)}
    todo = _WHAT_TO_DO[whys.pop()] if len(whys) == 1 else "see above for each"
    if len(asked) > 1:
        todo = todo.replace(_WHAT_TO_DO[Why.DOWN], _START_SEVERAL)
    yield critical("no_answer", f"no node answers: {todo}; or name other nodes with --to")


def _absent(view: View) -> Iterator[Advice]:
    """Nodes that do not answer, though they are asked where they should be."""
    for member, one in sorted(view.silent.items()):
        assert isinstance(one.answer, Silence)
        if view.reason_not_there(member):
            continue  # It is up: that is for `_links`.
        what, todo = _absence(one.answer)
        if refusal := view.refusal_of(member):
            # Its supervisor starts it again and again, and it ends each time.
            text = f"node {member} at {one.address} {what}: {refusal}"
            yield warning("directory_refused", text)
        else:
            yield warning("node_silent", f"node {member} at {one.address} {what}: {todo}")
    may_fail = view.may_fail
    if view.silent and may_fail is not None and may_fail >= 0:
        yield warning("spares", _spares(view, may_fail))
    for member in view.not_asked:
        if view.linked_to(member):
            yield note("not_asked", f"node {member} was not asked: name it in --to")
        else:
            text = f"node {member} was not asked, and nobody has a link to it: is it up?"
            yield warning("not_asked", text)
    yield from _no_members(view)


def _no_members(view: View) -> Iterator[Advice]:
    """Addresses at which nobody answers, and no member is as far as is known."""
    known = {one.address for one in view.silent.values()}
    for one in view.asked:
        if not isinstance(one.answer, Silence) or one.address in known:
            continue
        what, todo = _absence(one.answer)
        is_gone = one.answer.why in (Why.DOWN, Why.OUT_OF_REACH)
        if view.leader is None or not is_gone:
            yield warning("node_silent", f"the node at {one.address} {what}: {todo}")
        else:
            yield note(
                "no_member",
                f"no member is at {one.address}, says the leader, and what is there {what}: leave "
                "it out, or name it as the members' list does",
            )


def _absence(answer: Silence) -> tuple[str, str]:
    what = {
        Why.DOWN: f"is down ({answer.reason})",
        Why.OUT_OF_REACH: f"is out of reach ({answer.reason})",
        Why.FROZEN: "takes connections and says nothing",
        Why.FULL: "has no place for another connection",
        Why.STRANGER: f"is no kvstore node ({answer.reason})",
    }[answer.why]
    return what, _WHAT_TO_DO[answer.why]


def _spares(view: View, may_fail: int) -> str:
    more = {0: "no further one may fail", 1: "one more may fail"}
    told = more.get(may_fail, f"{may_fail} more may fail")
    answering = sum(member in view.answers for member in view.members)
    return f"{answering} of {len(view.members)} nodes answer: {told}"


def _identities(view: View) -> Iterator[Advice]:
    """Who says that it is whom."""
    if len(view.clusters) > 1:
        parts = "; ".join(
            f"{name} at {', '.join(_addresses_of(view, name))}" for name in sorted(view.clusters)
        )
        yield warning(
            "clusters_differ",
            f"different clusters answer: {parts}: correct the addresses, or if it is meant to be "
            "one, compare --peers and --cluster of the nodes",
        )
    seen: dict[int, tuple[str, str]] = {}
    for one in view.asked:
        if not isinstance(one.answer, api.StatusResult):
            continue
        node_id, incarnation = one.answer.node_id, one.answer.incarnation
        where, before = seen.setdefault(node_id, (one.address, incarnation))
        if where != one.address and before != incarnation:
            yield warning(
                "node_twice",
                f"node {node_id} answers at {where} and at {one.address}, from two directories: "
                "stop the one that is not meant to be",
            )
        elif where != one.address:
            yield note("asked_twice", f"{where} and {one.address} both lead to node {node_id}")
        if one.expected not in (None, node_id):
            yield warning(
                "wrong_node",
                f"at {one.address} node {node_id} answers, and the settings say node "
                f"{one.expected}: compare --id, --port and --peers of both",
            )


def _addresses_of(view: View, cluster_id: str) -> list[str]:
    return [
        one.address
        for one in view.asked
        if isinstance(one.answer, api.StatusResult) and one.answer.cluster_id == cluster_id
    ]


def _members(view: View) -> Iterator[Advice]:
    """Nodes that count other members."""
    for answer in view.answers.values():
        theirs = tuple(sorted(answer.members))
        if theirs and theirs != view.members:
            yield warning(
                "members_differ",
                f"node {answer.node_id} counts {nodes(theirs)} as members, the others "
                f"{nodes(view.members)}: it lags if that passes; else look at its log",
            )


def _links(view: View) -> Iterator[Advice]:
    """Nodes that are there, and not where the others look for them, or not reached there."""
    for member in view.members:
        if member in view.answers:
            yield from _answering(view, view.answers[member])
        elif why := view.reason_not_there(member):
            yield warning(
                "node_moved",
                f"node {member} reaches {nodes(view.heard_by(member))}, and is not at "
                f"{view.address(member)} ({why}): if it has moved, kvstore member move {member} to "
                "its new address",
            )


def _answering(view: View, one: api.StatusResult) -> Iterator[Advice]:
    """The others may reach it by its own word; who has no link from it cannot."""
    member, cut_off = one.node_id, view.without_link_to(one.node_id)
    where = view.address(member) if cut_off else one.members.get(member, one.reached_at)
    if one.reached_at not in ("", where):
        yield warning(
            "node_moved",
            f"node {member} is at {one.reached_at}, and the others look for it at {where}: kvstore "
            f"member move {member} {one.reached_at}",
        )
    elif cut_off:
        why = next(iter(cut_off.values()))
        yield warning("no_link", f"{nodes(cut_off)} cannot reach node {member} at {where} ({why})")


# --- Who leads ----------------------------------------------------------------------------


def _leadership(view: View) -> Iterator[Advice]:
    """Whether anybody leads, and why not."""
    if view.leader is not None:
        if (view.may_fail or 0) < 0:
            text = f"{nodes([view.leader.node_id])} leads, and {view.majority} of"
            yield critical(
                "no_majority",
                f"{text} {len(view.members)} nodes are needed to confirm it: "
                f"{_start(sorted(view.silent))}",
            )
        for answer in view.answers.values():
            if answer.leader_id is None:
                text = f"node {answer.node_id} hears no leader: its log says to whom it has no link"
                yield warning("hears_no_leader", text)
        return
    followed = {one.leader_id for one in view.answers.values() if one.leader_id is not None}
    if any(leader in view.not_asked for leader in followed):
        return
    if followed:
        text = f"the leader, {nodes(followed)}, does not answer: another is elected if it is gone"
        yield critical("leader_silent", f"{text}, so ask again in some seconds")
        return
    yield critical(*_why_no_leader(view))


def _start(silent: Sequence[int]) -> str:
    lost = f"if {_verb(silent, 'it is', 'they are')} lost for good"
    todo = f"start {nodes(silent)}" if silent else "name the others in --to, to see how they are"
    return (
        f"{todo}; {lost}, save what is left (kvstore backup), and go on with one directory "
        "(kvstore recover)"
    )


def _why_no_leader(view: View) -> tuple[str, str]:
    size, voters = len(view.electors), view.voters
    waiting = [one for one in view.waiting if one in view.electors]
    may_count = size - len(waiting)
    if waiting and may_count < view.majority:
        return "cannot_heal", (
            f"no leader, and this does not mend itself: {nodes(waiting)} "
            f"{_verb(waiting, 'waits', 'wait')} to be let vote by {view.majority} of {size} "
            f"directories that were not lost, and there {_verb([0] * may_count, 'is', 'are')} "
            f"{may_count}. Put a lost directory back if it still exists; otherwise save what is "
            "left (kvstore backup), and go on with one directory (kvstore recover)"
        )
    if len(voters) < view.majority:
        start = _start(sorted(view.silent))
        that_count = " whose directories count" if waiting else ""
        return "no_majority", (
            f"no leader: {len(voters)} of {size} nodes{that_count} answer, and "
            f"{view.majority} are needed: {start}"
        )
    damaged = [one.node_id for one in view.answers.values() if one.damaged_entries]
    if damaged:
        return "no_leader_damaged", (
            f"no leader: {nodes(damaged)} cannot stand without the log entries that "
            f"{_verb(damaged, 'its disk', 'their disks')} lost: start all other nodes"
        )
    short = [one.node_id for one in view.answers.values() if one.is_short_of_room]
    if len(short) >= view.majority:
        return "no_leader_room", f"no leader: make room on the disks of {nodes(short)}"
    return "no_leader", (
        "no leader: an election takes about a second, so ask again; if it stays so, the nodes "
        "do not hear each other: their logs say why"
    )


_MAKE_ROOM: Final = "make room on the disk, or start again with larger maps"


# --- Single nodes -------------------------------------------------------------------------


def _room(view: View) -> Iterator[Advice]:
    """Disks and maps that are full, or soon will be."""
    short = [one for one in view.answers.values() if one.is_short_of_room]
    leads = view.leader is not None and view.leader.is_short_of_room
    if leads and len(short) < len(view.answers):
        assert view.leader is not None
        left = _mib(view.leader.room_bytes)
        yield critical(
            "leader_short_of_room",
            f"node {view.leader.node_id} leads and refuses writes, with {left} left: it hands over "
            f"if a node with room keeps up; {_MAKE_ROOM}",
        )
    elif leads:
        yield critical(
            "all_short_of_room",
            f"writes are refused, as {nodes(one.node_id for one in short)} "
            f"{_verb(short, 'has', 'have')} no room: {_MAKE_ROOM}",
        )
    for one in view.answers.values():
        if one.waits_for_room:
            yield warning(
                "waits_for_room",
                f"node {one.node_id} has no room to apply log entry {one.waits_for_room}: make "
                "room on its disk, or start it again with a larger --state-map-bytes",
            )
        elif one.is_short_of_room and one is not view.leader:
            yield warning(
                "short_of_room",
                f"node {one.node_id} has {_mib(one.room_bytes)} left, too little to lead: "
                f"{_MAKE_ROOM}",
            )
        elif one.room_bytes < LITTLE_ROOM_BYTES and not one.is_short_of_room:
            yield warning(
                "little_room",
                f"node {one.node_id} has {_mib(one.room_bytes)} left: {_MAKE_ROOM}, before it "
                "refuses writes",
            )


def _progress(view: View) -> Iterator[Advice]:
    """Nodes whose log or data is not what it should be."""
    for one in view.answers.values():
        if one.damaged_entries:
            lost = _counted(one.damaged_entries, "log entry")
            text = f"the disk of node {one.node_id} lost {lost}, which it asks the others for"
            yield warning("damaged", f"{text}: look at that disk")
        if one.differs_at:
            yield warning(
                "differs",
                f"the data of node {one.node_id} differ from the majority's as of log entry "
                f"{one.differs_at}: it answers nothing until it has a snapshot of its leader's; "
                "what it held is in state.differs of its directory then. Test the memory of that "
                "machine",
            )
        if one.snapshot_setback:
            verb = "take" if one.receiving is not None else "write"
            text = f"node {one.node_id} cannot {verb} a snapshot for now: {one.snapshot_setback}"
            yield warning("snapshot_waits", text)
        elif one.receiving is not None or (one.lacks_data and not one.differs_at):
            yield warning("snapshot", f"node {one.node_id} {_fetches(one.receiving)}")
        lag = _lag(view, one)
        if not one.is_voter and view.leader is not None:
            yield warning(
                "learner",
                f"node {one.node_id} catches up ({_counted(lag, 'entry')} to go), and then votes: "
                "until then it counts for nothing",
            )
        elif lag > FAR_BEHIND:
            yield warning(
                "far_behind",
                f"node {one.node_id} lacks {_counted(lag, 'entry')}, and is no spare until it has "
                "them: ask again; if that does not shrink, look at its disk and its network",
            )
        elif (count := unapplied(one)) and not one.waits_for_room:
            text = f"node {one.node_id} has {count} still to apply"
            yield note("applying", f"{text}; reads there wait for that")
        if (one.sync_p99_ms or 0.0) >= SLOW_SYNC_MS:
            text = f"a write to the log of node {one.node_id} takes up to {one.sync_p99_ms:.0f} ms"
            yield note("slow_disk", f"{text}: look at its disk, and at who else uses it")


def _lag(view: View, one: api.StatusResult) -> int:
    """What the leader knows to be missing on a node's disk."""
    leader = view.leader
    match = None if leader is None else leader.match_index.get(one.node_id)
    return 0 if leader is None or match is None else max(0, leader.last_log_index - match)


def _versions(view: View) -> Iterator[Advice]:
    by_version: dict[str, list[int]] = {}
    for one in view.answers.values():
        by_version.setdefault(one.version, []).append(one.node_id)
    if len(by_version) > 1:
        parts = "; ".join(f"{name} on {nodes(ids)}" for name, ids in sorted(by_version.items()))
        yield note("versions_differ", f"different versions run: {parts}: finish the upgrade")


def _states(view: View) -> Iterator[Advice]:
    """Nodes that do not hold the same. Who differs from a majority says so itself."""
    check = None if view.leader is None else view.leader.check
    if check is not None and check.is_disputed and check.is_settled:
        yield warning(
            "states_disputed",
            f"{nodes(check.digests)} do not hold the same, as of log entry {check.index}, and no "
            "majority does: nobody knows which is right; start the others, and run kvstore check",
        )


Rule: TypeAlias = Callable[[View], Iterator[Advice]]
_RULES: Final[tuple[Rule, ...]] = (
    _leadership,
    _room,
    _identities,
    _members,
    _absent,
    _links,
    _progress,
    _versions,
    _states,
)
