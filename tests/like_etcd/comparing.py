"""Whether all answer alike, and the shortest sequence that shows that they do not.

Law: what is told of a difference is enough to see it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, replace
from typing import TypeVar

from .answers import Answer, Player, play
from .steps import Sequence, Step, Txn

T = TypeVar("T")

Players = Mapping[str, Player]


def difference(players: Players, steps: Sequence) -> str | None:
    """The first step that is answered in more than one way, and by whom how."""
    answers = {name: play(player, steps) for name, player in players.items()}
    for place, step in enumerate(steps):
        told: dict[str, Answer] = {name: answers[name][place] for name in players}
        if len({*told.values()}) > 1:
            lines = [f"step {place}: {step}"]
            return "\n".join([*lines, *(f"  {name}: {answer}" for name, answer in told.items())])
    return None


def story(players: Players, steps: Sequence, of: str) -> str | None:
    """None if all answer alike; else all that is wanted to understand why not."""
    if difference(players, steps) is None:
        return None
    shortest = shrunk(steps, lambda shorter: difference(players, shorter) is not None)
    lines = [f"not all answer alike to {of}; the shortest part that shows it:"]
    lines += [f"    {step}," for step in shortest]
    return "\n".join([*lines, difference(players, shortest) or "but now they do"])


def shrunk(steps: Sequence, fails: Callable[[Sequence], bool]) -> Sequence:
    """As few steps as still fail, and as little in each."""
    candidates = _shorter(steps)
    while (shorter := next(filter(fails, candidates), None)) is not None:
        steps = shorter
        candidates = _shorter(steps)
    return steps


def _shorter(steps: Sequence) -> Iterator[Sequence]:
    """It without a part; then with less in one of its steps."""
    yield from _without_a_part(steps)
    for place, step in enumerate(steps):
        for smaller in _smaller(step):
            yield (*steps[:place], smaller, *steps[place + 1 :])


def _smaller(step: Step) -> Iterator[Step]:
    if not isinstance(step, Txn):
        yield from _plainer(step)
        return
    for compares in _without_a_part(step.compares):
        yield replace(step, compares=compares)
    for then in _shorter(step.then):
        yield replace(step, then=then)
    for otherwise in _shorter(step.otherwise):
        yield replace(step, otherwise=otherwise)


def _plainer(step: Step) -> Iterator[Step]:
    """It with one thing less asked for."""
    for field in fields(step):
        if field.default is not MISSING and getattr(step, field.name) != field.default:
            yield replace(step, **{field.name: field.default})


def _without_a_part(parts: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    """Without large parts first."""
    size = len(parts)
    while size:
        for start in range(0, len(parts), size):
            yield parts[:start] + parts[start + size :]
        size //= 2
