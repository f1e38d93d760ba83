"""`kvstore txn`: a transaction that a person types, or a program writes.

Law: one request, made of all lines of standard input. What the lines mean is `txn_words.py`'s
business.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from kvstore import api
from kvstore.cli import render
from kvstore.cli.asking import with_client
from kvstore.cli.options import Command
from kvstore.cli.standard_input import read_all
from kvstore.cli.txn_words import parse
from kvstore.client.blocking import Client
from kvstore.exit_codes import DONE, NOT_FOUND


@click.command(cls=Command, short_help="Compare, and change several keys, in one step.")
@with_client
def txn(client: Client, as_json: bool) -> int:
    """Carry out the transaction that standard input describes: whole, or not at all.

    \b
    Each line is a comparison, or what to do if all of them hold, or if not:
      if mod lock = 17              version, create, mod or value; = != < >
      if version --prefix job/ = 0  for all keys that begin so
      then put lock me              put KEY VALUE, get KEY..., delete KEY
      then delete --prefix job/
      else get lock

    A key that does not exist has the numbers 0. Words are parted as by a shell; a # begins a
    comment. The first line that is printed tells which branch was taken; then comes a line for
    each of its operations, a get one for each key. The exit code is 1 where a comparison
    does not hold.
    """
    request = parse(
        os.fsdecode(read_all("transaction", "write it to standard input", is_asked_for=True))
    )
    result = client.execute(request)
    assert isinstance(result, api.TxnResult | api.Repeated)
    if as_json:
        click.echo(render.json_line(_fields(result)))
    else:
        branch = "then" if result.succeeded else "else"
        click.echo(f"{branch} (revision {result.revision})")
        for line in _lines(request, result):
            click.echo(line)
    return DONE if result.succeeded else NOT_FOUND


def _fields(result: api.TxnResult | api.Repeated) -> dict[str, object]:
    fields: dict[str, object] = {"succeeded": result.succeeded, "revision": result.revision}
    if isinstance(result, api.TxnResult):
        fields["results"] = [_result_fields(one) for one in result.results]
    return fields


def _result_fields(result: api.Result) -> dict[str, object]:
    match result:
        case api.DeleteResult(deleted=deleted):
            return {"deleted": deleted}
        case api.GetResult(items=items):
            return {"items": [item and render.record_fields(item) for item in items]}
        case _:
            return {"written": True}


def _lines(request: api.Txn, result: api.TxnResult | api.Repeated) -> Iterator[str]:
    if isinstance(result, api.Repeated):
        yield "what was read is not told: it had to be asked for twice, and was too long to be kept"
        return
    branch = request.then if result.succeeded else request.otherwise
    for operation, told in zip(branch, result.results, strict=True):
        match operation, told:
            case api.Get(keys=keys), api.GetResult(items=items):
                for key, item in zip(keys, items, strict=True):
                    there = "not found" if item is None else render.shown(item.value)
                    yield f"{render.shown(key)}\t{there}"
            case _, api.DeleteResult(deleted=deleted):
                yield f"deleted {deleted}"
            case _:
                yield "OK"
