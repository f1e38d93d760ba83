"""What is found of a cluster: one line each, how bad it is, and what all of them come to.

Law: values alone. It must not know who finds what, nor how it is shown.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec


class Severity(enum.IntEnum):
    """How bad it is."""

    NOTE = 0
    """All is well; somebody may want to know."""
    WARNING = 1
    """Writes are taken, but something is to be done."""
    CRITICAL = 2
    """Writes are not taken."""


class Advice(msgspec.Struct, frozen=True):
    """One line. Its `code` stays as it is, whatever becomes of its words."""

    severity: Severity
    code: str
    text: str


class State(enum.StrEnum):
    """How the cluster is."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    NO_WRITES = "no writes"
    UNREACHABLE = "unreachable"


class Verdict(msgspec.Struct, frozen=True):
    """`may_fail`: how many more nodes may, with writes still taken; None if nobody knows."""

    state: State
    advice: tuple[Advice, ...]
    may_fail: int | None = None


def critical(code: str, text: str) -> Advice:
    """Writes are not taken."""
    return Advice(Severity.CRITICAL, code, text)


def warning(code: str, text: str) -> Advice:
    """Something is to be done."""
    return Advice(Severity.WARNING, code, text)


def note(code: str, text: str) -> Advice:
    """Good to know."""
    return Advice(Severity.NOTE, code, text)


def nodes(node_ids: Iterable[int]) -> str:
    """How they are called, by their ids."""
    ids = sorted(node_ids)
    return f"node{'' if len(ids) == 1 else 's'} {', '.join(map(str, ids))}"
