"""What can be asked, as values that belong to no server: a sequence is a tuple of these.

Law: a revision is told from the one at which the sequence begins, so a sequence means the same
whatever was done to a server before, and any step may be left out of it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields

FROM_KEY = b"\0"
"""As the end of a range: there is none."""
LIST_MAX = 128
"""A transaction has at most so many compares, and operations in either branch."""


class _Word(enum.StrEnum):
    """One that is shown as it is written in a test."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"


class _Asked:
    """One that is shown by what is not as usual in it."""

    def __repr__(self) -> str:
        told = {field: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        shown = [
            f"{one.name}={_shown(value)}" for one, value in told.items() if value != one.default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def _shown(value: object) -> str:
    """The same many times is shown once."""
    if isinstance(value, tuple) and value[3:] and {*value} == {value[0]}:
        return f"({value[0]!r},) * {len(value)}"
    return repr(value)


class Order(_Word):
    NONE = "NONE"
    ASCEND = "ASCEND"
    DESCEND = "DESCEND"


class Target(_Word):
    """What is sorted by, or compared; keys are not compared, and leases not sorted by."""

    KEY = "KEY"
    VERSION = "VERSION"
    CREATE = "CREATE"
    MOD = "MOD"
    VALUE = "VALUE"
    LEASE = "LEASE"


class Relation(_Word):
    EQUAL = "EQUAL"
    NOT_EQUAL = "NOT_EQUAL"
    LESS = "LESS"
    GREATER = "GREATER"


@dataclass(frozen=True, repr=False)
class Put(_Asked):
    key: bytes
    value: bytes = b""
    lease: int = 0
    previous: bool = False
    keep_value: bool = False
    keep_lease: bool = False


@dataclass(frozen=True, repr=False)
class DeleteRange(_Asked):
    """`end` None: the one key."""

    key: bytes
    end: bytes | None = None
    previous: bool = False


@dataclass(frozen=True, repr=False)
class Range(_Asked):
    """`at` None: the newest revision; the filters: revisions, or None."""

    key: bytes
    end: bytes | None = None
    at: int | None = None
    limit: int = 0
    order: Order = Order.NONE
    target: Target = Target.KEY
    keys_only: bool = False
    count_only: bool = False
    min_mod: int | None = None
    max_mod: int | None = None
    min_create: int | None = None
    max_create: int | None = None


@dataclass(frozen=True, repr=False)
class Compare(_Asked):
    """`operand`: bytes for VALUE; for CREATE and MOD a revision, or None for that of an absent
    key; else a number."""

    key: bytes
    target: Target
    relation: Relation
    operand: int | bytes | None
    end: bytes | None = None


@dataclass(frozen=True, repr=False)
class Txn(_Asked):
    compares: tuple[Compare, ...] = ()
    then: tuple[Operation, ...] = ()
    otherwise: tuple[Operation, ...] = ()


@dataclass(frozen=True, repr=False)
class Compact(_Asked):
    at: int


@dataclass(frozen=True, repr=False)
class Grant(_Asked):
    """No lease may end by itself while a sequence is played: `ttl_s` is long."""

    lease: int
    ttl_s: int


@dataclass(frozen=True, repr=False)
class Revoke(_Asked):
    lease: int


@dataclass(frozen=True, repr=False)
class TimeToLive(_Asked):
    """With its keys, and without what is left of it."""

    lease: int


@dataclass(frozen=True, repr=False)
class Leases(_Asked):
    """Which there are."""


@dataclass(frozen=True, repr=False)
class Watch(_Asked):
    """All that was changed from revision `since` on, up to now, each with what it replaced."""

    since: int


Operation = Put | DeleteRange | Range | Txn
"""What may stand in a transaction."""
Step = Operation | Compact | Grant | Revoke | TimeToLive | Leases | Watch
Sequence = tuple[Step, ...]
