"""What the documents say of the code, held against the code.

Law: a list in a document is written from the code or compared with it here, a number in a
sentence is made from the limit that it speaks of, and what stands between backticks exists.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from test_architecture import ARROWS, PACKAGE, ROOT, WIRING, part

from kvstore import api, errors, exit_codes
from kvstore.cli import main as cli
from kvstore.cli import streams
from kvstore.config.limits import (
    MAP_BYTES_CEILING,
    MAP_BYTES_FLOOR,
    MEMBERS_MAX,
    VALUE_BYTES_CEILING,
    Limits,
)
from kvstore.config.settings import Settings
from kvstore.kv import machine
from kvstore.kv.view import Applied
from kvstore.logs import code_of
from kvstore.raft import events
from kvstore.raft.types import EntryKind, HardState
from kvstore.server import doorkeeper, load
from kvstore.server.builtins import BUILTINS
from kvstore.storage import cost, lmdb_log, records
from kvstore.storage.base import Acquaintance, Identity
from kvstore.storage.tables import TABLES
from kvstore.wire.commands import COMMANDS

DOCUMENTS = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("model/*.md"))
    if path.is_file()
)
CODE = [path for part in ("kvstore", "tests", "tools") for path in (ROOT / part).rglob("*.py")]
BESIDE_CODE = [*ROOT.glob("model/*.*"), ROOT / "Makefile", ROOT / "pyproject.toml"]
MIB = 1 << 20

README = (ROOT / "README.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
FORMATS = (ROOT / "docs/formats.md").read_text()


def each_document() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
    )


# --- Lists --------------------------------------------------------------------------------


def test_what_the_documents_list_is_what_the_code_has() -> None:
    """Options, limits, messages, requests and results: written by tools/reference.py."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reference.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def rows(text: str, head: str) -> list[list[str]]:
    """The cells of the table that begins with `head`."""
    table = text[text.index(head) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def quoted(text: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", text))


PARTS = {
    name: cells for cells in rows(ARCHITECTURE, "| Part |") for name in sorted(quoted(cells[0]))
}


def test_the_document_knows_every_part() -> None:
    doors = {"", "__main__"}
    assert set(PARTS) == {part(path) for path in PACKAGE.rglob("*.py")} - doors


@pytest.mark.parametrize("name", sorted(PARTS))
def test_the_arrows_of_the_document_are_those_of_the_rules(name: str) -> None:
    said = PARTS[name][2]
    if name in WIRING:
        assert said == "anything"
        return
    assert quoted(said) == ARROWS[name]


def test_the_document_knows_every_code_of_an_error() -> None:
    assert {quoted(cells[0]).pop() for cells in rows(README, "| Code | What it means")} == {
        code.value for code in api.FailureCode
    }


def test_the_document_knows_every_command() -> None:
    """All but the two that are kvstore's own, and those that say why there are none like them."""
    paragraph = README[README.index("Data commands: ") :].split("\n\n")[0]
    said = set(re.findall(r"\b[A-Z]{3,}\b", re.sub(r"\([^)]*\)", "", paragraph)))
    known = {name.decode() for name in (*COMMANDS, *BUILTINS)}
    assert said == known - {"KV", "RAFT", "MULTI", "EXEC", "DISCARD"}


CODES = {code for code in vars(exit_codes).values() if isinstance(code, int)}


def numbers(text: str) -> set[int]:
    return {int(word) for word in re.findall(r"\d+", text)}


def test_the_document_knows_every_exit_code() -> None:
    assert (
        set().union(*(numbers(cells[0]) for cells in rows(README, "| Code | Meaning |"))) == CODES
    )


def test_the_help_knows_every_exit_code_that_a_command_has() -> None:
    """What tells of a mistake in kvstore is for the document alone."""
    told = (cli.commands.help or "").partition("Exit codes:")[2]
    said = {int(code) for code in re.findall(r"^ {2}(\d+) ", told, re.MULTILINE)}
    assert said == CODES - {exit_codes.BROKEN}


KEPT = {
    "Identity": Identity,
    "HardState": HardState,
    "Extent": records.Extent,
    "Applied": Applied,
    "Peers": records.Peers,
    "Acquaintance": Acquaintance,
}
DISK = rows(FORMATS, "| Environment | Key | Value |")


def test_the_document_knows_every_record_on_the_disk() -> None:
    said = {(cells[0].split(",")[0], *sorted(quoted(cells[1]))) for cells in DISK}
    raft = (records.HARD_STATE, records.EXTENT, records.STARTS)
    state = (records.APPLIED, *(row.prefix for row in TABLES))
    both = (records.IDENTITY, records.COMMIT)
    named = {("raft/", name.decode()) for name in (*raft, *both)}
    named |= {("state/", name.decode()) for name in (*state, *both)}
    assert named <= said
    tables = {name for cells in DISK for name in sorted(quoted(cells[0]))}
    kept = (records.LOG, records.TERMS, records.LINEAGE, *(row.database for row in TABLES))
    assert tables == {name.decode() for name in kept}


@pytest.mark.parametrize("name", KEPT)
def test_the_document_knows_every_field_on_the_disk(name: str) -> None:
    value = next(cells[2] for cells in DISK if f"`{name}`" in cells[2])
    words = value.partition(": ")[2].replace("`", "")
    said = [word.strip().replace(" ", "_") for word in words.split(",")]
    names = {"last_start_seen": "start", "number_of_terms": "terms", "member_ids": "members"}
    assert [names.get(word, word) for word in said] == list(KEPT[name].__struct_fields__)


# --- Numbers ------------------------------------------------------------------------------


def number(value: int) -> str:
    """As prose writes a small one."""
    return ["zero", "one", "two", "three", "four", "five", "six", "seven"][value]


def checkpoint_ms() -> int:
    """What `Settings.checkpoint_interval_ms` is when nobody says otherwise."""
    fields = msgspec.structs.fields(Settings)
    return next(one.default for one in fields if one.name == "checkpoint_interval_ms")


LIMITS = Limits()
RULES = api.SessionRules()
MINUTE_MS = 60_000

SHORT_BYTES = LIMITS.connections_max * load.SHORT_INPUT_BYTES
OWN_BYTES = 51 * MIB
"""Of a node that does nothing, and of pieces of snapshots and backups."""


def clients_bytes() -> int:
    return LIMITS.clients_output_bytes_max + 2 * LIMITS.reply_bytes_max + SHORT_BYTES


def entries_bytes() -> int:
    """Of small ones each takes more than its data."""
    return LIMITS.pending_bytes_max + LIMITS.pending_writes_max * 130


def peers_bytes() -> int:
    return 2 * (LIMITS.peer_output_bytes_max + LIMITS.peer_message_bytes_max)


def held_bytes() -> int:
    return clients_bytes() + entries_bytes() + peers_bytes() + cost.HELD_BYTES


def most_bytes() -> int:
    """What a node of three may take by its own bounds, and the allocator with it."""
    return held_bytes() * 5 // 4 + OWN_BYTES


def test_what_a_node_takes_leaves_room_on_a_machine_with_512_mib() -> None:
    assert most_bytes() < 430 * MIB


SENTENCES = {
    "README.md": (
        f"Keys have at most {api.KEY_BYTES_MAX} bytes, values {LIMITS.value_bytes_max // MIB} MiB "
        f"by default (at most {VALUE_BYTES_CEILING // MIB} MiB)",
        f"when it was not used for {RULES.ttl_ms // MINUTE_MS} minutes, "
        f"or when {RULES.sessions_max:,} others were used since",
        f"**{RULES.sessions_max:,} sessions.**",
        f"would leave less than {LIMITS.headroom_bytes // MIB} MiB on the disk or in a map",
        f"**{LIMITS.connections_max:,} clients** at a time",
        f"may hold {(LIMITS.clients_input_bytes_max + SHORT_BYTES) // MIB} MiB of unfinished "
        f"requests; beyond {LIMITS.clients_input_bytes_max // MIB} MiB, long requests get BUSY",
        f"may hold {LIMITS.clients_output_bytes_max // MIB} MiB of replies that they have not read",
        f"while {LIMITS.pending_bytes_max // 2 // MIB} MiB of entries wait",
        f"Who takes nothing for {doorkeeper._STUCK_MS / 1_000:.0f} s is hung up on",
        f"MGET and EXISTS read {LIMITS.reply_bytes_max // MIB} MiB of values at most, "
        f"and an MSET replaces {machine._REPLACED_BYTES_MAX // MIB} MiB",
        f"at most about {round(most_bytes() // MIB, -1)} MiB: "
        f"{clients_bytes() // MIB} MiB for replies and unfinished requests "
        f"({LIMITS.clients_output_bytes_max // MIB}, {2 * LIMITS.reply_bytes_max // MIB} while "
        f"replies are made, and {SHORT_BYTES // MIB} of short requests), "
        f"{entries_bytes() // MIB} MiB for entries that wait or are recent, "
        f"{peers_bytes() // MIB} MiB for messages to and of two peers, "
        f"{cost.HELD_BYTES // MIB} MiB for what a full disk does not take, "
        f"{OWN_BYTES // MIB} MiB for itself",
        f"one to {number(MEMBERS_MAX)} nodes agree on every write",
        f"The maps may have {MAP_BYTES_FLOOR // MIB}MiB to {MAP_BYTES_CEILING >> 40}TiB each",
        f"At most {api.KEYS_MAX:,} keys go into one `put_many`, `get_many` or `delete`",
    ),
    "ARCHITECTURE.md": (
        f"when {RULES.sessions_max:,} others were used since, or when the stamps of later entries "
        f"are {RULES.ttl_ms // MINUTE_MS} minutes ahead",
        f"every {checkpoint_ms()} ms a checkpoint of the key space",
        f"every {checkpoint_ms()} ms it is committed together with `last_applied`",
        f"keys to {api.KEY_BYTES_MAX} bytes",
    ),
    "docs/when-things-go-wrong.md": (
        f"held in memory, up to {cost.HELD_BYTES // MIB} MiB",
        f"of the disk {cost.RESERVE_BYTES // MIB} MiB are allocated ahead",
        f"until the turn's {LIMITS.turn_steps_max:,} steps are spent",
        f"who takes nothing for {doorkeeper._STUCK_MS / 1_000:.0f} s while memory for",
        f"{LIMITS.newcomers_max} more may come in that say within "
        f"{number(round(doorkeeper._NEWCOMER_MS / 1_000))} seconds that they are peers",
    ),
    "docs/performance.md": (
        f"A node of three takes {(held_bytes() + OWN_BYTES) // MIB} MiB",
        f"peers that do not read | {LIMITS.peer_output_bytes_max // MIB} MiB",
        f"peers that have not come whole | {LIMITS.peer_message_bytes_max // MIB} MiB",
    ),
    "docs/formats.md": (
        f"{records.START_BYTES} random bytes for each of the last {lmdb_log._STARTS_MAX:,} starts",
        f"twice, each in {records.COPY_BYTES:,} bytes",
        f"`FORMAT_VERSION` is {records.FORMAT_VERSION}",
        f"An entry's kind is {EntryKind.NOOP} for a no-op, whose data is the leader's id in "
        f"decimal, {EntryKind.CONFIGURE} for a configuration, whose data is the msgpack of its "
        "members, "
        f"{EntryKind.VERSION} for a version of the protocol that the cluster has from then on, in "
        f"decimal, {EntryKind.CHECK} for one as of which states are compared, without data, or "
        f"{EntryKind.COMMAND} for a command",
    ),
}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [(name, sentence) for name, sentences in SENTENCES.items() for sentence in sentences],
    ids=lambda text: text[:40],
)
def test_the_numbers_of_the_documents_are_those_of_the_code(name: str, sentence: str) -> None:
    text = " ".join((ROOT / name).read_text().split())
    assert sentence in text, f"{name} says something else than: {sentence}"


# --- Names --------------------------------------------------------------------------------

FILES = {
    path.relative_to(ROOT).as_posix()
    for part in ("kvstore", "tests", "tools", "docs", "model")
    for path in (ROOT / part).rglob("*")
} | {path.name for path in ROOT.iterdir()}
WORDS = set(re.findall(r"\w+", "\n".join(path.read_text() for path in (*CODE, *BESIDE_CODE))))
WORDS |= {
    code_of(kind)
    for kind in (*get_args(events.Event), *vars(errors).values(), *vars(streams).values())
    if isinstance(kind, type)
}


def members() -> dict[str, set[str]]:
    """What each class of ours has: methods, fields, what it sets of itself, and inherits."""
    own: dict[str, set[str]] = {}
    bases: dict[str, set[str]] = {}
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                own.setdefault(node.name, set()).update(_members_of(node))
                named = {base.id for base in node.bases if isinstance(base, ast.Name)}
                bases.setdefault(node.name, set()).update(named - {node.name})

    def all_of(name: str) -> set[str]:
        return own.get(name, set()).union(*map(all_of, bases.get(name, ())))

    return {name: all_of(name) for name in own}


def _members_of(body: ast.ClassDef) -> Iterator[str]:
    for node in ast.walk(body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


MEMBERS = members()


def missing(name: str) -> str | None:
    """What is wrong with something that a document has between backticks, if anything is."""
    if re.fullmatch(r"[\w./*-]+\.(py|txt|md|json|svg|tla|cfg|toml)", name):
        wanted = re.compile("(^|/)" + re.escape(name).replace(r"\*", "[^/]*") + "$")
        return None if any(map(wanted.search, FILES)) else "no such file"
    if method := re.fullmatch(r"([A-Z]\w+)\.(\w+)(\(.*\))?", name):
        known = MEMBERS.get(method[1])
        return None if known and method[2] in known else "no such class, or nothing like it there"
    if re.fullmatch(r"[\w.]*_\w*(\(.*\))?|[A-Z][a-z]+[A-Z]\w+", name):
        words = re.findall(r"\w+", name.partition("(")[0])
        return None if WORDS.issuperset(words) else "no such name in the code"
    return None


@each_document()
def test_what_a_document_names_exists(document: Path) -> None:
    """Files, classes with their members, and names in the spelling of code."""
    prose = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    wrong = {name: missing(name) for name in sorted(quoted(prose)) if missing(name)}
    assert not wrong


def anchors(document: Path) -> set[str]:
    """By which the headings of a document can be reached."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@each_document()
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", document.read_text()):
        target, _, anchor = link.partition("#")
        if "://" in link:
            continue
        path = (document.parent / target) if target else document
        assert path.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(path), f"{path.name} has no heading {anchor}"
