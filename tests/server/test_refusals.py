"""What clients are told of a refusal: its code, and what its words ask them to do."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import pytest

from kvstore import api, errors
from kvstore.server import refusals
from kvstore.server.room import Refusal

ARGUMENTS: dict[str, tuple[object, ...]] = {
    "backup_was_ended": ("the data's file grew by 300 MiB",),
    "busy_with_backups": (4,),
    "cannot_stand": (1, 7, 2),
    "cannot_take_over": (2,),
    "change_is_under_way": (7,),
    "compacted": (3, 8),
    "has_moved": (3, 8, api.HandOver(2, 7)),
    "members_have_changed": (7,),
    "no_space": (1, Refusal(1 << 20, 1 << 10, 16 << 20, 0)),
    "needs_version": (3, 2),
    "not_leader": (2, "127.0.0.1:7002"),
    "no_such_backup": (7,),
    "no_such_node": (9, (1, 2, 3)),
    "not_taken_over": (2,),
    "not_the_next_piece": (8, 0),
    "of_an_older_term": (7, 8),
    "of_another_cluster": ("kvstore-1a2b3c4d", "another"),
    "read_is_overdue": (1, 7),
    "state_differs": (1, 7),
    "too_many_watches": ("this node", 20_000),
    "write_is_overdue": (1, 7),
}
"""Of those that are made for one case. The words of `invalid`, `no_leader` and `cannot_change` come
from others."""


def told() -> Iterator[tuple[str, api.Failure]]:
    for name, found in vars(refusals).items():
        if isinstance(found, api.Failure):
            yield name, found
        elif name in ARGUMENTS:
            yield name, found(*ARGUMENTS[name])


TOLD = dict(told())


def test_each_refusal_has_a_sample() -> None:
    made = {
        name
        for name, found in inspect.getmembers(refusals, inspect.isfunction)
        if inspect.signature(found).return_annotation == "api.Failure"
    }
    assert made - {"invalid", "no_leader", "cannot_change"} == set(ARGUMENTS)


@pytest.mark.parametrize("name", TOLD)
def test_words_and_code_agree_on_whether_to_try_again(name: str) -> None:
    failure = TOLD[name]
    if failure.code is api.FailureCode.UNKNOWN:
        return
    is_worth_it = errors.RefusedError("r", failure.code.value).retryable
    asks = re.search(r"try again|try another|try node|ask another|start|larger", failure.message)
    assert bool(asks) is is_worth_it, failure


@pytest.mark.parametrize("name", TOLD)
def test_who_does_not_know_what_came_of_it_is_to_look_first(name: str) -> None:
    failure = TOLD[name]
    is_unknown = failure.code is api.FailureCode.UNKNOWN
    assert failure.message.startswith("outcome unknown: ") is is_unknown
    assert failure.message.endswith("before you try again") is is_unknown
