"""What writes may cost in an LMDB environment, bounded from above before they are made.

Law: what is measured never exceeds what is said here, whatever the tree looks like. A
bound may be generous, as a write that is refused costs less than a node that ends.

It rests on these facts. A transaction copies each page that it changes, once. A record
longer than half a page stands alone, in pages that must be contiguous, and mostly come
from the end of the file. Pages that are freed serve again two commits later at the
earliest, and not while somebody reads an older commit (`lmdb_room.py`).
The numbers of freed pages are kept in a record themselves. A full map fails deletions
too, and whatever fails spoils the whole transaction.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import msgspec

from kvstore.kv.view import TableFootprint

PAGE_BYTES: Final = 4096
"""Where no environment tells its own."""
TRANSACTION_PAGES: Final = 32
"""Single records, paths to them, and the tree of free pages, in one commit."""
RESERVE_BYTES: Final = 4 << 20
"""Allocated ahead in the log's file: for votes, truncations and no-ops on a full disk."""
SHORT_RECORD_BYTES: Final = 1_500
"""A record that is no longer stands in a page with others, with the longest key."""
HELD_BYTES: Final = 32 << 20
"""Of changes that are kept in memory; the engine writes early what is eight times as much."""

_PAGE_HEAD_BYTES: Final = 16
_NODE_BYTES: Final = 8 + 2
"""A record's head in its page, and its place in the page's index."""
_KEY_BYTES_MAX: Final = 511
_ENTRY_HEAD_BYTES: Final = 8 + 13
"""Of a log record: its key, and what stands before the data."""
_STORED_BYTES: Final = 32
"""Of a record of a table: prefix, checksum, head and alignment."""
_TRUNCATED_BYTES_MAX: Final = 2 << 20
"""What a truncation may cost: the numbers of the pages of all entries that may wait."""
_LONGEST_RECORD_BYTES: Final = 65 << 20


class Tree(msgspec.Struct, frozen=True):
    """How large a table is, in pages."""

    depth: int = 1
    branch_pages: int = 0
    leaf_pages: int = 0
    overflow_pages: int = 0


def entry_bytes(data_bytes: int, page_bytes: int = PAGE_BYTES) -> int:
    """Of one log entry that is appended, and of its share in the pages above it."""
    node_bytes = _ENTRY_HEAD_BYTES + _NODE_BYTES + data_bytes
    if node_bytes <= _longest_node_bytes(page_bytes):
        # A page is left for the next one when it is half full, at worst.
        return 9 * (node_bytes + 1) // 4
    return _overflow_pages(_ENTRY_HEAD_BYTES + data_bytes, page_bytes) * page_bytes + 96


def repair_bytes(data_bytes: int, depth: int, page_bytes: int = PAGE_BYTES) -> int:
    """Of one log entry that is put where its record was lost, in the midst of the others."""
    return entry_bytes(data_bytes, page_bytes) + 2 * (depth + 1) * page_bytes


def truncation_bytes(map_bytes: int) -> int:
    """Of any truncation, and of votes: what commands and no-ops must leave."""
    return min(_TRUNCATED_BYTES_MAX, map_bytes // 4)


def footprint_bytes(
    tree: Tree, footprint: TableFootprint, page_bytes: int = PAGE_BYTES, *, is_queue: bool = False
) -> int:
    """Of what has this footprint in a table, in one transaction, whichever keys it meets.

    `is_queue`: what is put is appended, and what is deleted stands at the front.
    """
    if not footprint.puts + footprint.deletes:
        return 0
    single, overflow = _changed_pages(tree, footprint, page_bytes, is_queue)
    listed = listed_bytes(tree, footprint, page_bytes, is_queue=is_queue)
    return (single + overflow) * page_bytes + listed


def listed_bytes(
    tree: Tree, footprint: TableFootprint, page_bytes: int = PAGE_BYTES, *, is_queue: bool = False
) -> int:
    """What of that lists the pages which are freed; each list stands in pages in a row."""
    changes = footprint.puts + footprint.deletes
    if not changes:
        return 0
    single, overflow = _changed_pages(tree, footprint, page_bytes, is_queue)
    longest = _overflow_pages(_LONGEST_RECORD_BYTES, page_bytes)
    freed = single + min(changes * longest, tree.overflow_pages + overflow)
    # The record of freed pages grows while it is written, and then moves.
    return 2 * (freed * 8 // page_bytes + 1) * page_bytes


def _changed_pages(
    tree: Tree, footprint: TableFootprint, page_bytes: int, is_queue: bool
) -> tuple[int, int]:
    """Pages that are copied or new, and those of long records."""
    return (_queue_pages if is_queue else _pages)(tree, footprint, page_bytes)


def _pages(tree: Tree, footprint: TableFootprint, page_bytes: int) -> tuple[int, int]:
    """Those where any page of a table may change."""
    puts, deletes = footprint.puts, footprint.deletes
    depth, put_bytes = tree.depth + 1, footprint.put_bytes + _STORED_BYTES * puts
    # A put may split each page of its path; a deletion may merge each with a neighbour.
    new_leaves = min(puts, tree.leaf_pages + 4 * put_bytes // page_bytes + 1)
    leaves = min(puts + 2 * deletes, tree.leaf_pages) + new_leaves
    touched = min(2 * depth * (puts + deletes), tree.branch_pages)
    # A deletion may lengthen a key above it; but keys above there are no more than pages.
    lengthened = min(depth * deletes // 4, tree.leaf_pages // 2)
    new_branches = min(
        depth * (puts + deletes), tree.branch_pages + new_leaves // 2 + lengthened + depth
    )
    return leaves + touched + new_branches, _long_pages(puts, put_bytes, page_bytes)


def _queue_pages(tree: Tree, footprint: TableFootprint, page_bytes: int) -> tuple[int, int]:
    """Those where only the two ends of a table change, and all keys are as long."""
    puts, deletes = footprint.puts, footprint.deletes
    depth, put_bytes = tree.depth + 1, footprint.put_bytes + _STORED_BYTES * puts
    # A page is left for the next one when it is half full, at worst.
    new_leaves = min(puts, 9 * put_bytes // (4 * page_bytes) + 1) + 1
    # Those of the front, of which each may hold one row, their neighbour, and the last one.
    leaves = min(deletes + 2, tree.leaf_pages)
    branches = min(deletes + 2 * depth, tree.branch_pages) + new_leaves // 2 + depth
    return leaves + new_leaves + branches, _long_pages(puts, put_bytes, page_bytes)


def _long_pages(puts: int, put_bytes: int, page_bytes: int) -> int:
    """Of records that stand alone."""
    long_ones = min(puts, put_bytes // (_longest_node_bytes(page_bytes) - _KEY_BYTES_MAX))
    return 0 if not long_ones else put_bytes // page_bytes + 2 * long_ones


@cache
def _longest_node_bytes(page_bytes: int) -> int:
    """A record that is longer gets pages of its own."""
    return (page_bytes - _PAGE_HEAD_BYTES) // 2 & ~1


def _overflow_pages(record_bytes: int, page_bytes: int) -> int:
    return (_PAGE_HEAD_BYTES - 1 + record_bytes) // page_bytes + 1
