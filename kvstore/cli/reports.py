"""How reports on data directories look: text for people, values for programs.

Law: shows all that a report says, and decides nothing. Terminal controls that the data may
hold come out as escapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import msgspec

from kvstore import api
from kvstore.printable import printable
from kvstore.raft.configurations import configuration_of
from kvstore.raft.types import Entry, EntryKind
from kvstore.storage.compare import Comparison
from kvstore.storage.inspect import DamagedEntry, Report, TermSpan, read_entries
from kvstore.storage.tables import count_words, counts_of

_TERMS_SHOWN: Final = 12
_TEXT_SHOWN: Final = 48


def all_findings(reports: list[Report], comparison: Comparison | None) -> list[str]:
    """Everything that is wrong, each line naming its directory."""
    found = [finding for report in reports for finding in report.findings]
    return found + list(comparison.findings if comparison else ())


# --- Text ---------------------------------------------------------------------------------


def text(reports: list[Report], comparison: Comparison | None, with_entries: bool) -> Iterator[str]:
    """The verdict comes last, where a terminal leaves the eye."""
    for report in reports:
        yield from _directory_text(report)
        if with_entries:
            yield from _entries_text(report.directory)
        yield ""
    if comparison:
        yield from _comparison_text(reports, comparison)
        yield ""
    yield from _verdict_text(all_findings(reports, comparison), len(reports))


def _directory_text(report: Report) -> Iterator[str]:
    """Who it is, and how far it has come."""
    yield click.style(printable(report.name), bold=True) + "  " + _whose(report)
    if report.hard_state:
        vote = report.hard_state.voted_for
        voted = "no vote in it" if vote is None else f"voted for node {vote}"
        yield _field("term", f"{report.hard_state.current_term}, {voted}")
        if not report.hard_state.is_voter:
            yield _field("joins", "does not vote or count before it is admitted")
        elif report.hard_state.admitted_at:
            yield _field("joined", f"admitted by entry {report.hard_state.admitted_at}")
    yield _field("log", _log_extent(report))
    if report.start.index:
        yield _field("begins", f"after entry {report.start.index} of term {report.start.term}")
    if report.applied:
        applied = report.applied
        yield _field(
            "applied",
            f"up to {applied.last_applied}, revision {applied.revision}, "
            f"{count_words(counts_of(report.counts))}",
        )
        yield _field("protocol", f"version {applied.cluster_version} of the cluster")
    if report.successor:
        index = report.successor.last_applied
        how = f"up to {index}, whole" if index else "not whole"
        yield _field("snapshot", f"is being installed: {how}")
    yield from _terms_text(report.terms)


def _whose(report: Report) -> str:
    """Identity and state in one line."""
    server = (
        click.style(f"running, process {report.server_pid}", fg="green")
        if report.server_pid is not None
        else "no server seen"
    )
    if report.identity is None:
        return f"{click.style('identity unreadable', fg='red')} · {server}"
    identity = report.identity
    return (
        f"node {identity.node_id} · cluster {identity.cluster_id} · {server}"
        f"\n{_field('made as', identity.incarnation)}"
        f"\n{_field('members', str(report.configuration_at(report.last_index)))}"
    )


def _log_extent(report: Report) -> str:
    """How many entries, and whether all of them can be read."""
    if not report.checksums:
        return "no entries"
    unread = len(report.unread)
    state = f"{unread} cannot be read" if unread else "every checksum good"
    extent = f"entries {report.first_index} to {report.last_index}"
    return f"{extent}, {click.style(state, fg='red' if unread else None)}"


def _terms_text(terms: tuple[TermSpan, ...]) -> Iterator[str]:
    """One line for each term, the middle of a long history left out."""
    shown = list(terms)
    left_out = max(len(shown) - _TERMS_SHOWN, 0)
    if left_out:
        shown = shown[: _TERMS_SHOWN // 2] + shown[-_TERMS_SHOWN // 2 :]
    for position, span in enumerate(shown):
        if left_out and position == _TERMS_SHOWN // 2:
            yield _field("", f"… {left_out} more terms …")
        leader = "no leader named" if span.leader is None else f"led by node {span.leader}"
        extent = f"{span.first_index} to {span.last_index}"
        yield _field("" if position else "terms", f"term {span.term:<5} {leader:<18} {extent}")


def _entries_text(directory: Path) -> Iterator[str]:
    """One line for each log entry."""
    yield ""
    yield click.style(f"  {'index':>8}  {'term':>5}  {'kind':<9}  what", dim=True)
    for entry in read_entries(directory):
        if isinstance(entry, DamagedEntry):
            yield "  " + click.style(printable(entry.message), fg="red")
        else:
            kind = entry.kind.name.lower()
            yield f"  {entry.index:>8}  {entry.term:>5}  {kind:<9}  {_what(entry)}"


def _comparison_text(reports: list[Report], comparison: Comparison) -> Iterator[str]:
    """What the directories say about each other."""
    yield click.style(f"{len(reports)} directories compared", bold=True)
    if comparison.committed_index:
        yield _field(
            "commit",
            f"entry {comparison.committed_index}, perhaps more;"
            f" {comparison.holders} of {len(reports)} directories hold everything up to it",
        )
    for note in comparison.notes:
        yield _field("note", printable(note))


def _verdict_text(findings: list[str], directories: int) -> Iterator[str]:
    """The answer to the question why somebody looked."""
    if not findings:
        many = "directory" if directories == 1 else "directories"
        yield click.style("OK", fg="green", bold=True) + f"  nothing wrong in {directories} {many}"
        return
    count = f"{len(findings)} FINDING{'S' if len(findings) > 1 else ''}"
    yield click.style(count, fg="red", bold=True)
    for finding in findings:
        yield "  " + click.style("✗", fg="red") + f" {printable(finding)}"


def _field(name: str, value: str) -> str:
    """A line of a block, its name in a column of its own."""
    return f"  {click.style(f'{name:<8}', dim=True)} {value}"


# --- Entries ------------------------------------------------------------------------------


def _configuration_text(entry: Entry) -> str:
    try:
        return str(configuration_of(entry))
    except ValueError as error:
        return str(error)


def _what(entry: Entry) -> str:
    """An entry's data in a few words."""
    if entry.kind is EntryKind.NOOP:
        return f"node {_printable(entry.data)} leads"
    if entry.kind is EntryKind.CONFIGURE:
        return f"the cluster has {_configuration_text(entry)}"
    if entry.kind is EntryKind.VERSION:
        return f"the cluster has version {_printable(entry.data)} of the protocol"
    if entry.kind is EntryKind.CHECK:
        return "the data of all nodes are compared as of here"
    try:
        logged = msgspec.msgpack.decode(entry.data, type=api.Logged)
    except msgspec.DecodeError:
        return f"{len(entry.data)} bytes that are no command of this version"
    command = logged.command if isinstance(logged, api.Stamped) else logged
    if isinstance(command, api.OpenSession):
        return f"open session {entry.index}"
    if isinstance(command, api.Once):
        whose = f"request {command.sequence} of session {command.session}"
        return f"{_write_text(command.write)} ({whose})"
    if isinstance(command, api.Internal):
        return _command_text(command)
    return _write_text(command)


def _write_text(write: api.Write) -> str:
    """A write as one would type it."""
    guard = write.guard
    if guard is None:
        return _command_text(write)
    return f"{_command_text(write)} if {_short(guard.key)} has revision {guard.mod_revision}"


def _command_text(command: api.Write | api.Internal) -> str:
    """A write without its guard."""
    if isinstance(command, api.Put):
        condition = "" if command.when is api.When.ALWAYS else f" if {_condition_text(command)}"
        lease = f" under lease {command.lease}" if command.lease else ""
        return f"put {_short(command.key)} = {_short(command.value)}{lease}{condition}"
    if isinstance(command, api.PutMany):
        return f"put {len(command.pairs)} keys: {_listed([key for key, _ in command.pairs])}"
    if isinstance(command, api.Delete):
        return f"delete {_listed(list(command.keys))}"
    if isinstance(command, api.Increment):
        return f"increment {_short(command.key)} by {command.by}"
    if isinstance(command, api.Txn):
        return _txn_text(command)
    told = (
        f"{name} {_value_text(getattr(command, name))}"
        for name in command.__struct_fields__
        if name != "guard"
    )
    return " ".join([type(command).__name__.lower(), *told])


def _txn_text(txn: api.Txn) -> str:
    """The first operations of both branches; those of transactions within are not told."""
    branches = []
    for name, branch in (("then", txn.then), ("else", txn.otherwise)):
        told = [
            "transaction" if isinstance(one, api.Txn) else _operation_text(one)
            for one in branch[:3]
        ]
        more = [f"{len(branch) - 3} more"] if len(branch) > 3 else []
        branches += [f"{name} {', '.join([*told, *more])}"] if branch else []
    return " ".join([f"transact, comparisons: {len(txn.compares)};", *branches])


def _operation_text(operation: api.Put | api.DeleteRange | api.Get) -> str:
    if isinstance(operation, api.Get):
        return f"get {_listed(list(operation.keys))}"
    return _command_text(operation)


def _value_text(value: object) -> str:
    """A field of a write for which there are no words."""
    if isinstance(value, tuple) and all(isinstance(one, bytes) for one in value):
        return _listed(list(value))
    return _short(value) if isinstance(value, bytes) else _printable(repr(value).encode())


def _condition_text(put: api.Put) -> str:
    """When a put writes."""
    if put.when is api.When.EQUAL:
        return f"equal to {_short(put.expected or b'')}"
    return put.when.name.lower()


def _listed(keys: list[bytes]) -> str:
    """The first few of many keys."""
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    return ", ".join(map(_short, keys[:3])) + more


def _short(value: bytes) -> str:
    """Bytes quoted, the end of long ones replaced by their length."""
    if len(value) <= _TEXT_SHOWN:
        return f'"{_printable(value)}"'
    return f'"{_printable(value[:_TEXT_SHOWN])}…" ({len(value)} bytes)'


def _printable(value: bytes) -> str:
    """Text where it is text; all else, terminal controls too, as escapes."""
    return "".join(map(_escaped, value.decode("utf-8", "surrogateescape")))


def _escaped(char: str) -> str:
    """One character, as it may safely be shown between double quotes."""
    return "\\" + char if char in '"\\' else printable(char)


# --- JSON ---------------------------------------------------------------------------------


def as_values(
    reports: list[Report], comparison: Comparison | None, with_entries: bool
) -> dict[str, object]:
    """The same facts, for programs."""
    return {
        "directories": [_report_values(report, with_entries) for report in reports],
        "comparison": msgspec.to_builtins(comparison),
        "findings": all_findings(reports, comparison),
    }


def _report_values(report: Report, with_entries: bool) -> dict[str, object]:
    """One directory; the checksums serve the comparison only."""
    values: dict[str, object] = {
        "directory": report.name,
        "server_pid": report.server_pid,
        "identity": msgspec.to_builtins(report.identity),
        "hard_state": msgspec.to_builtins(report.hard_state),
        "applied": msgspec.to_builtins(report.applied),
        "successor": msgspec.to_builtins(report.successor),
        **counts_of(report.counts),
        "start": msgspec.to_builtins(report.start),
        "first_index": report.first_index if report.checksums else None,
        "last_index": report.last_index,
        "unread": sorted(report.unread),
        "terms": msgspec.to_builtins(report.terms),
        "findings": list(report.findings),
    }
    if with_entries:
        values["entries"] = [_entry_values(entry) for entry in read_entries(report.directory)]
    return values


def _entry_values(entry: Entry | DamagedEntry) -> dict[str, object]:
    """One entry; its data in words, as in the text."""
    if isinstance(entry, DamagedEntry):
        return {"damaged": entry.message}
    return {
        "index": entry.index,
        "term": entry.term,
        "kind": entry.kind.name.lower(),
        "what": _what(entry),
    }
