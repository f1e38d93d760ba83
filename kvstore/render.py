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

_COLUMNS: Final = (
    "NODE",
    "ADDRESS",
    "ROLE",
    "TERM",
    "LEADER",
    "COMMIT",
    "APPLIED",
    "LOG",
    "REVISION",
    "KEYS",
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
    record: dict[str, object] = {}
    for name, value in fields.items():
        if not isinstance(value, bytes):
            record[name] = value
            continue
        try:
            record[name] = value.decode("utf-8")
        except UnicodeDecodeError:
            record[f"{name}_base64"] = base64.b64encode(value).decode("ascii")
    return json.dumps(record, ensure_ascii=False)


def record_json(record: api.KeyValue, with_value: bool = True) -> str:
    """A record with its history numbers."""
    fields = msgspec.structs.asdict(record)
    if not with_value:
        del fields["value"]
    return json_line(fields)


def status_json(address: str, status: api.StatusResult | str) -> str:
    """What a node said of itself, or, as text, why it said nothing."""
    if isinstance(status, str):
        return json_line({"address": address, "reachable": False, "error": status})
    return json_line({"address": address, "reachable": True, **msgspec.structs.asdict(status)})


def status_table(statuses: Sequence[tuple[str, api.StatusResult | str]]) -> str:
    """The nodes, a line each, under the name of their cluster."""
    clusters = {s.cluster_id: None for _, s in statuses if not isinstance(s, str)}
    rows = [_COLUMNS, *(_row(address, status) for address, status in statuses)]
    # A row without an answer ends in a sentence, which must not widen any column.
    full = [row for row in rows if len(row) == len(_COLUMNS)]
    widths = [max(len(row[column]) for row in full) for column in range(len(_COLUMNS))]
    widths[1] = max(len(row[1]) for row in rows)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]
    heading = [f"cluster {' and '.join(clusters)}"] if clusters else []
    return "\n".join(heading + lines)


def _row(address: str, status: api.StatusResult | str) -> tuple[str, ...]:
    if isinstance(status, str):
        return ("-", address, status)
    numbers: tuple[Any, ...] = (
        status.node_id,
        address,
        status.role,
        status.term,
        "-" if status.leader_id is None else status.leader_id,
        status.commit_index,
        status.last_applied,
        status.last_log_index,
        status.revision,
        status.keys,
    )
    return tuple(map(str, numbers))
