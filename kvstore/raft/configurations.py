"""The configurations of one log: which is in force, and which directories count by it.

Law: a configuration is in force from the moment its entry is in the log, committed or not,
until it is truncated (thesis §4.1). What it says of a node's directory ends every one
that voted for that node before.
"""

from __future__ import annotations

import re
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from kvstore.raft.configuration import NOT_ADMITTED, Configuration, Member
from kvstore.raft.safety import require
from kvstore.raft.types import CONFIGURE, INDEX_MAX, Entry, Recovered

MEMBERS_BELIEVED_MAX: Final = 32
"""Of one configuration, learners and all: no release makes more, so one is damaged."""
ADDRESS_CHARACTERS_MAX: Final = 300
_ENDS_MAX: Final = 256
"""Directories of which it is kept whether they are ended: peers may claim any, so not all are."""

_DIRECTORY: Final = re.compile(r"(?:[0-9a-f]{32})?")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Member, ...]).decode


def configuration_data(configuration: Configuration) -> bytes:
    """Data of the entry by which the cluster has this configuration."""
    return _encode(configuration.members)


def configuration_of(entry: Entry) -> Configuration:
    """The configuration that an entry gives the cluster. Raises `ValueError` if it is none."""
    what = f"entry {entry.index}"
    try:
        members = _decode(entry.data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{what} holds no configuration: {error}") from None
    ids = [one.node_id for one in members]
    if ids != sorted(set(ids)) or len(ids) > MEMBERS_BELIEVED_MAX or (ids and ids[0] < 1):
        raise ValueError(f"{what} holds a configuration of nodes {ids[: MEMBERS_BELIEVED_MAX + 1]}")
    for one in members:
        if (
            not NOT_ADMITTED <= one.admitted_at <= entry.index
            or len(one.address) > ADDRESS_CHARACTERS_MAX
            or _DIRECTORY.fullmatch(one.directory) is None
        ):
            raise ValueError(f"{what} holds a configuration with a malformed node {one.node_id}")
    return Configuration(members)


def latest_of(recovered: Recovered) -> Configuration:
    """The configuration in which a node starts."""
    entries = recovered.configurations
    return configuration_of(entries[-1]) if entries else recovered.configuration


class Configurations:
    """Those of one log, durable or not, and the one as of its start.

    * One that is damaged is missing here. A node with damage never stands, and votes by the
      list of whoever asks.
    """

    def __init__(self, base_index: int, base: Configuration, entries: Iterable[Entry]) -> None:
        """`base`: as of the log's start, `base_index`."""
        self._held: list[tuple[int, Configuration]] = [(base_index, base)]
        self._ends: dict[tuple[int, int], int | None] = {}
        """By which index each directory that was asked for votes no more: all messages ask."""
        for entry in entries:
            self.add(entry)

    @property
    def in_force(self) -> Configuration:
        """The latest."""
        return self._held[-1][1]

    @property
    def in_force_at(self) -> int:
        """Index of its entry; where a log was found to begin, if it was in force there.

        It stays where it is while the log is compacted.
        """
        return self._held[-1][0]

    def as_of(self, index: int) -> Configuration:
        """The one that was in force when the log ended at `index`, which is not before its start.

        That of the start, if it is.
        """
        return self.held_at(index)[1]

    def held_at(self, index: int) -> tuple[int, Configuration]:
        """The same, and since which index it is known to be in force."""
        return self._held[max(0, self._position(index) - 1)]

    def _position(self, index: int) -> int:
        return bisect_right(self._held, index, key=lambda held: held[0])

    def add(self, entry: Entry) -> None:
        """An entry that gives a configuration is in the log."""
        insort(self._held, (entry.index, configuration_of(entry)), key=lambda held: held[0])
        self._ends.clear()

    def truncate(self, from_index: int) -> None:
        """Entries at and after `from_index` are gone."""
        while len(self._held) > 1 and self._held[-1][0] >= from_index:
            self._held.pop()
        self._ends.clear()

    def begin_after(self, index: int, since: int, base: Configuration) -> bool:
        """The log begins after `index` from now on, as of which `base` is in force; if it is new.

        `since`: from which index on it is known to be. One that is behind the start stays, as the
        log behind it does.
        """
        before = self._held[0][1]
        self._held = [(since, base), *self._held[self._position(index) :]]
        self._ends.clear()
        return base != before

    def ended_at(self, node_id: int, admitted_at: int, last_index: int = INDEX_MAX) -> int | None:
        """Index, up to `last_index`, at which the directory admitted then votes no more, if any.

        A directory that waits counts for nothing, and is ended by none; who knows no members
        yet does not know of any either.
        """
        if admitted_at == NOT_ADMITTED:
            return None
        directory = (node_id, admitted_at)
        if directory not in self._ends:
            if len(self._ends) >= _ENDS_MAX:
                self._ends.clear()
            self._ends[directory] = self._end_of(node_id, admitted_at)
        index = self._ends[directory]
        return index if index is not None and index <= last_index else None

    def _end_of(self, node_id: int, admitted_at: int) -> int | None:
        for index, configuration in self._held:
            if admitted_at < index and configuration.members:
                member = configuration.member(node_id)
                if member is None or member.admitted_at != admitted_at:
                    return index
        return None

    def rules_out(self, node_id: int, admitted_at: int) -> bool:
        """Whether a node was never a member of the cluster, as far as it is known here.

        One whose directory was admitted later than that may be a member by now.
        """
        return admitted_at <= self.in_force_at and all(
            configuration.members and configuration.member(node_id) is None
            for _, configuration in self._held
        )

    def admission_of(self, node_id: int, directory: str, known: int) -> int:
        """Since when this directory votes; `known` is what it knew before.

        `NOT_ADMITTED` if the entry by which it knew is in the log no more.
        """
        for _, configuration in reversed(self._held):
            member = configuration.member(node_id)
            if member is not None and member.votes_as(directory):
                return member.admitted_at
        return known if known <= self._held[0][0] else NOT_ADMITTED

    @property
    def held(self) -> tuple[tuple[int, Configuration], ...]:
        """All of them, each with the index from which on it is in force."""
        return tuple(self._held)

    def check(self, last_index: int, latest: Sequence[Entry]) -> None:
        """That they are those of a log that ends at `last_index`, and with the `latest` entries."""
        given = [(one.index, configuration_of(one)) for one in latest if one.kind is CONFIGURE]
        if not given and len(self._held) == 1:
            return
        indexes = [index for index, _ in self._held]
        require(indexes == sorted(set(indexes)), "configurations are out of order")
        first = latest[0].index if latest else last_index + 1
        require(
            given == [held for held in self._held[1:] if held[0] >= first],
            "the configurations are not those of the log",
        )
