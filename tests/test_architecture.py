"""The rooms and their arrows, read from the imports, and the shape of every file.

Law: this file names what is allowed. A new arrow is a decision, written here and
in the architecture document, and never an accident.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "kvstore"
LINES_MAX = 500

MODULES = sorted(PACKAGE.rglob("*.py"))

ARROWS = {
    "raft": {"raft"},
    "api": set(),
    "glob": set(),
    "errors": set(),
    "address": {"errors"},
    "kv": {"api", "glob", "storage.base", "kv", "errors"},
    "wire": {"address", "api", "config", "errors", "glob", "raft.messages", "raft.types", "wire"},
    "storage": {"raft.types", "storage", "errors"},
    "sim": {
        *("address", "api", "config", "errors", "raft", "render", "sim"),
        *("server.acquaintances", "server.node", "server.own_writes", "server.replaced"),
        *("storage.base", "storage.cost", "storage.memory", "storage.records", "storage.sequence"),
    },
    "client": {"address", "api", "errors", "wire", "config", "caller", "gate", "links"},
    "caller": {"address", "api", "attempt", "errors", "wire", "course"},
    "gate": {"errors"},
    "course": {"address", "attempt", "errors", "config"},
    "attempt": {"address", "api"},
    "links": {"address", "api", "attempt", "link", "wire"},
    "link": {"address", "attempt"},
}
"""What each room may import of ours; a name stands for itself and all below it."""

MORE_FOR = {"storage.inspect": {"api"}}

LMDB_FILES = {"storage/inspect.py", "storage/directory.py"}
"""Files that may import lmdb besides storage/lmdb_*.py."""

PURE_ROOMS = ("raft", "kv", "wire", "sim", "caller", "course", "attempt")
IMPURE = {
    "time",
    "datetime",
    "socket",
    "os",
    "selectors",
    "lmdb",
    "structlog",
    "logging",
    "threading",
    "asyncio",
    "secrets",
    "uuid",
}
CLOCKS = {"time", "datetime"}
CLOCK_FILE = "server/loop.py"


def place(module: Path) -> str:
    """Path below the package, as the rules above write it."""
    return module.relative_to(PACKAGE).as_posix()


def dotted(module: Path) -> str:
    """`storage.base` for kvstore/storage/base.py, `storage` for its __init__."""
    return place(module).removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(), str(module))


def imported(module: Path) -> Iterator[str]:
    """Every imported name in full, also inside functions and under TYPE_CHECKING."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(module)}: imports name their room in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(module: Path) -> Iterator[str]:
    """Imported names of this package, without its own name in front."""
    for name in imported(module):
        if name.split(".")[0] == "kvstore":
            yield name.removeprefix("kvstore").removeprefix(".")


def reaches(name: str, allowed: set[str]) -> bool:
    return any(name == one or name.startswith(one + ".") for one in allowed)


def room(module: Path) -> str:
    return dotted(module).split(".")[0]


def each(modules: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("module", modules, ids=place)


@each([module for module in MODULES if room(module) in ARROWS])
def test_arrows_between_rooms_point_one_way(module: Path) -> None:
    allowed = ARROWS[room(module)] | MORE_FOR.get(dotted(module), set())
    wrong = [name for name in ours(module) if not reaches(name, allowed)]
    assert not wrong, f"{place(module)} may import only {sorted(allowed)} of ours, not {wrong}"


@each(MODULES)
def test_only_the_lmdb_files_import_lmdb(module: Path) -> None:
    may = place(module).startswith("storage/lmdb_") or place(module) in LMDB_FILES
    found = any(name.split(".")[0] == "lmdb" for name in imported(module))
    assert may or not found, f"{place(module)} imports lmdb; ask storage/base.py instead"


@each([module for module in MODULES if room(module) in PURE_ROOMS])
def test_pure_rooms_import_nothing_that_acts(module: Path) -> None:
    wrong = [name for name in imported(module) if name.split(".")[0] in IMPURE]
    assert not wrong, f"{place(module)} is pure, and imports {wrong}"


@each([module for module in MODULES if room(module) in PURE_ROOMS])
def test_pure_rooms_take_chance_as_an_argument(module: Path) -> None:
    """`random.Random` is a type; every other name of the module is global chance."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.ImportFrom) and node.module == "random":
            assert {alias.name for alias in node.names} <= {"Random"}
        if isinstance(node, ast.Import):
            assert not any(alias.name == "random" and alias.asname for alias in node.names)
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "random"
        ):
            assert node.attr == "Random", f"{place(module)} uses random.{node.attr}"


@each([module for module in MODULES if room(module) == "server"])
def test_only_the_loop_reads_a_clock(module: Path) -> None:
    """And only the monotonic one."""
    names = [name for name in imported(module) if name.split(".")[0] in CLOCKS]
    if place(module) != CLOCK_FILE:
        assert not names, f"{place(module)} imports {names}; time comes in as an argument"
        return
    read = {
        node.attr
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in CLOCKS
    }
    assert set(names) <= {"time", "time.monotonic"}
    assert read <= {"monotonic"}


@each(MODULES)
def test_files_are_short_enough_to_read(module: Path) -> None:
    lines = len(module.read_text().splitlines())
    assert lines <= LINES_MAX, f"{place(module)} has {lines} lines"


@each([module for module in MODULES if module.name != "__main__.py"])
def test_every_module_states_its_law(module: Path) -> None:
    """A paragraph of its docstring begins with `Law:`."""
    docstring = ast.get_docstring(tree(module)) or ""
    paragraphs = docstring.split("\n\n")
    assert any(one.startswith("Law:") for one in paragraphs), f"{place(module)} states no law"


def test_the_rules_have_something_to_hold() -> None:
    """A renamed room would leave its rules without a subject."""
    assert {"raft", "storage", "kv", "wire", "server", "sim"} <= {
        room(module) for module in MODULES
    }
