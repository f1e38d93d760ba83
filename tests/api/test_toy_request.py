"""A request more is a struct with its result, a row and a handler: then everybody knows it.

Law: the request is added in a copy of the source, by what CONTRIBUTING.md says and nothing
else. What must know it then is in `toy_request.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

STRUCTS = '''

class Append(Write, frozen=True, tag="append"):
    """Add `value` to the end of what a key has; an absent key counts as empty."""

    key: bytes
    value: bytes


class AppendResult(Result, frozen=True, tag="append"):
    """How long the value is then."""

    revision: int
    length: int
'''

LAST_ROW = (
    "extent=lambda increment: Extent(\n"
    "            1, len(increment.key) + _INTEGER_BYTES, keys=(increment.key,)\n"
    "        ),\n"
    "        is_of_one_key=True,\n    ),\n"
)
ROW = """\
    WriteRow(
        request=data.Append,
        result=data.AppendResult,
        check=lambda append, bounds: check_key(append.key) or check_value(append.value, bounds),
        extent=lambda append: Extent(
            1, len(append.key) + (1 << 20), keys=(append.key,)
        ),
        is_of_one_key=True,
        since=3,
    ),
"""

HANDLER = """

def _append(machine: StateMachine, append: data.Append) -> Effect:
    old = machine._record(append.key)
    value = (b"" if old is None else old[HEAD_BYTES:]) + append.value
    machine.revision += 1
    change = machine._write(append.key, value, old)
    return machine._changed(data.AppendResult(machine.revision, len(value)), change)


WRITES[data.Append] = _append
"""

FUTURE = "from __future__ import annotations\n"


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file}: {old}"
    file.write_text(text.replace(old, new))


def test_a_request_with_a_row_and_a_handler_is_known_everywhere(tmp_path: Path) -> None:
    package = tmp_path / "kvstore"
    shutil.copytree(ROOT / "kvstore", package, ignore=shutil.ignore_patterns("__pycache__"))
    structs, rows = package / "api" / "data.py", package / "api" / "writes.py"
    handlers = package / "kv" / "machine.py"
    structs.write_text(structs.read_text() + STRUCTS)
    for file in (rows, handlers):
        edit(file, FUTURE, FUTURE + "\nfrom kvstore.api import data\n")
    edit(rows, LAST_ROW, LAST_ROW + ROW)
    handlers.write_text(handlers.read_text() + HANDLER)
    versions = package / "raft" / "versions.py"
    edit(versions, "PROTOCOL_VERSION: Final = 2", "PROTOCOL_VERSION: Final = 3")
    done = subprocess.run(
        [sys.executable, "-B", Path(__file__).with_name("toy_request.py")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
