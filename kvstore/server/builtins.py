"""Commands that one node answers by itself, and what COMMAND tells of all that there are.

Law: no command here reads or writes the replicated data. Each returns its reply
at once; an unknown subcommand or argument gets the error that Redis gives.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Final

from kvstore.api.glob import COMPILE_STEPS, Glob
from kvstore.server import client_command, cluster_command, info_command
from kvstore.server.client_state import ClientState
from kvstore.server.subcommands import (
    ABOUT_CONNECTION,
    HANDSHAKE,
    Builtin,
    builtin,
    with_subcommands,
)
from kvstore.server.view import ServerView
from kvstore.wire import catalogue, commands, resp
from kvstore.wire.catalogue import Arguments, Row
from kvstore.wire.commands import CommandError

NO_TRANSACTIONS: Final = (
    "MULTI is not supported; send the commands without it (DISCARD ends what it began)"
)
_PATTERN_BYTES_MAX: Final = 128
_LONGEST_MATCH_STEPS: Final = 20
"""Of the longest pattern with the longest name."""
_NAMES_MAX: Final = 256


# --- The connection -----------------------------------------------------------------------


def _ping(_state: ClientState, _view: ServerView, args: Arguments) -> bytes:
    if len(args) > 2:
        raise CommandError(commands.wrong_arity("ping"))
    return resp.bulk(args[1]) if len(args) > 1 else resp.simple("PONG")


def _echo(_state: ClientState, _view: ServerView, args: Arguments) -> bytes:
    return resp.bulk(args[1])


def _select(_state: ClientState, _view: ServerView, args: Arguments) -> bytes:
    if commands.integer_argument(args[1]):
        raise CommandError("ERR DB index is out of range; there is only database 0")
    return resp.OK


def _quit(state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    state.has_quit = True
    return resp.OK


def _readonly(state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    state.reads_stale = True
    return resp.OK


def _readwrite(state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    state.reads_stale = False
    return resp.OK


# --- MULTI, which is refused as a whole ---------------------------------------------------


def _multi(state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    """Refuse, and what follows too: a client that pipelines has sent it already."""
    state.refuses_transaction = True
    raise CommandError(f"ERR {NO_TRANSACTIONS}")


def _exec(state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    _end_transaction(state, "EXEC")
    raise CommandError(f"EXECABORT nothing was done: {NO_TRANSACTIONS}")


def _discard(state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    _end_transaction(state, "DISCARD")
    return resp.OK


def _raft(_state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    """A peer's link is no client's."""
    raise CommandError(
        "ERR RAFT is for peers, and RAFT HELLO must be the first request of a connection"
    )


def _end_transaction(state: ClientState, name: str) -> None:
    if not state.refuses_transaction:
        raise CommandError(f"ERR {name} without MULTI")
    state.refuses_transaction = False


# --- COMMAND ------------------------------------------------------------------------------


def _command(state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    return resp.array([_entry(name, state.resp_version) for name in _KNOWN])


def _command_count(_state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    return resp.integer(len(_KNOWN))


def _command_info(state: ClientState, view: ServerView, args: Arguments) -> bytes:
    if len(args) == 2:
        return _command(state, view, args)
    if len(args) > _NAMES_MAX + 2:
        raise CommandError(f"ERR too many names, the limit is {_NAMES_MAX}")
    version = state.resp_version
    nothing = resp.null(version)
    rows = map(_named, args[2:])
    return resp.array([nothing if row is None else _entry(row.name, version) for row in rows])


@cache
def _entry(name: str, version: int) -> bytes:
    """What is told of a command or subcommand that there is."""
    row = _named(name.encode())
    assert row is not None
    return catalogue.entry(row, _parts(row), version)


def _command_docs(state: ClientState, _view: ServerView, args: Arguments) -> bytes:
    version = state.resp_version
    rows = {row.name: row for row in map(_named, args[2:]) if row} if args[2:] else _KNOWN
    documented = [(resp.bulk(name.encode()), _documentation(name, version)) for name in rows]
    return resp.mapping(documented, version)


@cache
def _documentation(name: str, version: int) -> bytes:
    """The same, in words."""
    row = _named(name.encode())
    assert row is not None
    return catalogue.documentation(row, _parts(row), version)


def _command_list(state: ClientState, _view: ServerView, args: Arguments) -> bytes:
    rows = [each for row in _KNOWN.values() for each in (row, *_parts(row))]
    if len(args) > 2:
        rows = _filtered(state, rows, args[2:])
    return resp.array([resp.bulk(row.name.encode()) for row in rows])


def _filtered(state: ClientState, rows: list[Row], words: Arguments) -> list[Row]:
    """FILTERBY (MODULE name | ACLCAT category | PATTERN pattern). Raises `CommandError`."""
    if len(words) != 3 or words[0].upper() != b"FILTERBY":
        raise CommandError("ERR syntax error")
    kind, wanted = words[1].upper(), words[2].lower()
    if kind == b"MODULE":
        return []
    if kind == b"ACLCAT":
        category = wanted.decode("utf-8", "replace")
        return [row for row in rows if category in catalogue.categories_of(row)]
    if kind == b"PATTERN":
        if len(wanted) > _PATTERN_BYTES_MAX:
            raise CommandError(f"ERR a pattern has at most {_PATTERN_BYTES_MAX} bytes")
        state.steps += len(wanted) * COMPILE_STEPS + len(rows) * _LONGEST_MATCH_STEPS
        glob = Glob(wanted)
        return [row for row in rows if glob.matches(row.name.encode())]
    raise CommandError("ERR syntax error")


def _command_keys(_state: ClientState, _view: ServerView, args: Arguments) -> bytes:
    row = _with_keys(args[2:])
    return resp.array([*map(resp.bulk, catalogue.keys_of(row, args[2:]))])


def _command_keys_and_flags(state: ClientState, _view: ServerView, args: Arguments) -> bytes:
    return catalogue.keys_with_flags(_with_keys(args[2:]), args[2:], state.resp_version)


def _with_keys(call: Arguments) -> Row:
    """The row of a call that has keys. Raises `CommandError`."""
    row = _KNOWN.get(call[0].decode("utf-8", "replace").lower())
    if row is None:
        raise CommandError("ERR Invalid command specified")
    if not row.key_flags:
        raise CommandError("ERR The command has no key arguments")
    if len(call) not in row.lengths:
        raise CommandError("ERR Invalid number of arguments specified for command")
    return row


def _named(name: bytes) -> Row | None:
    """The row of a command, or of a subcommand (`client|id`)."""
    command, _, subcommand = name.decode("utf-8", "replace").lower().partition("|")
    row = _KNOWN.get(command)
    if not subcommand:
        return row
    return row.subcommands.get(subcommand.upper().encode()) if isinstance(row, Builtin) else None


def _parts(row: Row) -> list[Builtin]:
    return [*row.subcommands.values()] if isinstance(row, Builtin) else []


def unknown_command(args: Arguments) -> str:
    """The error text that Redis clients know; it quotes a bounded part of the input."""
    name, *rest = (arg[:128].decode("utf-8", "replace") for arg in args[:20])
    beginning = " ".join(f"'{arg}'" for arg in rest)[:128]
    return f"ERR unknown command '{name}', with args beginning with: {beginning}"


# --- All of them --------------------------------------------------------------------------


_ANY_ORDER: Final = ("nondeterministic_output_order",)


_about: Final = partial(builtin, group="server", flags=HANDSHAKE, categories=("connection",))
_ABOUT_COMMANDS: Final = (
    _about("command|count", 2, _command_count, "How many commands there are"),
    _about(
        *("command|docs", -2, _command_docs, "What commands are for", "[<name> ...]"),
        tips=_ANY_ORDER,
    ),
    _about(*("command|getkeys", -3, _command_keys, "The keys of a call", "<name> [<arg> ...]")),
    _about(
        *("command|getkeysandflags", -3, _command_keys_and_flags, "Keys, and what they are for"),
        "<name> [<arg> ...]",
    ),
    _about(
        *("command|info", -2, _command_info, "What clients route by", "[<name> ...]"),
        tips=_ANY_ORDER,
    ),
    _about(
        *("command|list", -2, _command_list, "The names of commands"),
        "[FILTERBY (MODULE <name> | ACLCAT <category> | PATTERN <pattern>)]",
        tips=_ANY_ORDER,
    ),
)
_connection: Final = partial(builtin, group="connection", categories=("connection",))
_transaction: Final = partial(builtin, group="transactions", categories=("transaction",))
_FAST: Final = (*HANDSHAKE, "fast")
_ALWAYS: Final = (*ABOUT_CONNECTION, "fast", "allow_busy")
_ROWS: Final = (
    _connection(
        *("ping", -1, _ping, "PONG, or what is sent with it", "[<message>]"),
        flags=("fast",),
        tips=("request_policy:all_shards", "response_policy:all_succeeded"),
    ),
    _connection("echo", 2, _echo, "What is sent with it", "<message>", flags=_FAST),
    _connection(
        *("select", 2, _select, "Take database 0, which is the only one", "<index>"), flags=_FAST
    ),
    _connection(
        *("quit", -1, _quit, "Have the server hang up", "[<word> ...]"),
        flags=(*ABOUT_CONNECTION, "fast", "no_auth", "allow_busy"),
    ),
    _connection(
        *("readonly", 1, _readonly, "Read what this node has, which may be old"),
        flags=_FAST,
        group="cluster",
    ),
    _connection(
        *("readwrite", 1, _readwrite, "Read what a majority confirms again"),
        flags=_FAST,
        group="cluster",
    ),
    _transaction("multi", 1, _multi, "Refused, as there are no transactions", flags=_ALWAYS),
    _transaction(
        *("exec", 1, _exec, "End a refused MULTI"), flags=(*ABOUT_CONNECTION, "skip_slowlog")
    ),
    _transaction("discard", 1, _discard, "End a refused MULTI", flags=_ALWAYS),
    *client_command.ROWS,
    *info_command.ROWS,
    *cluster_command.ROWS,
    with_subcommands(
        Builtin(
            name="command",
            arity=-1,
            summary="About commands",
            group="server",
            flags=HANDSHAKE,
            categories=("connection",),
            tips=_ANY_ORDER,
            answer=_command,
        ),
        _ABOUT_COMMANDS,
    ),
    Builtin(
        name="scan",
        arity=-2,
        usage="<cursor> [MATCH <pattern>] [COUNT <count>] [TYPE <type>]",
        summary="Keys, page by page",
        group="generic",
        flags=("readonly",),
        categories=("keyspace",),
        tips=("nondeterministic_output", "request_policy:special"),
    ),
    Builtin(name="kv", arity=2, summary="A typed request", group="server", flags=("write",)),
    Builtin(name="raft", arity=-2, summary="A message of a peer", group="server", answer=_raft),
)
BUILTINS: Final = {row.name.upper().encode(): row for row in _ROWS}
_OWN: Final = ("kv", "raft")
"""For our own client and for peers."""
_KNOWN: Final[dict[str, Row]] = {
    row.name: row for row in (*commands.COMMANDS.values(), *_ROWS) if row.name not in _OWN
}
