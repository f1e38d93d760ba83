"""What the command line prints: records, scan lines, JSON objects and the status table.

Law: every output is unambiguous, whatever bytes a key or a value holds. Text stays
readable; what is not text is escaped in lines and base64 in JSON.

This module must not know clients, sockets or exit codes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from kvstore import api
from kvstore.cli.findings import State, Verdict
from kvstore.cli.overview import Asked, Silence

_COLUMNS: Final = (
    "NODE",
    "ADDRESS",
    "ROLE",
    "TERM",
    "LEADER",
    "LOG",
    "KEPT",
    "MATCH",
    "LAG",
    "APPLIED",
    "FSYNC",
    "ROOM",
    "DAMAGED",
)


def shown(text: bytes) -> str:
    r"""Bytes as one word of a line: UTF-8 where printable, else `\n`, `\t`, `\\` or `\xNN`."""
    decoded = text.decode("utf-8", "surrogateescape")
    return "".join(_shown_character(character) for character in decoded)


def _shown_character(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    if character in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[character]
    raw = character.encode("utf-8", "surrogateescape")
    return "".join(f"\\x{byte:02x}" for byte in raw)


def json_line(fields: Mapping[str, object]) -> str:
    """One JSON object on one line. Bytes are text if UTF-8, else base64 as NAME_base64."""
    return json.dumps(_plain(fields), ensure_ascii=False)


def _plain(value: object) -> Any:
    """A value of names and numbers that JSON has; text, as the system gives it, as UTF-8."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, Mapping):
        return dict(_field(name, one) for name, one in value.items())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return value


def _field(name: object, value: object) -> tuple[object, Any]:
    if not isinstance(value, bytes):
        return name, _plain(value)
    try:
        return name, value.decode("utf-8")
    except UnicodeDecodeError:
        return f"{name}_base64", base64.b64encode(value).decode("ascii")


def record_fields(record: api.KeyValue, with_value: bool = True) -> dict[str, object]:
    """A record with its history numbers."""
    fields = msgspec.structs.asdict(record)
    if not with_value:
        del fields["value"]
    return fields


def status_fields(asked: Sequence[Asked], verdict: Verdict) -> dict[str, object]:
    """How the cluster is, what to do, and what each node said of itself."""
    advice = [
        {"severity": one.severity.name.lower(), "code": one.code, "text": one.text}
        for one in verdict.advice
    ]
    state = {"state": verdict.state.value, "may_fail": verdict.may_fail, "advice": advice}
    return {**state, "nodes": [_node_fields(one) for one in asked]}


def _node_fields(one: Asked) -> dict[str, object]:
    """What a node said of itself, or why it said nothing."""
    if isinstance(one.answer, Silence):
        why = {"why": one.answer.why.value, "error": one.answer.reason}
        return {"address": one.address, "reachable": False, **why}
    return {"address": one.address, "reachable": True, **msgspec.structs.asdict(one.answer)}


def status_table(asked: Sequence[Asked], verdict: Verdict) -> str:
    """The nodes, a line each, under the name of their cluster and who leads it; then advice."""
    answers = [one.answer for one in asked if isinstance(one.answer, api.StatusResult)]
    leader = max(
        (one for one in answers if one.leader_id == one.node_id),
        key=lambda one: one.term,
        default=None,
    )
    rows = [_COLUMNS, *(_row(one, leader) for one in asked)]
    # A row without an answer ends in a sentence, which must not widen any column.
    full = [row for row in rows if len(row) == len(_COLUMNS)]
    widths = [max(len(row[column]) for row in full) for column in range(len(_COLUMNS))]
    widths[1] = max(len(row[1]) for row in rows)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]
    return "\n".join([*_heading(answers, leader), *lines, *_advice_lines(verdict)])


def _advice_lines(verdict: Verdict) -> list[str]:
    """One for each piece of advice, or one that says that all is well."""
    lines = [f"{one.severity.name.lower()}: {one.text}" for one in verdict.advice]
    if verdict.state is State.HEALTHY:
        spares = "" if not verdict.may_fail else f"; {verdict.may_fail} more may fail"
        lines.insert(0, f"all is well{spares}")
    return lines


def _heading(answers: Sequence[api.StatusResult], leader: api.StatusResult | None) -> list[str]:
    if not answers:
        return []
    name = f"cluster {' and '.join(dict.fromkeys(one.cluster_id for one in answers))}"
    if leader is None:
        return [f"{name}: no leader answers"]
    return [
        f"{name}: node {leader.node_id} leads term {leader.term} for "
        f"{duration(leader.leader_ms or 0.0)}; commit {leader.commit_index}, revision "
        f"{leader.revision}, {leader.keys} key{'' if leader.keys == 1 else 's'}",
        _versions(answers, leader),
    ]


def _versions(answers: Sequence[api.StatusResult], leader: api.StatusResult) -> str:
    """Which programs run, and what they speak and write."""
    programs = " and ".join(
        dict.fromkeys(
            f"kvstore {one.version} (format {one.format_version}, protocol "
            f"{'-'.join(map(str, dict.fromkeys(one.speaks)))})"
            for one in answers
        )
    )
    return f"{programs}; the cluster has version {leader.cluster_version} of the protocol"


def _row(one: Asked, leader: api.StatusResult | None) -> tuple[str, ...]:
    status = one.answer
    if isinstance(status, Silence):
        return (str(_or_dash(one.expected)), one.address, f"{status.why.value}: {status.reason}")
    match = None if leader is None else leader.match_index.get(status.node_id)
    lag = None if leader is None or match is None else leader.last_log_index - match
    cells: tuple[Any, ...] = (
        status.node_id,
        one.address,
        status.role if status.is_voter else "learner",
        status.term,
        _or_dash(status.leader_id),
        status.last_log_index,
        f"{size(status.log_bytes)} from {status.first_log_index}",
        _or_dash(match),
        _or_dash(lag),
        status.last_applied,
        _sync_times(status),
        size(status.room_bytes) + (" waits" if status.waits_for_room else ""),
        _or_dash(status.damaged_entries or None),
    )
    return tuple(map(str, cells))


def _or_dash(value: object) -> object:
    return "-" if value is None else value


def _sync_times(status: api.StatusResult) -> str:
    if status.sync_last_ms is None or status.sync_p99_ms is None:
        return "-"
    return f"{status.sync_last_ms:.1f}/{status.sync_p99_ms:.1f} ms"


_MEMBER_COLUMNS: Final = ("NODE", "ADDRESS", "ROLE", "MATCH", "LAG", "ANSWERS")


def members_fields(result: api.MembersResult, *, is_stale: bool = False) -> dict[str, object]:
    """The members, with the index of the configuration's entry that says so.

    `is_stale`: who says so does not lead, and knows no more of the others.
    """
    unknown = {"answers": None, "match_index": None} if is_stale else {}
    members = [{**msgspec.structs.asdict(one), **unknown} for one in result.members]
    return {**msgspec.structs.asdict(result), "members": members}


def members_table(result: api.MembersResult, *, is_stale: bool = False) -> str:
    """The members, a line each, under the configuration that names them.

    `is_stale`: who says so does not lead, and knows no more of the others.
    """
    since = f"log entry {result.index}" if result.index else "its beginning"
    under_way = "" if result.is_settled else ", not yet with a majority"
    rows = [
        (
            str(one.node_id),
            one.address,
            one.role.value,
            *(_standing(one, result) if not is_stale else ("-", "-", "-")),
        )
        for one in result.members
    ]
    return "\n".join(
        [
            f"cluster {result.cluster_id}: members since {since}{under_way}",
            *_aligned([_MEMBER_COLUMNS, *rows]),
            *(
                f"node {one.node_id} is at {one.found_at}, and the members' list has it at "
                f"{one.address}: kvstore member move {one.node_id} {one.found_at}"
                for one in result.members
                if one.found_at
            ),
        ]
    )


def _standing(one: api.Member, result: api.MembersResult) -> tuple[str, str, str]:
    answers = "yes" if one.answers else "no"
    return (
        str(one.match_index),
        str(result.last_log_index - one.match_index),
        "leads" if one.node_id == result.leader_id else answers,
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def duration(ms: float) -> str:
    """A time as one would say it, in its two largest units."""
    seconds = int(ms / 1000)
    if seconds < 60:
        return f"{ms / 1000:.1f} s"
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def size(count: int) -> str:
    """A number of bytes in the largest unit that leaves a whole part."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
