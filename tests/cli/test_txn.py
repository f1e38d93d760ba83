"""`kvstore txn`: what the lines mean, and what is printed of the answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_node import ScriptedNode

from kvstore import api
from kvstore.api import Compare, CompareTarget, DeleteRange, Get, Put, Relation, Txn
from kvstore.cli.txn_words import parse
from kvstore.errors import ConfigError

from .shell import Run, record

TEXT = """
# a lock passes on
if mod lock = 17
IF version --prefix job/ = 0
if value owner != "some body"
if create lock < 18

then put lock me
then put 'the owner' ''   # quotes keep blanks together
then delete --prefix job/
then delete old
else get lock owner
"""
TXN = Txn(
    (
        Compare(b"lock", CompareTarget.MOD, number=17),
        Compare(b"job/", CompareTarget.VERSION, range_end=b"job0"),
        Compare(b"owner", CompareTarget.VALUE, Relation.NOT_EQUAL, value=b"some body"),
        Compare(b"lock", CompareTarget.CREATE, Relation.LESS, 18),
    ),
    (
        Put(b"lock", b"me"),
        Put(b"the owner", b""),
        DeleteRange(b"job/", b"job0"),
        DeleteRange(b"old"),
    ),
    (Get((b"lock", b"owner")),),
)


def test_each_line_is_a_comparison_or_an_operation() -> None:
    assert parse(TEXT) == TXN


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("put a b", "line 2, 'put a b': a line begins with if, then or else"),
        ("if mod lock 17", "write: if version"),
        ("if mod lock == 17", "write: if version"),
        ("if lease lock = 17", "write: if version"),
        ("if mod lock = -1", "a number of 0 or more"),
        ("if mod lock = seventeen", "a number of 0 or more"),
        ("if mod lock = ٣", "a number of 0 or more"),
        (f"if mod lock = {'9' * 30}", "a number of 0 or more"),
        (f"if mod lock = {1 << 63}", "a number of 0 or more"),
        ("if mod --all lock = 1", "write: if version"),
        ("then", "write: put KEY VALUE, delete"),
        ("then increment a", "write: put KEY VALUE, delete"),
        ("then put a", "write: put KEY VALUE, in quotes"),
        ("then put a b c", "in quotes where blanks stand in it"),
        ("else delete a b", "write: delete [--prefix] KEY"),
        ("else get", "write: get KEY"),
        ("then put 'a b", "No closing quotation"),
        ("then put \x1b[2J x y", "line 2, 'then put \\x1b[2J x y'"),
    ],
)
def test_a_line_that_means_nothing_is_told_with_its_number(line: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse(f"then put a 1\n{line}\n")
    assert str(refused.value).startswith("line 2, ")
    assert words in str(refused.value)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n"])
def test_no_line_at_all_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="then put a 1"):
        parse(text)


@given(st.text(alphabet="ifthenelspuvrmod -=<>#'\"\\\n\x00\udcff17", max_size=60))
def test_whatever_is_typed_is_taken_or_refused(text: str) -> None:
    try:
        txn = parse(text)
    except ConfigError as error:
        said = str(error)
    else:
        said = "taken" if txn.compares or txn.then or txn.otherwise else "\n"
    assert said.isprintable()


ANSWERS = [
    (
        api.TxnResult(18, True, (api.PutResult(18, True),) * 2 + (api.DeleteResult(18, 3),) * 2),
        (0, b"then (revision 18)\nOK\nOK\ndeleted 3\ndeleted 3\n"),
    ),
    (
        api.TxnResult(17, False, (api.GetResult(17, (record(b"lock", b"\xff"), None)),)),
        (1, b"else (revision 17)\nlock\t\\xff\nowner\tnot found\n"),
    ),
    (
        api.Repeated(17, False),
        (
            1,
            b"else (revision 17)\nwhat was read is not told: it had to be asked for twice, and"
            b" was too long to be kept\n",
        ),
    ),
]


@pytest.mark.parametrize(("answer", "printed"), ANSWERS)
def test_what_came_of_it_is_a_line_for_each_operation(
    run: Run, answer: api.Result, printed: tuple[int, bytes]
) -> None:
    with ScriptedNode(answer) as node:
        ran = run("txn", "--to", node.address, stdin=TEXT.encode())
        assert node.requests == [TXN]
    assert (ran.code, ran.out, ran.err) == (*printed, "")


def test_with_json_it_is_one_object(run: Run) -> None:
    seen = []
    for answer, (code, _) in ANSWERS:
        with ScriptedNode(answer) as node:
            ran = run("txn", "--json", "--to", node.address, stdin=TEXT.encode())
        assert (ran.code, ran.err) == (code, "")
        seen.append(json.loads(ran.out))
    item = {"key": "lock", "value_base64": "/w==", "create_revision": 1, "mod_revision": 2}
    assert seen == [
        {
            "succeeded": True,
            "revision": 18,
            "results": [{"written": True}] * 2 + [{"deleted": 3}] * 2,
        },
        {
            "succeeded": False,
            "revision": 17,
            "results": [{"items": [{**item, "version": 3, "lease": 0}, None]}],
        },
        {"succeeded": False, "revision": 17},
    ]


def test_a_line_that_means_nothing_is_wrong_usage_and_nothing_is_sent(run: Run) -> None:
    with ScriptedNode() as node:
        ran = run("txn", "--to", node.address, stdin=b"then put a\n")
        assert node.requests == []
    assert (ran.code, ran.out) == (2, b"")
    assert (
        ran.err
        == "error: line 1, 'then put a': write: put KEY VALUE, in quotes where blanks stand in it\n"
    )
