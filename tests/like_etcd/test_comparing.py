"""Whoever answers differently is heard, and shown by little."""

from __future__ import annotations

import pytest

from .answers import Answer, Found, Written
from .comparing import difference, shrunk, story
from .drawing import sequence
from .naive import Naive
from .steps import Compact, Put, Range, Step, TimeToLive, Txn

STEPS_MAX = 4


class CountsWhatItTells(Naive):
    def ask(self, step: Step) -> Answer:
        answer = super().ask(step)
        if isinstance(answer, Found) and answer.more:
            return Found(answer.revision, answer.items, answer.more, len(answer.items))
        return answer


class KeepsOnlyWhatComesAfter(Naive):
    """Reads of the revision that was compacted to are refused."""

    def ask(self, step: Step) -> Answer:
        if isinstance(step, Range) and step.at is not None and step.at <= self.floor:
            return super().ask(Range(step.key, at=-1))
        return super().ask(step)


class ForgetsTheLease(Naive):
    def ask(self, step: Step) -> Answer:
        if isinstance(step, Put) and step.keep_lease:
            step = Put(step.key, step.value, previous=step.previous, keep_value=step.keep_value)
            if step.key not in self.states[-1]:
                return Written(self.revision)
        return super().ask(step)


@pytest.mark.parametrize("wrong", [CountsWhatItTells, KeepsOnlyWhatComesAfter, ForgetsTheLease])
def test_a_voice_that_is_wrong_is_heard_and_shown_by_few_steps(wrong: type[Naive]) -> None:
    players = {"right": Naive(), "wrong": wrong()}
    told = next(filter(None, (story(players, sequence(seed), "it") for seed in range(100))))
    assert len([line for line in told.splitlines() if line.startswith("    ")]) <= STEPS_MAX


def test_those_who_answer_alike_differ_in_nothing() -> None:
    assert difference({"one": Naive(), "the other": Naive()}, sequence(1)) is None


def test_what_is_left_is_what_fails_and_nothing_else() -> None:
    culprit = Put(b"a", b"1")
    within = Txn(then=(Put(b"b"), Txn(otherwise=(Range(b"a"), culprit))), otherwise=(Put(b"c"),))

    def fails(steps: tuple[Step, ...]) -> bool:
        return repr(culprit) in repr(steps) and Compact(3) in steps

    steps = (TimeToLive(1), Compact(1), within, Put(b"d"), Compact(3))
    assert shrunk(steps, fails) == (Txn(then=(Txn(otherwise=(culprit,)),)), Compact(3))


def test_a_step_is_shown_by_what_is_not_as_usual() -> None:
    assert repr(Range(b"a", at=0, limit=3)) == "Range(key=b'a', at=0, limit=3)"
