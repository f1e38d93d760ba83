"""The layout of an LMDB 0.9 data file, read with plain reads and never through a mapping.

Law: no byte of the file is trusted. Every offset is checked before it is
followed, so that a damaged file ends in `DamagedError` and nothing else.

LMDB itself maps the file and follows what it finds there: a flipped bit in the
structure of a page, or a page beyond the end of the file, is a SIGBUS or an
abort. This file answers, before that, whether the file may be mapped, and reads
files that may not. It knows as much of the format as this store uses: no
duplicate keys, no fixed-size pages. It must not know what the records mean.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from itertools import zip_longest
from struct import Struct
from typing import Final, NamedTuple

from kvstore.errors import DamagedError
from kvstore.storage.failures import UNREADABLE
from kvstore.storage.progress import TOLD_EVERY, OnProgress, nobody

META_PAGES: Final = 2
NO_PAGE: Final = (1 << 64) - 1

_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_PAGE_BYTES_MAX: Final = 0x8000
_DEPTH_MAX: Final = 32

_BRANCH: Final = 0x01
_LEAF: Final = 0x02
_OVERFLOW: Final = 0x04
_META: Final = 0x08

_NODE_IS_BIG: Final = 0x01
_NODE_IS_TREE: Final = 0x02
_NODE_FLAGS: Final = frozenset((0, _NODE_IS_BIG, _NODE_IS_TREE))

_FREE_FLAGS: Final = 0x08  # keys are integers
_KEY_BYTES_MAX: Final = 511

# Native order and 64-bit words: the engine writes its own structs.
_HEADER: Final = Struct("=QHHHH")  # number, pad, flags, lower, upper
_EXTENT: Final = Struct("=I")  # number of overflow pages, in place of lower and upper
_EXTENT_AT: Final = 12
_META_BODY: Final = Struct("=IIQQ")  # magic, version, address, map size
_TREE: Final = Struct("=IHHQQQQQ")  # pad, flags, depth, three page counts, entries, root
_META_TAIL: Final = Struct("=QQ")  # last page, transaction
_NODE: Final = Struct("=HHHH")  # size or child low, high, flags or child top, key size
_NUMBER: Final = Struct("=Q")

_META_AT: Final = _HEADER.size
_FREE_AT: Final = _META_AT + _META_BODY.size
_MAIN_AT: Final = _FREE_AT + _TREE.size
_TAIL_AT: Final = _MAIN_AT + _TREE.size
META_BYTES: Final = _TAIL_AT + _META_TAIL.size


class Tree(NamedTuple):
    """A tree of pages; `root` is `NO_PAGE` and `depth` 0 if it is empty.

    * `pages`: how many it has, with those of long values, by its own word.
    """

    depth: int
    root: int
    pages: int = 0


class Meta(NamedTuple):
    """One of the two meta pages: a commit, and the trees it consists of."""

    number: int
    page_bytes: int
    map_bytes: int
    free: Tree
    main: Tree
    last_page: int
    transaction: int


class Node(NamedTuple):
    """A key of a leaf page; `data` is the value, or a reference where `flags` say so."""

    flags: int
    key: bytes
    data: bytes
    value_bytes: int


def parse_meta(number: int, page: bytes) -> Meta:
    """The meta page `number`, from its first `META_BYTES` bytes."""
    if len(page) < META_BYTES:
        raise DamagedError(f"meta page {number} is cut short")
    own_number, _, flags, _, _ = _HEADER.unpack_from(page)
    magic, version, _, map_bytes = _META_BODY.unpack_from(page, _META_AT)
    if flags != _META or magic != _MAGIC or own_number != number:
        raise DamagedError(f"page {number} is not an LMDB meta page")
    if version != _VERSION:
        raise DamagedError(f"meta page {number} has data version {version}, not {_VERSION}")
    (page_bytes,) = _EXTENT.unpack_from(page, _FREE_AT)
    if not 256 <= page_bytes <= _PAGE_BYTES_MAX or page_bytes & (page_bytes - 1):
        raise DamagedError(f"meta page {number} claims pages of {page_bytes} bytes")
    last_page, transaction = _META_TAIL.unpack_from(page, _TAIL_AT)
    if not META_PAGES - 1 <= last_page < map_bytes // page_bytes:
        raise DamagedError(f"meta page {number} claims page {last_page} as the last")
    # Transaction n is written to page n % 2; a new file has two pages of transaction 0.
    if transaction and transaction % META_PAGES != number:
        raise DamagedError(f"meta page {number} claims transaction {transaction}")
    free = _parse_tree(page[_FREE_AT:_MAIN_AT], _FREE_FLAGS)
    main = _parse_tree(page[_MAIN_AT:_TAIL_AT], 0)
    return Meta(number, page_bytes, map_bytes, free, main, last_page, transaction)


def _parse_tree(record: bytes, wanted_flags: int) -> Tree:
    _, flags, depth, branches, leaves, long_ones, _, root = _TREE.unpack(record)
    if flags != wanted_flags or depth > _DEPTH_MAX or (depth == 0) != (root == NO_PAGE):
        raise DamagedError("the description of a tree is wrong")
    return Tree(depth, root, branches + leaves + long_ones)


class PageReader:
    """The pages of one commit.

    * Reads at most the file; a page beyond its end is `DamagedError`.
    """

    def __init__(self, fd: int, meta: Meta) -> None:
        self._fd = fd
        self._meta = meta
        self._page_bytes = meta.page_bytes

    def main_values(self) -> dict[bytes, bytes]:
        """The single records of the commit by name; they fit on one page."""
        return {node.key: node.data for node in self._main_nodes() if not node.flags}

    def pairs(
        self, name: bytes, start: bytes, on_damage: Callable[[str], None]
    ) -> Iterator[tuple[bytes, bytes]]:
        """Keys >= `start` and values of the tree `name`, in order.

        What cannot be read is told to `on_damage`, and left out.
        """
        for leaf in self._leaves(self._named_tree(name), start, on_damage):
            for node in leaf:
                if node.key < start:
                    continue
                try:
                    value = self._value(node)
                except DamagedError as error:
                    on_damage(str(error))
                else:
                    yield node.key, value

    def check(self, on_progress: OnProgress = nobody) -> None:
        """Whether the engine may be let loose on this commit.

        Every page that it may follow is there, is sound, and is in use once; no
        page that it may overwrite is in use.
        """
        pages = os.fstat(self._fd).st_size // self._page_bytes
        used = _Census(pages, self._meta.last_page + 1, on_progress)
        self._check_tree(self._meta.main, used)
        free_pages: list[int] = []
        for leaf in self._check_tree(self._meta.free, used, keep=True):
            for node in leaf:
                free_pages += self._free_pages(node)
        for number in free_pages:
            if not META_PAGES <= number <= self._meta.last_page:
                raise DamagedError(f"page {number} is listed as free, and is outside the file")
            if number < pages:
                used.count(number)

    # --- Free pages -----------------------------------------------------------------------

    def free_pages(self, freed_before: int, records_max: int) -> int:
        """How many pages are free that were freed by transactions before that one.

        0 if it takes more than so many records of the free list to tell.
        """
        unused = self._meta.last_page + 1 - META_PAGES
        unused -= self._meta.main.pages + self._meta.free.pages
        for node in self._main_nodes():
            if node.flags == _NODE_IS_TREE:
                unused -= _parse_tree(node.data, 0).pages
        for looked, (transaction, pages) in enumerate(self._freed(self._meta.free)):
            if transaction < freed_before:
                break
            if looked == records_max:
                return 0
            unused -= pages
        return unused

    def _freed(self, tree: Tree) -> Iterator[tuple[int, int]]:
        """The transactions of the free list, the latest first, and how many pages each has."""
        if tree.depth == 0:
            return
        if tree.depth > 1:
            for _, child in reversed(self._branch(tree.root)):
                yield from self._freed(Tree(tree.depth - 1, child))
            return
        for node in reversed(self._leaf(tree.root)):
            if len(node.key) != _NUMBER.size:
                raise DamagedError("a record of the free list is wrong")
            yield _NUMBER.unpack(node.key)[0], node.value_bytes // _NUMBER.size - 1

    # --- Trees ----------------------------------------------------------------------------

    def _main_nodes(self) -> list[Node]:
        if self._meta.main.depth != 1:
            raise DamagedError("the tree of single records is not one page")
        return self._leaf(self._meta.main.root)

    def _named_tree(self, name: bytes) -> Tree:
        for node in self._main_nodes():
            if node.key == name and node.flags == _NODE_IS_TREE:
                return _parse_tree(node.data, 0)
        raise DamagedError(f"the tree {name.decode()!r} is missing")

    def _leaves(
        self, tree: Tree, start: bytes, on_damage: Callable[[str], None]
    ) -> Iterator[list[Node]]:
        if tree.depth == 0:
            return
        try:
            if tree.depth == 1:
                yield self._leaf(tree.root)
                return
            children = self._branch(tree.root)
        except DamagedError as error:
            on_damage(str(error))
            return
        for (_, child), (next_key, _) in zip_longest(children, children[1:], fillvalue=(None, 0)):
            if next_key is None or next_key > start:
                yield from self._leaves(Tree(tree.depth - 1, child), start, on_damage)

    def _check_tree(self, tree: Tree, used: _Census, *, keep: bool = False) -> list[list[Node]]:
        """Check all below `tree`, and return its leaves if they are to be kept."""
        if tree.depth == 0:
            return []
        used.count(tree.root)
        kept: list[list[Node]] = []
        if tree.depth > 1:
            for _, child in self._branch(tree.root):
                kept += self._check_tree(Tree(tree.depth - 1, child), used, keep=keep)
            return kept
        leaf = self._leaf(tree.root, references_only=not keep)
        for node in leaf:
            if node.flags == _NODE_IS_TREE:
                self._check_tree(_parse_tree(node.data, 0), used)
            elif node.flags == _NODE_IS_BIG:
                for number in self._extent(node):
                    used.count(number)
        return [leaf] if keep else []

    # --- Pages ----------------------------------------------------------------------------

    def _read(self, size_bytes: int, offset: int) -> bytes:
        try:
            return os.pread(self._fd, size_bytes, offset)
        except OSError as error:
            if error.errno in UNREADABLE:
                number = offset // self._page_bytes
                raise DamagedError(f"page {number} cannot be read: {error.strerror}") from None
            raise

    def _page(self, number: int, wanted_flags: int) -> bytes:
        if not META_PAGES <= number <= self._meta.last_page:
            raise DamagedError(f"a reference points outside the file: page {number}")
        page = self._read(self._page_bytes, number * self._page_bytes)
        if len(page) < self._page_bytes:
            raise DamagedError(f"the file is truncated: page {number} is in use and not there")
        own_number, _, flags, _, _ = _HEADER.unpack_from(page)
        if own_number != number or flags != wanted_flags:
            raise DamagedError(f"page {number} is damaged: its header is wrong")
        return page

    def _offsets(self, number: int, page: bytes, count_min: int) -> tuple[int, ...]:
        """Where the nodes of a page begin; each has room for its fixed part."""
        *_, lower, upper = _HEADER.unpack_from(page)
        count = (lower - _HEADER.size) // 2
        if lower % 2 or count < count_min or not lower <= upper <= self._page_bytes:
            raise DamagedError(f"page {number} is damaged: its bounds are wrong")
        offsets = struct.unpack_from(f"={count}H", page, _HEADER.size)
        if min(offsets) < upper or max(offsets) > self._page_bytes - _NODE.size:
            raise DamagedError(f"page {number} is damaged: its offsets are wrong")
        return offsets

    def _branch(self, number: int) -> list[tuple[bytes, int]]:
        """The first keys of a branch page's children, and the children."""
        page = self._page(number, _BRANCH)
        children = []
        for offset in self._offsets(number, page, 2):
            low, high, top, key_bytes = _NODE.unpack_from(page, offset)
            start = offset + _NODE.size
            if start + key_bytes > self._page_bytes:
                raise DamagedError(f"page {number} is damaged: a key overruns it")
            children.append((page[start : start + key_bytes], low | high << 16 | top << 32))
        return children

    def _leaf(self, number: int, *, references_only: bool = False) -> list[Node]:
        """The nodes of a leaf page, all checked; `references_only` leaves out plain values."""
        page = self._page(number, _LEAF)
        nodes = []
        for offset in self._offsets(number, page, 1):
            low, high, flags, key_bytes = _NODE.unpack_from(page, offset)
            value_bytes = low | high << 16
            start = offset + _NODE.size + key_bytes
            stop = start + (_NUMBER.size if flags == _NODE_IS_BIG else value_bytes)
            if stop > self._page_bytes or not 0 < key_bytes <= _KEY_BYTES_MAX:
                raise DamagedError(f"page {number} is damaged: a record overruns it")
            if flags not in _NODE_FLAGS or (flags == _NODE_IS_TREE and value_bytes != _TREE.size):
                raise DamagedError(f"page {number} is damaged: a record is of no known kind")
            if references_only and not flags:
                continue
            key = page[start - key_bytes : start]
            nodes.append(Node(flags, key, page[start:stop], value_bytes))
        return nodes

    def _value(self, node: Node) -> bytes:
        if node.flags != _NODE_IS_BIG:
            return node.data
        offset = self._extent(node).start * self._page_bytes + _HEADER.size
        return self._read(node.value_bytes, offset)

    def _extent(self, node: Node) -> range:
        """The overflow pages of a large value; there may be more than it needs."""
        (number,) = _NUMBER.unpack(node.data)
        page = self._page(number, _OVERFLOW)
        (pages,) = _EXTENT.unpack_from(page, _EXTENT_AT)
        needed = -(-(_HEADER.size + node.value_bytes) // self._page_bytes)
        if not needed <= pages <= self._meta.last_page + 1 - number:
            raise DamagedError(f"page {number} is damaged: its extent is wrong")
        if (number + needed) * self._page_bytes > os.fstat(self._fd).st_size:
            raise DamagedError(f"the file is truncated in the value that begins on page {number}")
        return range(number, number + pages)

    def _free_pages(self, node: Node) -> tuple[int, ...]:
        """What one record of the free list lists: a count, then so many pages."""
        value = self._value(node)
        (count,) = _NUMBER.unpack_from(value.ljust(_NUMBER.size, b"\xff"))
        if len(node.key) != _NUMBER.size or len(value) != (count + 1) * _NUMBER.size:
            raise DamagedError("a record of the free list is wrong")
        return struct.unpack_from(f"={count}Q", value, _NUMBER.size)


class _Census:
    """The pages of a file, each of which may be in use once."""

    def __init__(self, pages: int, total: int, on_progress: OnProgress) -> None:
        """`pages` are there; `total`: how many there may be to count."""
        self._used = bytearray(pages)
        self._counted = 0
        self._total = total
        self._on_progress = on_progress

    def count(self, number: int) -> None:
        """A page is in use, or free."""
        if number >= len(self._used):
            raise DamagedError(f"the file is truncated: page {number} is in use and not there")
        if self._used[number]:
            raise DamagedError(f"page {number} is in use twice")
        self._used[number] = 1
        self._counted += 1
        if self._counted % TOLD_EVERY == 0:
            self._on_progress("pages", self._counted, self._total)
