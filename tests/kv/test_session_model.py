"""Sessions held against a model of them, whatever comes, in whatever order of numbers and times."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec

from kvstore import api

from .test_machine import Machine
from .test_sessions import ADD, RULES, Sessions

STORIES = 200
STEPS = 40
STEPS_MS = (-60, 0, 0, 0, 20, 50, RULES.ttl_ms)
"""Until the next entry."""
PASSED = (0, 0, 1, 1, 2, -1)
"""By so many the next number of a session exceeds the last one."""


def some_write(rng: random.Random) -> api.Write:
    key, when = rng.choice((b"a", b"n")), rng.choice([*api.When][:3])
    return rng.choice(
        (
            ADD,
            api.Put(key, rng.choice((b"1", b"x" * 70))),
            api.Put(b"a", b"2", when, return_previous=True),
            api.Delete((b"a", b"n"), guard=api.Guard(b"a", rng.randrange(3))),
        )
    )


@dataclass
class Session:
    """One session: its last use, and what came under its last number."""

    number: int
    used_ms: int
    sequence: int = 0
    write: api.Write | None = None
    answer: api.Result | None = None


@dataclass
class Model:
    """What sessions promise, in the fewest words; `plain` carries out what they let through."""

    plain: Machine = field(default_factory=Machine)
    sessions: list[Session] = field(default_factory=list)
    """The one that was not used for longest first."""
    time_ms: int = 0

    def apply(self, index: int, stamped: api.Stamped) -> api.Result | api.FailureCode:
        self.time_ms = max(self.time_ms, stamped.time_ms)
        oldest_ms = self.time_ms - RULES.ttl_ms
        self.sessions = [one for one in self.sessions if one.used_ms >= oldest_ms]
        if isinstance(stamped.command, api.OpenSession):
            self.sessions = [
                *self.sessions[-(RULES.sessions_max - 1) :],
                Session(index, self.time_ms),
            ]
            return api.SessionResult(index)
        return self._once(stamped.command)

    def _once(self, once: api.Once) -> api.Result | api.FailureCode:
        found = next((one for one in self.sessions if one.number == once.session), None)
        if found is None:
            return api.FailureCode.NO_SESSION
        if once.sequence < max(1, found.sequence):
            return api.FailureCode.TAKEN
        if once.sequence == found.sequence and once.write != found.write:
            return api.FailureCode.TAKEN
        if once.sequence > found.sequence:
            found.sequence, found.write = once.sequence, once.write
            found.answer = result = self.plain.run(once.write)
            if len(msgspec.msgpack.encode(result)) > RULES.result_bytes_max:
                assert isinstance(result, api.PutResult)
                found.answer = api.Repeated(result.revision, result.written)
        else:
            result = found.answer
        found.used_ms = self.time_ms
        self.sessions = [*(one for one in self.sessions if one is not found), found]
        assert result is not None
        return result


def test_sessions_do_what_their_model_does() -> None:
    for seed in range(STORIES):
        hold_a_story_against_the_model(random.Random(seed))


def hold_a_story_against_the_model(rng: random.Random) -> None:
    real, model = Sessions(), Model()
    opened, last = [0], dict[int, tuple[int, api.Write]]()
    for index in range(1, STEPS):
        if rng.random() < 0.2:
            real.commit()
            real.restart()
        command: api.OpenSession | api.Once = api.OpenSession()
        if rng.random() < 0.7:
            session = rng.choice(opened[-4:])
            sequence, write = last.get(session, (0, ADD))
            sequence = max(0, sequence + rng.choice(PASSED))
            if rng.random() < 0.5:
                write = some_write(rng)
            last[session] = sequence, write
            command = api.Once(session, sequence, write)
        else:
            opened.append(index)
        stamped = api.Stamped(max(0, model.time_ms + rng.choice(STEPS_MS)), command)
        expected = model.apply(index, stamped)
        result = real.run(stamped)
        if isinstance(expected, api.FailureCode):
            assert isinstance(result, api.Failure)
            assert result.code is expected
        else:
            assert result == expected
        assert real.machine.clock.time_ms == model.time_ms
        assert [*real.state.scan(b"")] == [*model.plain.state.scan(b"")]
        kept = sorted(one.number.to_bytes(8, "big") for one in model.sessions)
        assert [key for key, _ in real.state.sessions.scan(b"")] == kept
