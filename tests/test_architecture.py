"""The parts and their arrows, read from the imports, and the shape of every file.

Law: this file names what is allowed, and no more than what is used. A new arrow is a
decision, written here and in the architecture document (`tests/documents` holds the two
against each other), and never an accident.
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
    "raft": {"quantities", "raft"},
    "kv": {"api", "errors", "kv", "raft.versions"},
    "wire": {
        *("address", "api", "cluster_names", "config.limits", "errors", "raft.messages"),
        *("raft.versions", "wire"),
    },
    "storage": {
        *("cluster_names", "errors", "kv.view", "raft.configuration", "raft.configurations"),
        *("raft.types", "storage"),
    },
    "server": {
        *("address", "api", "config.limits", "config.settings", "errors", "exit_codes"),
        *(
            "kv.clock",
            "kv.effect",
            "kv.footprint",
            "kv.history",
            "kv.machine",
            "kv.record",
            "kv.view",
            "logs",
            "lookup",
            "quantities",
            "raft",
            "server",
            "storage.base",
        ),
        *("storage.directory", "storage.records", "storage.sizes"),
        *("storage.snapshot_format", "storage.snapshot_stream", "storage.state_digest"),
        *("storage.successor", "storage.writer", "version", "wire"),
    },
    "sim": {
        *("address", "api", "client.attempt", "client.caller", "config.limits", "config.settings"),
        *(
            "errors",
            "kv.machine",
            "kv.record",
            "kv.view",
            "raft",
            "recovery",
            "server.acquaintances",
            "server.asked",
            "server.cluster_version",
            "server.envelope",
            "server.node",
        ),
        *(
            "server.replaced",
            "server.router",
            "server.scan_cursors",
            "server.turn",
            "sim",
            "storage.base",
        ),
        *("storage.cost", "storage.memory", "storage.records", "storage.outline"),
        *("storage.reading", "storage.snapshot_format", "storage.snapshot_stream"),
        *("storage.successor", "storage.survivor", "storage.tables"),
        *("storage.writer", "wire.commands", "wire.peer", "wire.scan"),
    },
    "api": {"api"},
    "errors": set(),
    "address": {"errors"},
    "config": {"address", "api.base", "cluster_names", "config", "errors", "raft.types"},
    "config.limits": {"api.base"},
    "config.sources": {"errors"},
    "client": {
        *("address", "api", "client", "config.limits", "errors", "lookup", "wire.resp"),
        "wire.typed",
    },
    "client.caller": {
        *("address", "api", "client.attempt", "client.course", "client.doubts"),
        *("client.knowledge", "errors", "wire.typed"),
    },
    "client.following": {
        *("address", "api", "client.attempt", "client.knowledge", "errors", "wire.typed"),
    },
    "client.course": {"address", "client.attempt", "errors"},
    "client.doubts": set(),
    "client.knowledge": {"address", "api"},
    "client.attempt": {"address", "api"},
    "cli.overview": {"api", "raft.configuration"},
    "cli.findings": set(),
    "cli.advice": {"api", "cli.findings", "cli.overview"},
    "cli.render": {"api", "cli.findings", "cli.overview"},
    "cli.reports": {
        *("api", "printable", "raft.configurations", "raft.types", "storage.compare"),
        *("storage.inspect", "storage.tables"),
    },
    "cli.outcomes": {"cli.render", "cli.streams", "errors", "exit_codes"},
    "cli.options": {"address", "cli.streams"},
    "cli.targets": {"address", "config.settings", "errors"},
    "cli.probe": {
        *("address", "api", "cli.overview", "client.attempt", "client.link", "errors", "lookup"),
        "wire.typed",
    },
    "cli.patience": {"cli.streams"},
    "cli.streams": {"printable"},
    "cli.last_words": {"cli.streams", "config.sources", "logs"},
    "demo": {"api", "client.blocking", "demo", "errors", "storage.compare", "storage.inspect"},
    "cluster_names": set(),
    "exit_codes": set(),
    "logs": {"config.sources", "printable"},
    "lookup": {"address"},
    "printable": set(),
    "quantities": set(),
    "recovery": {
        *("api", "cluster_names", "config.limits", "errors", "kv.machine", "raft.configuration"),
        *("raft.configurations", "raft.types", "raft.versions", "storage.base", "storage.records"),
        "storage.survivor",
    },
    "version": set(),
}
"""What each part may import of ours; a name stands for itself and all below it.

A part is a folder or a file; a file that has a row of its own goes by that alone. Who is not
here wires the others: the commands, and the front doors of the package.
"""
WIRING = {"", "__main__", "cli", "start"}

LMDB_FILES = {"storage/inspect.py", "storage/directory.py"}
"""Files that may import lmdb besides storage/lmdb_*.py."""

PURE_PARTS = (
    "client.following",
    *("raft", "kv", "wire", "sim", "client.caller", "client.course", "client.doubts"),
    *("client.knowledge", "client.attempt", "client.requests"),
    *("cli.overview", "cli.advice", "cli.findings"),
)
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

UNKNOWN = {
    "server.node": {"socket", "selectors", "hiredis", "kvstore.wire", *IMPURE},
    "address": {"socket"},
    "config": {"socket", "os", "subprocess", "lmdb"},
    "client.gate": {"socket", "kvstore.wire"},
    "logs": {"kvstore.server", "kvstore.raft.events"},
    "storage": {"socket", "kvstore.api", "kvstore.kv.machine", "kvstore.server", "kvstore.wire"},
} | dict.fromkeys(PURE_PARTS, IMPURE)
"""What must not be reached from a part, through whatever it imports."""


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
            assert node.level == 0, f"{place(module)}: imports name their part in full"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(module: Path) -> Iterator[str]:
    """Imported names of this package, without its own name in front."""
    for name in imported(module):
        if name.split(".")[0] == "kvstore":
            yield name.removeprefix("kvstore").removeprefix(".")


def reaches(name: str, allowed: set[str]) -> bool:
    return any(name == one or name.startswith(one + ".") for one in allowed)


def part(module: Path) -> str:
    """What a file belongs to: itself or its folder; "" is the package's own front door."""
    name = "" if module == PACKAGE / "__init__.py" else dotted(module)
    return name if name in ARROWS else name.split(".")[0]


BY_NAME = {f"kvstore.{dotted(module)}": module for module in MODULES}


def reached(modules: list[Path]) -> dict[str, str]:
    """Every name that an import of these files brings in, with the file that asks for it."""
    names: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        for name in imported(module):
            parts = name.split(".")
            for end in range(1, len(parts) + 1):
                part = ".".join(parts[:end])
                if part not in names:
                    names[part] = place(module)
                    waiting += [BY_NAME[part]] if part in BY_NAME else []
    return names


def each(modules: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("module", modules, ids=place)


@each([module for module in MODULES if part(module) in ARROWS])
def test_arrows_between_parts_point_one_way(module: Path) -> None:
    allowed = ARROWS[part(module)]
    wrong = [name for name in ours(module) if not reaches(name, allowed)]
    assert not wrong, f"{place(module)} may import only {sorted(allowed)} of ours, not {wrong}"


@pytest.mark.parametrize("name", ARROWS)
def test_every_arrow_is_used(name: str) -> None:
    """An arrow that nobody needs would let in what nobody decided."""
    modules = [module for module in MODULES if part(module) == name]
    used = {one for module in modules for one in ours(module)}
    unused = [arrow for arrow in ARROWS[name] if not any(reaches(one, {arrow}) for one in used)]
    assert set(unused) <= {name}, f"{name} imports none of {unused}"


def test_every_part_has_its_arrows() -> None:
    assert {part(module) for module in MODULES} == {*ARROWS, *WIRING}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_a_part_must_not_know_is_out_of_its_reach(name: str) -> None:
    modules = [module for module in MODULES if reaches(dotted(module), {name})]
    assert modules, f"there is no {name}"
    known = {one: by for one, by in reached(modules).items() if one in UNKNOWN[name]}
    assert not known, f"{name} reaches {known}"


def circles(arrows: dict[str, set[str]]) -> Iterator[list[str]]:
    """Each set of names of which every one leads to all others (Tarjan's algorithm)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(name: str) -> Iterator[list[str]]:
        numbers[name] = lowest[name] = len(numbers)
        path.append(name)
        for other in sorted(arrows[name]):
            if other not in numbers:
                yield from visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in path:
                lowest[name] = min(lowest[name], numbers[other])
        if lowest[name] == numbers[name]:
            found = path[path.index(name) :]
            del path[path.index(name) :]
            if len(found) > 1:
                yield sorted(found)

    for name in arrows:
        if name not in numbers:
            yield from visit(name)


def test_no_files_know_each_other_in_a_circle() -> None:
    """Imports for types alone count: who reads one of them would have to read all."""

    def file_of(name: str) -> str:
        return name if name in BY_NAME else name.rpartition(".")[0]

    arrows = {name: {*map(file_of, imported(module))} for name, module in BY_NAME.items()}
    own = {name: (others & arrows.keys()) - {name} for name, others in arrows.items()}
    assert not [*circles(own)]


@each(MODULES)
def test_only_the_lmdb_files_import_lmdb(module: Path) -> None:
    may = place(module).startswith("storage/lmdb_") or place(module) in LMDB_FILES
    found = any(name.split(".")[0] == "lmdb" for name in imported(module))
    assert may or not found, f"{place(module)} imports lmdb; ask storage/base.py instead"


@each([module for module in MODULES if reaches(dotted(module), {*PURE_PARTS})])
def test_pure_parts_take_chance_as_an_argument(module: Path) -> None:
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


@each([module for module in MODULES if dotted(module).split(".")[0] == "server"])
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


@pytest.mark.parametrize("folder", ["tests", "tools"])
def test_what_is_beside_the_package_is_short_enough_to_read_too(folder: str) -> None:
    files = (ROOT / folder).rglob("*.py")
    lines = {str(file.relative_to(ROOT)): file.read_text().count("\n") for file in files}
    assert {file: count for file, count in lines.items() if count > LINES_MAX} == {}


@each([module for module in MODULES if module.name != "__main__.py"])
def test_every_module_states_its_law(module: Path) -> None:
    """A paragraph of its docstring begins with `Law:`."""
    docstring = ast.get_docstring(tree(module)) or ""
    paragraphs = docstring.split("\n\n")
    assert any(one.startswith("Law:") for one in paragraphs), f"{place(module)} states no law"


@each(MODULES)
def test_private_names_stay_in_their_file(module: Path) -> None:
    """What another file reads has a name for it, so that whoever changes it sees who does."""
    known = {"_replace", "_asdict", "_make", "_Database"}  # Of named tuples, and of lmdb.
    used: set[str] = set()
    for one in ast.walk(tree(module)):
        if isinstance(one, ast.FunctionDef):
            known.add(one.name)
        elif isinstance(one, ast.Attribute):
            is_own = isinstance(one.value, ast.Name) and one.value.id in ("self", "cls")
            (known if is_own else used).add(one.attr)
    strange = {name for name in used - known if name.startswith("_") and not name.endswith("__")}
    assert not strange, f"{place(module)} reads {', '.join(sorted(strange))} of another file"


def test_the_rules_have_something_to_hold() -> None:
    """A renamed part would leave its rules without a subject."""
    assert {"raft", "storage", "kv", "wire", "server", "sim"} <= {
        part(module) for module in MODULES
    }
