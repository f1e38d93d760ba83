"""Several directories of one cluster held against each other.

Law: only what Raft rules out is a finding. A log that is behind, or that has a
tail nobody committed, is the ordinary trace of a crash: it is a note.

Known to be committed is what some directory has applied, and what lies before a log. Every
comparison rests on that, and on checksums that cover index, term, kind and data of an entry.
Of what lies before a log, only the last entry is known, by its term.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

import msgspec

from kvstore.storage.inspect import Report


class Comparison(msgspec.Struct, frozen=True):
    """What holds between directories.

    * `committed_index`: the last index that any of them has applied, or has before its log.
    * `holders`: how many of the directories hold that entry.
    """

    committed_index: int
    holders: int
    findings: tuple[str, ...]
    notes: tuple[str, ...]


def compare(reports: Sequence[Report]) -> Comparison:
    """Findings and notes across directories, from `inspect_directories`."""
    findings = [*_identity_findings(reports)]
    if len({report.identity.cluster_id for report in reports if report.identity}) > 1:
        return Comparison(0, 0, tuple(findings), ())
    findings += [*_leader_findings(reports), *_applied_findings(reports)]
    # A log that could not be read to where it was applied is reported as such already.
    readable = [report for report in reports if 0 < _applied(report) <= report.last_index]
    if not readable:
        return Comparison(0, 0, tuple(findings), ())
    furthest = max(readable, key=_applied)
    committed_index = _applied(furthest)
    candidates = [report for report in reports if report.last_index >= _applied(report)]
    holders = [one for one in candidates if _agree_up_to(one, furthest) >= committed_index]
    findings += _majority_findings(furthest, holders, candidates)
    notes = [
        note
        for report in candidates
        if report is not furthest
        for note in _notes(report, furthest, committed_index)
    ]
    return Comparison(committed_index, len(holders), tuple(findings), tuple(notes))


def _identity_findings(reports: Sequence[Report]) -> Iterator[str]:
    for one, two in combinations(reports, 2):
        if one.identity is None or two.identity is None:
            continue
        names = f"{one.name} and {two.name}"
        if one.identity.cluster_id != two.identity.cluster_id:
            yield (
                f"{names} belong to different clusters:"
                f" {one.identity.cluster_id!r} and {two.identity.cluster_id!r}"
            )
        elif one.identity.incarnation == two.identity.incarnation:
            yield f"{names} are copies of one directory"
        elif one.identity.node_id == two.identity.node_id:
            yield f"{names} both belong to node {one.identity.node_id}"


def _leader_findings(reports: Sequence[Report]) -> Iterator[str]:
    """Raft §5.2, election safety: at most one leader in a term."""
    named: dict[int, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    for report in reports:
        for span in report.terms:
            if span.leader is not None and report.name not in named[span.term][span.leader]:
                named[span.term][span.leader].append(report.name)
    for term, leaders in sorted(named.items()):
        if len(leaders) > 1:
            who = ", ".join(
                f"node {leader} (in {', '.join(names)})"
                for leader, names in sorted(leaders.items())
            )
            yield f"two leaders in term {term}: {who}"


def _applied_findings(reports: Sequence[Report]) -> Iterator[str]:
    """Raft §5.4.3, state machine safety: no two nodes apply different entries at an index."""
    for one, two in combinations(reports, 2):
        both_applied = min(_applied(one), _applied(two), one.last_index, two.last_index)
        agreed = _agree_up_to(one, two)
        if agreed < both_applied:
            index = agreed + 1
            yield (
                f"{one.name} and {two.name} both applied entry {index},"
                f" but hold different ones: {_entry(one, index)} and {_entry(two, index)}"
            )


def _majority_findings(
    furthest: Report, holders: Sequence[Report], seen: Sequence[Report]
) -> Iterator[str]:
    """Raft §5.3: what was committed is in the logs of a majority, and stays there.

    Nodes whose log was not given, or could not be read, may hold it. Who voted then is not
    asked: of a change that is under way, the new voters have a majority of it, or the old.
    """
    index = _applied(furthest)
    members = furthest.configuration_at(index)
    ways = {members, furthest.configuration_at(furthest.last_index)}
    lacking = _nodes(seen) - _nodes(holders)
    if members.voters and not any(one.has_majority(one.voters - lacking) for one in ways):
        yield (
            f"entry {index} was applied by {furthest.name},"
            f" but only {len(holders)} of {len(members.voters)} nodes hold it"
        )


def _nodes(reports: Sequence[Report]) -> set[int]:
    return {report.identity.node_id for report in reports if report.identity is not None}


def _notes(report: Report, furthest: Report, committed_index: int) -> Iterator[str]:
    agreed = _agree_up_to(report, furthest)
    if agreed < _applied(report):
        return  # a finding already
    if agreed < min(report.last_index, furthest.last_index):
        fate = (
            f"{furthest.name} has applied its own, so this tail will be rolled back"
            if agreed < committed_index
            else "neither is known to be committed, and one will be rolled back"
        )
        yield f"{report.name}: its log parts from {furthest.name} at entry {agreed + 1}; {fate}"
    elif report.last_index < committed_index:
        yield (
            f"{report.name}: behind; its log ends at {report.last_index},"
            f" {committed_index} is committed"
        )


def _agree_up_to(one: Report, two: Report) -> int:
    """The last index up to which two logs are equal; unread entries are taken as equal."""
    both = min(one.last_index, two.last_index)
    before = max(one.start.index, two.start.index)
    if both < before:
        return both
    terms = {one.term_at(before), two.term_at(before)}
    if len(terms - {None}) > 1:
        return before - 1
    ones, twos = one.checksums_of(before + 1, both), two.checksums_of(before + 1, both)
    if ones == twos:
        return both
    unread = one.unread | two.unread
    for index, (checksum, other) in enumerate(zip(ones, twos, strict=True), before + 1):
        if checksum != other and index not in unread:
            return index - 1
    return both


def _applied(report: Report) -> int:
    """Up to where it is known to be committed by what the directory holds."""
    return max(report.applied.last_applied if report.applied else 0, report.start.index)


def _entry(report: Report, index: int) -> str:
    term = f"term {report.term_at(index)}"
    if index == report.start.index:
        return f"{term}, before its log"
    return f"{term}, crc32c {report.checksums_of(index, index)[0]:08x}"
