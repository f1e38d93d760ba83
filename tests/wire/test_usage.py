"""The usage of commands, read as redis-cli wants it."""

from __future__ import annotations

import pytest

from kvstore.server.builtins import BUILTINS
from kvstore.wire.catalogue import Row
from kvstore.wire.commands import COMMANDS
from kvstore.wire.usage import Argument, arguments_of

KEY, VALUE = Argument("key", "key"), Argument("value", "string")
ROWS = [*COMMANDS.values(), *BUILTINS.values()]
PARTS = [part for row in BUILTINS.values() for part in row.subcommands.values()]


@pytest.mark.parametrize(
    ("usage", "arguments"),
    [
        ("", ()),
        ("<key> <value>", (KEY, VALUE)),
        ("<key> ...", (Argument("key", "key", flags=("multiple",)),)),
        ("[<value>]", (Argument("value", "string", flags=("optional",)),)),
        ("GET", (Argument("get", "pure-token", "GET"),)),
        ("COUNT <count>", (Argument("count", "integer", "COUNT"),)),
        ("(<key> <value>) ...", (Argument("all", "block", "", ("multiple",), (KEY, VALUE)),)),
        (
            "[NX | IFEQ <value>]",
            (
                Argument(
                    "one",
                    "oneof",
                    flags=("optional",),
                    arguments=(
                        Argument("nx", "pure-token", "NX"),
                        Argument("value", "string", "IFEQ"),
                    ),
                ),
            ),
        ),
        (
            "TYPE (A | B)",
            (
                Argument(
                    "type",
                    "oneof",
                    "TYPE",
                    arguments=(
                        Argument("a", "pure-token", "A"),
                        Argument("b", "pure-token", "B"),
                    ),
                ),
            ),
        ),
    ],
)
def test_a_usage_is_read(usage: str, arguments: tuple[Argument, ...]) -> None:
    assert arguments_of(usage) == arguments


@pytest.mark.parametrize("usage", ["[<key>", "<key>]", "(A | B", "...", "<key> %", "|", "<Key>"])
def test_what_makes_no_sense_is_no_usage(usage: str) -> None:
    with pytest.raises(ValueError, match=r"usage|stands|there is no"):
        arguments_of(usage)


def fewest(arguments: tuple[Argument, ...]) -> int:
    """How many words there are at least."""
    words = 0
    for one in arguments:
        if "optional" not in one.flags:
            inner = [fewest((argument,)) for argument in one.arguments]
            words += bool(one.token and one.type != "pure-token")
            words += {"oneof": min, "block": sum}[one.type](inner) if inner else 1
    return words


@pytest.mark.parametrize("row", [*ROWS, *PARTS], ids=lambda row: row.name)
def test_the_usage_of_a_row_takes_as_many_words_as_its_arity(row: Row) -> None:
    if row.name in ("raft", "kv") or getattr(row, "subcommands", None):
        return
    arguments = arguments_of(row.usage)
    least = 1 + ("|" in row.name) + fewest(arguments)
    has_more = "optional" in str(arguments) or "multiple" in str(arguments)
    assert (least, has_more) == (abs(row.arity), row.arity < 0)
