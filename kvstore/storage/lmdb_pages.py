"""The layout of an LMDB 0.9 data file, read with plain reads and never through a mapping.

Law: no byte of the file is trusted. Every offset is checked before it is
followed, so that a damaged file ends in `DamagedError` and nothing else.

LMDB itself maps the file and follows what it finds there; a page beyond the end
of the file is a SIGBUS. This room answers, before that: which pages would be
followed, are they there, and is the commit that a meta page claims the one it
points to. It must not know what the records mean.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from struct import Struct
from typing import Final, NamedTuple

from kvstore.errors import DamagedError

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
_KIND: Final = _BRANCH | _LEAF | _OVERFLOW | _META

_NODE_IS_BIG: Final = 0x01
_NODE_IS_TREE: Final = 0x02

# Native order and 64-bit words: the engine writes its own structs.
_HEADER: Final = Struct("=QHHHH")  # number, pad, flags, lower, upper
_EXTENT: Final = Struct("=I")  # overflow pages, in place of lower and upper
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


class Meta(NamedTuple):
    """One of the two meta pages: a commit, and the trees it consists of."""

    number: int
    page_bytes: int
    map_bytes: int
    free_root: int
    main_root: int
    last_page: int
    transaction: int


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
    page_bytes, *_, free_root = _TREE.unpack_from(page, _FREE_AT)
    *_, main_root = _TREE.unpack_from(page, _MAIN_AT)
    last_page, transaction = _META_TAIL.unpack_from(page, _TAIL_AT)
    if not 256 <= page_bytes <= _PAGE_BYTES_MAX or page_bytes & (page_bytes - 1):
        raise DamagedError(f"meta page {number} claims pages of {page_bytes} bytes")
    if not META_PAGES - 1 <= last_page < map_bytes // page_bytes:
        raise DamagedError(f"meta page {number} claims page {last_page} as the last")
    # Transaction n is written to page n % 2; a new file has two pages of transaction 0.
    if transaction and transaction % META_PAGES != number:
        raise DamagedError(f"meta page {number} claims transaction {transaction}")
    for root in (free_root, main_root):
        if root != NO_PAGE and not META_PAGES <= root <= last_page:
            raise DamagedError(f"meta page {number} points outside the file: page {root}")
    return Meta(number, page_bytes, map_bytes, free_root, main_root, last_page, transaction)


class Node(NamedTuple):
    """A key of a leaf page; `data` is the value, or a reference where `flags` say so."""

    flags: int
    key: bytes
    data: bytes
    value_bytes: int


class PageReader:
    """The pages of one commit, by number.

    * Reads at most the file; a page beyond its end is `DamagedError`.
    """

    def __init__(self, fd: int, meta: Meta) -> None:
        self._fd = fd
        self._meta = meta
        self._page_bytes = meta.page_bytes

    def main_leaf(self) -> dict[bytes, bytes]:
        """Keys and values of the unnamed tree, which must be a single leaf page."""
        page, flags = self._page(self._meta.main_root)
        if flags != _LEAF:
            raise DamagedError(f"page {self._meta.main_root} is not the leaf it should be")
        return {node.key: node.data for node in self._nodes(page)}

    def check_reach(self) -> None:
        """Follow every reference of the commit: all pages must be within the file."""
        for root in (self._meta.free_root, self._meta.main_root):
            self._check_tree(root, depth=0)

    def _check_tree(self, number: int, depth: int) -> None:
        if number == NO_PAGE:
            return
        if depth > _DEPTH_MAX:
            raise DamagedError(f"page {number} lies too deep")
        page, flags = self._page(number)
        if flags == _BRANCH:
            for child in self._children(page):
                self._check_tree(child, depth + 1)
        elif flags == _LEAF:
            for node in self._nodes(page):
                self._check_node(node, depth)
        else:
            raise DamagedError(f"page {number} is neither branch nor leaf")

    def _check_node(self, node: Node, depth: int) -> None:
        if node.flags & _NODE_IS_TREE:
            *_, root = _TREE.unpack(node.data)
            self._check_tree(root, depth + 1)
        elif node.flags & _NODE_IS_BIG:
            (number,) = _NUMBER.unpack(node.data)
            page, flags = self._page(number)
            (pages,) = _EXTENT.unpack_from(page, 12)
            needed = -(-(_HEADER.size + node.value_bytes) // self._page_bytes)
            if flags != _OVERFLOW or pages < needed:
                raise DamagedError(f"page {number} does not hold the value it should")
            self._page(number + needed - 1, of_extent=True)

    def _page(self, number: int, *, of_extent: bool = False) -> tuple[bytes, int]:
        if not META_PAGES <= number <= self._meta.last_page:
            raise DamagedError(f"a reference points outside the file: page {number}")
        page = os.pread(self._fd, self._page_bytes, number * self._page_bytes)
        if len(page) < self._page_bytes:
            raise DamagedError(f"the file is truncated: page {number} is in use and not there")
        own_number, _, flags, _, _ = _HEADER.unpack_from(page)
        if own_number != number and not of_extent:
            raise DamagedError(f"page {number} says it is page {own_number}")
        return page, flags & _KIND

    def _offsets(self, page: bytes) -> Iterator[int]:
        *_, lower, upper = _HEADER.unpack_from(page)
        if not _HEADER.size <= lower <= upper <= self._page_bytes:
            raise DamagedError("a page's bounds are wrong")
        for (offset,) in struct.iter_unpack("=H", page[_HEADER.size : lower & ~1]):
            if not upper <= offset <= self._page_bytes - _NODE.size:
                raise DamagedError("a page's offsets are wrong")
            yield offset

    def _children(self, page: bytes) -> Iterator[int]:
        for offset in self._offsets(page):
            low, high, top, _ = _NODE.unpack_from(page, offset)
            yield low | high << 16 | top << 32

    def _nodes(self, page: bytes) -> Iterator[Node]:
        for offset in self._offsets(page):
            low, high, flags, key_bytes = _NODE.unpack_from(page, offset)
            value_bytes = low | high << 16
            start = offset + _NODE.size + key_bytes
            stop = start + (_NUMBER.size if flags & _NODE_IS_BIG else value_bytes)
            if stop > self._page_bytes or (flags & _NODE_IS_TREE and value_bytes != _TREE.size):
                raise DamagedError("a record overruns its page")
            yield Node(flags, page[offset + _NODE.size : start], page[start:stop], value_bytes)
