"""A watch over real sockets: what scripted nodes push, and who waits for it."""

from __future__ import annotations

import os
import threading

import pytest
from scripted_node import ClosedPort, ScriptedNode, bulk

from kvstore import api
from kvstore.client import following
from kvstore.client.blocking import Client
from kvstore.client.following import WatchBatch
from kvstore.errors import CompactedError, ConfigError, RefusedError, UnreachableError

NOW = api.GetResult(4, ())


def put(revision: int, key: bytes = b"a") -> api.Event:
    return api.Event(key, api.KeyValue(key, b"v", 1, revision, 1))


def told(*revisions: int, start: int = 5) -> bytes:
    """That the watch has begun, and events of these revisions, one behind the other."""
    events = [bulk(api.WatchEvents((1,), revision, (put(revision),))) for revision in revisions]
    return bulk(api.WatchCreated(1, start)) + b"".join(events)


def test_it_begins_behind_all_that_is_acknowledged() -> None:
    with ScriptedNode(NOW, told(6, 8)) as node, Client(node.address) as client:
        watch = client.watch(prefix="a")
        assert [next(watch), next(watch)] == [WatchBatch(6, (put(6),)), WatchBatch(8, (put(8),))]
        assert watch.next_revision == 9
        [asked] = [one for one in node.requests if isinstance(one, api.CreateWatch)]
        assert asked == api.CreateWatch(1, b"a", b"b", 5, needs_leader=True)


def test_a_node_that_hangs_up_is_followed_by_another_one() -> None:
    first = ScriptedNode(told(6))
    with (
        ScriptedNode(told(7, start=7)) as second,
        Client([first.address, second.address]) as client,
    ):
        watch = client.watch("a", start_revision=5)
        assert next(watch).revision == 6
        first.close()
        assert next(watch).revision == 7
        [asked] = second.requests
        assert isinstance(asked, api.CreateWatch)
        assert asked.start_revision == 7
        watch.close()


def test_who_waits_in_another_thread_waits_no_longer_when_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(following, "_SILENCE_S", 600.0)
    with ScriptedNode(told(6)) as node, Client(node.address) as client:
        watch, taken = client.watch("a", start_revision=5), list[WatchBatch]()
        first = threading.Event()

        def take() -> None:
            for batch in watch:
                taken.append(batch)
                first.set()

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        assert first.wait(60)
        watch.close()
        thread.join(30)
        assert not thread.is_alive()
        assert [batch.revision for batch in taken] == [6]
        assert list(watch) == []


def test_the_connection_ends_with_the_watch() -> None:
    with ScriptedNode(told(6)) as node, Client(node.address) as client:
        with client.watch("a", start_revision=5) as watch:
            next(watch)
        assert node.hung_up.wait(60)


def test_a_client_goes_on_beside_its_watches() -> None:
    with ScriptedNode(told(6), NOW) as node, Client(node.address) as client:
        with client.watch("a", start_revision=5) as watch:
            next(watch)
            assert client.execute(api.Get(())) == NOW
        assert node.connections == 2


def test_what_is_not_kept_ends_it_with_the_revision_that_is() -> None:
    gone = api.Failure(api.FailureCode.COMPACTED, "begin at 9", compacted=9)
    with ScriptedNode(gone) as node, Client(node.address) as client:
        watch = client.watch("a", start_revision=5)
        with pytest.raises(CompactedError, match="begin at 9") as caught:
            next(watch)
        assert caught.value.floor == 9
        assert list(watch) == []


@pytest.mark.usefixtures("skipped_pauses")
def test_with_patience_it_gives_up_and_says_where_to_go_on() -> None:
    with ClosedPort() as nobody, Client(nobody.address) as client:
        watch = client.watch("a", start_revision=5, patience_s=0.2)
        with pytest.raises(UnreachableError, match="go on from 5"):
            next(watch)


def test_a_forked_child_has_none_of_its_parents_watches() -> None:
    with ScriptedNode(told(6)) as node, Client(node.address) as client:
        watch = client.watch("a", start_revision=5)
        if (child := os.fork()) == 0:
            code = 1
            try:
                next(watch)
            except RefusedError as error:
                code = 0 if error.code == "FORKED" else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert next(watch).revision == 6
        watch.close()


@pytest.mark.parametrize(
    ("options", "range_"),
    [
        ({}, (b"", api.FROM_KEY)),
        ({"key": "a"}, (b"a", None)),
        ({"key": "a", "end": "c"}, (b"a", b"c")),
        ({"prefix": "a"}, (b"a", b"b")),
        ({"prefix": b"\xff"}, (b"\xff", api.FROM_KEY)),
        ({"prefix": ""}, (b"", api.FROM_KEY)),
    ],
)
def test_ranges(options: dict[str, str], range_: tuple[bytes, bytes | None]) -> None:
    with ScriptedNode(told(6)) as node, Client(node.address) as client:
        with client.watch(**options, start_revision=5) as watch:  # type: ignore[arg-type]
            next(watch)
        [asked] = node.requests
        assert isinstance(asked, api.CreateWatch)
        assert (asked.key, asked.range_end) == range_


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"key": "a", "prefix": "b"}, ConfigError, "either a prefix"),
        ({"end": "a"}, ConfigError, "an end goes with"),
        ({"key": "b", "end": "a"}, RefusedError, "behind its beginning"),
        ({"puts": False, "deletes": False}, ConfigError, "told nothing"),
        ({"patience_s": 0}, ConfigError, "more than 0"),
        ({"patience_s": "1"}, TypeError, "number of seconds"),
        ({"key": "k" * 1_000}, RefusedError, "the limit is"),
        ({"start_revision": -1}, RefusedError, "starts at revision"),
        ({"start_revision": "1"}, TypeError, "revision"),
        ({"key": 7}, TypeError, "keys"),
        ({"progress": 1}, TypeError, "progress"),
    ],
)
def test_what_cannot_be_watched_is_refused_at_once(
    options: dict[str, object], kind: type[Exception], said: str
) -> None:
    with ScriptedNode() as node, Client(node.address) as client:
        with pytest.raises(kind, match=said):
            client.watch(**options)  # type: ignore[arg-type]
        assert node.requests == []


def test_a_request_to_watch_is_none_for_the_connection_of_requests() -> None:
    """Nothing else could be asked on it from then on."""
    with ScriptedNode() as node, Client(node.address) as client:
        with pytest.raises(ConfigError, match="watch"):
            client.execute(api.CreateWatch(1, b"a"))
        assert node.requests == []
