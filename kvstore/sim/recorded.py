"""A scenario as text: its settings and faults as data, to be read, kept and run again.

Law: what is read is the scenario that was written. A seed means another plan as soon as
there is a new kind of fault; a recorded scenario means the same faults at the same times.
What a run draws from its seed while it goes on is not in it.

    {
      "about": "what it is kept for",
      "seed": 110,
      ...
      "faults": [
        {"number": 0, "at_ms": 812.4, "duration_ms": 1630.0, "kind": "isolation", "seed": 7}
      ]
    }
"""

from __future__ import annotations

from typing import Any

import msgspec

from kvstore.raft.types import INDEX_MAX
from kvstore.sim.faults import KINDS
from kvstore.sim.scenario import Scenario


class _About(msgspec.Struct, frozen=True):
    about: str


class Recorded(msgspec.Struct, frozen=True):
    """A scenario, and what it is kept for."""

    about: str
    scenario: Scenario


def write(recorded: Recorded) -> str:
    """As JSON, a line for each setting and each fault."""
    fields: dict[str, Any] = msgspec.to_builtins(recorded.scenario)
    faults = ",\n".join(f"    {_json(fault)}" for fault in fields.pop("faults"))
    lines = [f"  {_json(name)}: {_json(value)}" for name, value in fields.items()]
    return ",\n".join(
        [f'{{\n  "about": {_json(recorded.about)}', *lines, f'  "faults": [\n{faults}\n  ]\n}}\n']
    )


def read(text: bytes) -> Recorded:
    """Raises `ValueError`, which says what is wrong with it."""
    try:
        about = msgspec.json.decode(text, type=_About).about
        scenario = msgspec.json.decode(text, type=Scenario)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from None
    if not 1 <= len(scenario.members) <= 7:
        raise ValueError("it has no members, or more than seven")
    start = scenario.start
    if not start.can_be or start.index > INDEX_MAX // 2:
        raise ValueError(f"no log begins after entry {start.index} of term {start.term}")
    for fault in scenario.faults:
        if fault.kind not in KINDS:
            raise ValueError(f"there is no fault of kind {fault.kind!r}")
    return Recorded(about, scenario)


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()
