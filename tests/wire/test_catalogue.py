"""What COMMAND tells of a row, where no script of `tests/like_redis/` can: lists differ there."""

from __future__ import annotations

import pytest
from like_redis.replies import texts_of

from kvstore.wire import catalogue
from kvstore.wire.catalogue import Row

PART = Row(name="c|part", arity=3, summary="A part", group="server", flags=("admin", "fast"))
WHOLE = Row(name="c", arity=-2, summary="A whole", group="server")


def test_an_entry_holds_those_of_its_subcommands() -> None:
    [told] = texts_of(catalogue.entry(WHOLE, [PART], 3))
    part = (
        "*[$'c|part', :3, ~{+admin, +fast}, :0, :0, :0, ~{+@admin, +@dangerous, +@fast}, "
        "~{}, ~{}, ~{}]"
    )
    assert told == f"*[$'c', :-2, ~{{}}, :0, :0, :0, ~{{+@slow}}, ~{{}}, ~{{}}, *[{part}]]"


def test_documents_name_subcommands_by_their_whole_names() -> None:
    [told] = texts_of(catalogue.documentation(WHOLE, [PART], 3))
    part = "%{$'group': $'server', $'summary': $'A part'}"
    assert told == (
        f"%{{$'group': $'server', $'subcommands': %{{$'c|part': {part}}}, $'summary': $'A whole'}}"
    )


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ((1, 1, 1), [b"a"]),
        ((1, -1, 1), [b"a", b"b", b"c", b"d"]),
        ((1, -1, 2), [b"a", b"c"]),
        ((2, 3, 1), [b"b", b"c"]),
        ((1, -2, 1), [b"a", b"b", b"c"]),
        ((0, 0, 0), []),
    ],
)
def test_keys_are_where_the_row_says(keys: tuple[int, int, int], found: list[bytes]) -> None:
    row = Row(name="x", arity=-1, summary="", group="server", keys=keys)
    assert catalogue.keys_of(row, [b"X", b"a", b"b", b"c", b"d"]) == found
