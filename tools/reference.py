#!/usr/bin/env python3
"""Write into the documents what the code knows: options, limits, messages, requests, events.

Law: a document says in prose why; what is a list in the code is a list in a document only
between two marks, and comes from here. What a row says is the docstring or the help text of
the thing itself.

    <!-- reference: limits -->
    (written by this tool)
    <!-- end -->

    make reference                  # write
    tools/reference.py --check      # exit code 1, and the documents that are behind
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import click
import msgspec

from kvstore import api
from kvstore.cli import main as cli
from kvstore.cli.options import Option
from kvstore.cli.serve import serve
from kvstore.client.blocking import Client
from kvstore.config import limits
from kvstore.logs import code_of
from kvstore.raft import events, messages
from kvstore.server.event_log import ERRORS, WARNINGS

ROOT: Final = Path(__file__).resolve().parent.parent
DOCUMENTS: Final = ("README.md", "docs/formats.md", "docs/events.md")
_BLOCK: Final = re.compile(r"(<!-- reference: ([a-z ]+) -->\n).*?(<!-- end -->\n)", re.DOTALL)
_MIB: Final = 1 << 20


def written(text: str) -> str:
    """`text`, with every block as the code has it now."""
    return _BLOCK.sub(lambda block: block[1] + _BLOCKS[block[2]]() + block[3], text)


# --- Tables -------------------------------------------------------------------------------


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(map(_cell, line)) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "-"


def _about(thing: type) -> str:
    """The first paragraph of the docstring of a class itself, not of one it inherits from."""
    return (inspect.cleandoc(thing.__doc__ or "")).split("\n\n")[0]


def _fields(struct: type) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(struct))


def _members(union: Any) -> list[type]:
    """The classes of a union, in the order of its definition."""
    return list(typing.get_args(union))


def _texts_below(tree: ast.Module | ast.ClassDef) -> dict[str, str]:
    """What stands as a string below the assignment of a name, for each that has one."""
    texts = {}
    for first, second in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(first, ast.AnnAssign)
            and isinstance(first.target, ast.Name)
            and isinstance(second, ast.Expr)
            and isinstance(second.value, ast.Constant)
        ):
            texts[first.target.id] = str(second.value.value)
    return texts


def _class_texts(module: ModuleType, name: str) -> dict[str, str]:
    tree = ast.parse(inspect.getsource(module))
    return next(
        _texts_below(node)
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == name
    )


# --- Blocks -------------------------------------------------------------------------------


def _options() -> str:
    return _table(
        ("Option", "Default", ""),
        (_option_row(option) for option in serve.params if isinstance(option, Option)),
    )


def _commands() -> str:
    """A line each, as one types it, but for the options that most have."""
    rows = []
    for name, command in _single_commands():
        with click.Context(command, info_name=name) as ctx:
            arguments = " ".join(
                parameter.make_metavar(ctx)
                for parameter in command.params
                if isinstance(parameter, click.Argument)
            )
        own = (
            f"`{option.opts[0]}`"
            for option in command.params
            if isinstance(option, Option) and option.section == "Options"
        )
        about = command.get_short_help_str(limit=200)
        rows.append(
            (f"`kvstore {name}{f' {arguments}' if arguments else ''}`", ", ".join(own), about)
        )
    return _table(("Command", "Options of its own", ""), rows)


def _single_commands() -> Iterator[tuple[str, click.Command]]:
    for name, command in cli.commands.commands.items():
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", each) for sub, each in command.commands.items())
        else:
            yield name, command


def _client_options() -> str:
    """Those of every command that asks through a client."""
    params = cli.commands.commands["transfer-leader"].params
    return _table(
        ("Option", "Default", ""),
        (
            _client_option_row(option)
            for option in params
            if isinstance(option, Option) and option.section != "Options"
        ),
    )


def _client_option_row(option: Option) -> tuple[str, str, str]:
    default = "-" if option.is_flag else str(option.default)
    return f"`{option.opts[0]}`", f"`{default}`", (option.help or "").rstrip(" .")


def _option_row(option: Option) -> tuple[str, str, str]:
    text, _, default = (option.help or "").partition("[default: ")
    default = default.rstrip("] ") or "-"
    shown = default if " " in default else f"`{default}`"
    return f"`{option.opts[0]}`", shown, text.rstrip(" .")


def _limits() -> str:
    texts = _class_texts(limits, "Limits")
    defaults = msgspec.structs.asdict(limits.Limits())
    return _table(
        ("Limit", "Default", ""),
        ((f"`{name}`", _amount(name, defaults[name]), texts[name]) for name in defaults),
    )


def _amount(name: str, value: int) -> str:
    if "_bytes_" in f"{name}_" and value % _MIB == 0:
        return f"{value // _MIB} MiB"
    return f"{value:,}"


def _messages() -> str:
    common = _fields(messages.TimeoutNow)
    return _table(
        ("Message", "Carries", ""),
        (
            (
                f"`{message.__name__}`",
                _code(name for name in _fields(message) if name not in common),
                _about(message),
            )
            for message in _members(messages.Message)
        ),
    )


def _requests() -> str:
    return _structs(("Request", "Fields", ""), api.REQUESTS)


def _methods() -> str:
    methods = {
        name: method
        for kind in (*Client.__bases__, Client)
        for name, method in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(method) or name == "from_env")
    }
    return _table(
        ("Method of `Client`", ""),
        (
            (f"`{name}{_arguments(getattr(Client, name))}`", _first_sentence(method))
            for name, method in methods.items()
        ),
    )


def _arguments(method: Callable[..., object]) -> str:
    """As one would write them: names and defaults, without types."""
    signature = inspect.signature(method)
    plain = [
        parameter.replace(annotation=parameter.empty)
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    return str(inspect.Signature(plain))


def _first_sentence(method: Any) -> str:
    text = inspect.cleandoc(method.__doc__ or "").split("\n\n")[0]
    return text.rstrip(".")


def _results() -> str:
    return _structs(("Result", "Fields", ""), api.RESULTS)


def _structs(head: tuple[str, ...], structs: Iterable[type]) -> str:
    return _table(
        head,
        (
            (
                f"`{struct.__struct_config__.tag}`",  # type: ignore[attr-defined]
                _code(_fields(struct)),
                _about(struct),
            )
            for struct in structs
        ),
    )


def _events() -> str:
    return _table(
        ("Code", "Level", ""),
        (
            (
                f"`{code_of(event)}`",
                _level(event),
                _about(event),
            )
            for event in _members(events.Event)
        ),
    )


def _level(event: type) -> str:
    if event in ERRORS:
        return "error"
    return "warning" if event in WARNINGS else "info"


_BLOCKS: Final[dict[str, Callable[[], str]]] = {
    "options": _options,
    "commands": _commands,
    "client options": _client_options,
    "limits": _limits,
    "messages": _messages,
    "requests": _requests,
    "results": _results,
    "methods": _methods,
    "events": _events,
}


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; say which documents are behind.")
def main(check: bool) -> None:
    """Write into the documents what the code knows."""
    behind = False
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text()
        new = written(text)
        if new != text:
            behind = True
            click.echo(f"{name} is behind the code: make reference" if check else f"wrote {name}")
            if not check:
                path.write_text(new)
    sys.exit(check and behind)


if __name__ == "__main__":
    main()
