"""What the rows of requests say, and who has to decide something for each of them.

Law: a list of requests anywhere is made from the rows, or stands here, where a new request
is missed.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec
import pytest

from kvstore import api

PACKAGE = Path(api.__file__).parents[1]
NAMES = [request.__name__ for request in api.REQUESTS]
CLIENTS = (
    *("clients", "session_clients", "scan_clients", "shipped_clients", "pipeline_clients"),
    "txn_clients",
    *("operators", "member_operator", "backup_clients"),
)
SIMULATED = [f"sim/{name}.py" for name in CLIENTS]
WATCHING = {request.__name__ for request in api.WATCHING}
OF_NODES = {
    *("Status", "HandOver", "FetchBackup", "CheckReplicas", "Members"),
    *(change.__name__ for change in api.CHANGES),
    *WATCHING,
}

OF_LEASES = {"Grant", "Revoke", "KeepAlive", "TimeToLive", "Leases"}

OF_THE_PAST = {"Range", "History"}

DECIDED = {
    "its Redis command": (
        ["wire/commands.py", "wire/scan.py"],
        {"OpenSession", "Once", "DeleteRange", "Txn", *OF_NODES, *OF_THE_PAST, *OF_LEASES},
    ),
    "how the client asks for it": (
        [
            *("client/requests.py", "client/past.py", "client/transactions.py"),
            *("client/caller.py", "client/backup.py"),
            *("client/watch_requests.py", "client/following.py"),
        ],
        {"CancelWatch", *OF_LEASES},
    ),
    "whether the simulator's clients ask for it": (
        SIMULATED,
        {"Status", "CheckReplicas", *WATCHING, *OF_THE_PAST, *OF_LEASES},
    ),
    "its words in the simulator's film": (
        ["sim/film_words.py"],
        {"Count", *OF_NODES, *OF_THE_PAST, *OF_LEASES},
    ),
    "whether it has a share for each of its keys": (
        ["sim/checkers/shares.py"],
        {
            "OpenSession",
            "Once",
            "Scan",
            "Count",
            "DeleteRange",
            "Txn",
            *OF_NODES,
            *OF_THE_PAST,
            *OF_LEASES,
        },
    ),
}
"""What no row can say of a request: in which files it is decided, and for whom there is nothing."""


@pytest.mark.parametrize("what", DECIDED)
@pytest.mark.parametrize("name", NAMES)
def test_what_needs_a_decision_for_each_request_was_decided(name: str, what: str) -> None:
    files, without = DECIDED[what]
    text = "".join((PACKAGE / file).read_text() for file in files)
    is_there = f"api.{name}(" in text
    assert is_there != (name in without), f"{name}: decide {what}, in {files}, or say here: none"


def test_msgspec_reads_whatever_has_a_row_and_nothing_else() -> None:
    assert get_args(api.Request) == api.REQUESTS == tuple(row.request for row in api.ROWS)
    assert get_args(api.Command) == api.COMMANDS
    assert get_args(api.Query) == api.QUERIES
    assert get_args(api.Write) == api.WRITES == tuple(row.request for row in api.WRITE_ROWS)
    plain = [write for write in api.WRITES if not api.COMMAND_ROW_OF[write].needs_time]
    assert get_args(api.Logged) == (*plain, api.Stamped)
    assert get_args(api.Result) == api.RESULTS


@pytest.mark.parametrize("kind", [*api.REQUESTS, *api.RESULTS], ids=lambda kind: kind.__name__)
def test_whatever_has_a_row_has_a_tag_and_says_what_it_is(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.tag
    assert kind.__doc__


def test_no_request_carries_what_nodes_alone_write() -> None:
    """A client that could send one could end the leases of others."""
    for internal in (api.Renew((1,)), api.Pass(1)):
        encoded = msgspec.msgpack.encode(internal)
        msgspec.msgpack.decode(msgspec.msgpack.encode(api.Stamped(1, internal)), type=api.Logged)
        for kind in (api.Request, api.Command, api.Write):
            with pytest.raises(msgspec.ValidationError):
                msgspec.msgpack.decode(encoded, type=kind)


def test_only_writes_have_a_guard() -> None:
    assert {one for one in api.REQUESTS if "guard" in one.__struct_fields__} == {*api.WRITES}


PUT, ADD = api.Put(b"k", b"v"), api.Increment(b"k", 1)


@pytest.mark.parametrize(
    "command", [PUT, api.OpenSession(), api.Once(1, 1, PUT), api.Grant(1_000), api.Revoke(1)]
)
def test_the_log_holds_a_command_with_the_time_where_it_needs_it_and_there_alone(
    command: api.Command,
) -> None:
    stamped = msgspec.msgpack.encode(api.Stamped(1, command))
    plain = msgspec.msgpack.encode(command)
    read, refused = (stamped, plain) if is_timed(command) else (plain, stamped)
    msgspec.msgpack.decode(read, type=api.Logged)
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(refused, type=api.Logged)


def is_timed(command: api.Command) -> bool:
    """Sessions and leases end by the time; what a plain write does, it does at any time."""
    return isinstance(command, api.OpenSession | api.Once | api.Grant | api.Revoke)


def test_a_command_changes_one_key_where_its_row_says_so() -> None:
    writes = [PUT, api.PutMany(((b"k", b"v"),) * 2), api.Delete((b"k",) * 2), ADD]
    writes += [api.DeleteRange(b"k", b"l"), api.Txn((), (PUT, PUT))]
    writes += [api.Grant(1_000), api.Revoke(1)]
    commands = [*writes, api.OpenSession(), api.Once(1, 1, PUT)]
    assert {type(command) for command in commands} == {*api.COMMANDS}
    for command in commands:
        row = api.COMMAND_ROW_OF[type(command)]
        extent = row.extent(command)
        changes_one = extent.puts + extent.deletes == 1 and not row.changes_sessions
        assert changes_one == row.is_of_one_key, command


def test_a_guard_stands_behind_all_else_that_a_write_says() -> None:
    """It is one for all writes, and what was logged without it reads the same."""
    assert {write.__struct_fields__[-1] for write in api.WRITES} == {"guard"}
