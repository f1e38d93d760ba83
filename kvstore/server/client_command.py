"""HELLO and CLIENT: who is connected, under which name, and in which version of RESP.

Law: what a client says of itself never forges a line of CLIENT LIST. Peers, and those
that came when there were enough, are no clients and are not listed.
"""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from kvstore import api
from kvstore.server.client_state import ClientState
from kvstore.server.subcommands import (
    ABOUT_CONNECTION,
    FOR_ADMINISTRATORS,
    Builtin,
    builtin,
    with_subcommands,
)
from kvstore.server.view import Listed, ServerView
from kvstore.wire import resp
from kvstore.wire.catalogue import Arguments
from kvstore.wire.commands import CommandError

REDIS_VERSION: Final = "7.4.0"
"""The Redis whose command semantics this server follows, for clients that ask."""
_PRINTABLE: Final = re.compile(rb"[!-~]{0,128}")
_BAD_NAME: Final = (
    "ERR Client names cannot contain spaces, newlines or special characters, "
    "or be longer than 128 bytes"
)
_NO_AUTH: Final = "ERR this server has no users or passwords; connect without AUTH"
_LINE_STEPS: Final = 10
"""What a line of CLIENT LIST costs beside its bytes."""
_LOOKS_PER_STEP: Final = 4
"""So many clients are looked at in a step, to see which are listed."""
_TYPES: Final = (b"NORMAL", b"MASTER", b"REPLICA", b"SLAVE", b"PUBSUB")


def _hello(state: ClientState, view: ServerView, args: Arguments) -> bytes:
    version = state.resp_version
    if len(args) > 1:
        asked = api.parse_integer(args[1])
        if asked is None:
            raise CommandError("ERR Protocol version is not an integer or out of range")
        if asked not in (2, 3):
            raise CommandError("NOPROTO unsupported protocol version; use 2 or 3")
        version = asked
    state.name = _name_of_hello(args[2:], state.name)
    state.resp_version = version
    return resp.mapping(
        [
            (resp.bulk(b"server"), resp.bulk(b"kvstore")),
            (resp.bulk(b"version"), resp.bulk(REDIS_VERSION.encode())),
            (resp.bulk(b"proto"), resp.integer(version)),
            (resp.bulk(b"id"), resp.integer(state.number)),
            (resp.bulk(b"mode"), resp.bulk(b"standalone")),
            (resp.bulk(b"role"), resp.bulk(b"master" if view.leads else b"replica")),
            (resp.bulk(b"modules"), resp.array([])),
        ],
        version,
    )


def _name_of_hello(options: Arguments, name: bytes) -> bytes:
    """What SETNAME says, otherwise `name`. Raises `CommandError`, for AUTH too."""
    position, has_auth = 0, False
    while position < len(options):
        option, left = options[position].upper(), len(options) - position - 1
        if option == b"SETNAME" and left >= 1:
            name = _checked_name(options[position + 1])
            position += 2
        elif option == b"AUTH" and left >= 2:
            has_auth = True
            position += 3
        else:
            shown = option[:128].decode("utf-8", "replace")
            raise CommandError(f"ERR Syntax error in HELLO option '{shown}'")
    if has_auth:
        raise CommandError(_NO_AUTH)
    return name


def _checked_name(name: bytes) -> bytes:
    if not _PRINTABLE.fullmatch(name):
        raise CommandError(_BAD_NAME)
    return name


# --- CLIENT -------------------------------------------------------------------------------


def _set_name(state: ClientState, _view: ServerView, args: Arguments) -> bytes:
    state.name = _checked_name(args[2])
    return resp.OK


def _get_name(state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    return resp.bulk(state.name) if state.name else resp.null(state.resp_version)


def _set_info(state: ClientState, _view: ServerView, args: Arguments) -> bytes:
    attribute = args[2].upper()
    if attribute not in (b"LIB-NAME", b"LIB-VER"):
        shown = args[2][:128].decode("utf-8", "replace")
        raise CommandError(f"ERR Unrecognized option '{shown}'")
    if not _PRINTABLE.fullmatch(args[3]):
        raise CommandError(
            f"ERR {attribute.decode()} cannot contain spaces, newlines or special characters, "
            "or be longer than 128 bytes"
        )
    state.library[attribute.decode().lower()] = args[3].decode()
    state.follows_moved = True
    return resp.OK


def _id(state: ClientState, _view: ServerView, _args: Arguments) -> bytes:
    return resp.integer(state.number)


def _switch(_state: ClientState, _view: ServerView, args: Arguments) -> bytes:
    """Of no effect: nobody is evicted, nor is it noted who touches a key."""
    if args[2].upper() not in (b"ON", b"OFF"):
        raise CommandError("ERR syntax error")
    return resp.OK


def _info(state: ClientState, view: ServerView, _args: Arguments) -> bytes:
    return resp.verbatim(_line_of(view.doorkeeper.client(state.number)), state.resp_version)


def _list(state: ClientState, view: ServerView, args: Arguments) -> bytes:
    listed = _listed(view, args)
    looked_at = view.doorkeeper.connections_count // _LOOKS_PER_STEP
    state.steps += looked_at + len(listed) * _LINE_STEPS
    return resp.verbatim("".join(map(_line_of, listed)), state.resp_version)


def _listed(view: ServerView, args: Arguments) -> list[Listed]:
    """All clients, or those of a type, or those of some numbers, as they are asked for."""
    clients = view.doorkeeper.clients
    if len(args) == 2:
        return [*clients.values()]
    option = args[2].upper()
    if option == b"TYPE" and len(args) == 4:
        if (kind := args[3].upper()) not in _TYPES:
            shown = args[3][:128].decode("utf-8", "replace")
            raise CommandError(f"ERR Unknown client type '{shown}'")
        return [*clients.values()] if kind == b"NORMAL" else []
    if option == b"ID" and len(args) > 3:
        numbers = [*map(api.parse_integer, args[3:])]
        if None in numbers:
            raise CommandError("ERR Invalid client ID")
        return [clients[number] for number in filter(None, numbers) if number in clients]
    raise CommandError("ERR syntax error")


def _line_of(client: Listed) -> str:
    """One line of CLIENT LIST."""
    socket, state = client.socket_facts(), client.state
    library = state.library
    return (
        f"id={state.number} addr={state.address} laddr={socket.local_address} "
        f"fd={socket.descriptor} name={state.name.decode()} "
        f"age={client.age_ms // 1000} idle={socket.idle_ms // 1000} "
        f"flags={'r' if state.reads_stale else 'N'} db=0 sub=0 psub=0 multi=-1 "
        f"qbuf={client.input_bytes} oll={client.places} "
        f"omem={client.output_bytes} resp={state.resp_version} "
        f"lib-name={library.get('lib-name', '')} lib-ver={library.get('lib-ver', '')}\n"
    )


_subcommand: Final = partial(
    builtin, group="connection", flags=ABOUT_CONNECTION, categories=("connection",)
)
_TELLS_NEWS: Final = ("nondeterministic_output",)
_CLIENT: Final = (
    _subcommand("client|getname", 2, _get_name, "The name of this connection"),
    _subcommand("client|id", 2, _id, "The number of this connection"),
    _subcommand(
        "client|info", 2, _info, "What CLIENT LIST says of this connection", tips=_TELLS_NEWS
    ),
    _subcommand(
        *("client|list", -2, _list, "One line for each client that is connected"),
        flags=FOR_ADMINISTRATORS,
        usage="[TYPE (NORMAL | MASTER | REPLICA | PUBSUB) | ID <id> ...]",
        tips=_TELLS_NEWS,
    ),
    _subcommand(
        *("client|no-evict", 3, _switch, "Of no effect, as no client is evicted"),
        flags=FOR_ADMINISTRATORS,
        usage="(ON | OFF)",
    ),
    _subcommand(
        *("client|no-touch", 3, _switch, "Of no effect, as it is not noted who reads a key"),
        usage="(ON | OFF)",
    ),
    _subcommand(
        *("client|setinfo", 4, _set_info, "Say which library the client uses"),
        usage="(LIB-NAME | LIB-VER) <value>",
    ),
    _subcommand("client|setname", 3, _set_name, "Name this connection", usage="<name>"),
)
ROWS: Final = (
    Builtin(
        name="hello",
        arity=-1,
        usage="[<protover> [SETNAME <name>]]",
        summary="Choose the version of the protocol, and say who the server is",
        group="connection",
        flags=(*ABOUT_CONNECTION, "fast", "no_auth", "allow_busy"),
        categories=("connection",),
        answer=_hello,
    ),
    with_subcommands(
        Builtin(name="client", arity=-2, summary="About connections", group="connection"), _CLIENT
    ),
)
