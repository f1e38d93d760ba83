"""Run as a program: a story of starts on a directory, and after each step, what was promised.

A promise is one line of JSON; what is not in it may be lost. `[]` means: cut from here on.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from kvstore import api
from kvstore.address import Address
from kvstore.config.limits import Limits
from kvstore.config.settings import Settings
from kvstore.kv.view import Applied
from kvstore.raft.types import DurableUpdate, HardState, LogStart
from kvstore.server.node import Node
from kvstore.storage import records
from kvstore.storage.base import Acquaintance, Divergence
from kvstore.storage.directory import PEERS, RAFT, STATE, STATE_ASIDE, UNFINISHED, set_state_aside
from kvstore.storage.lmdb_log import LmdbLog
from kvstore.storage.lmdb_salvage import DAMAGED_FILE
from kvstore.storage.lmdb_state import LmdbState
from kvstore.storage.lmdb_successor import DIFFERING
from kvstore.storage.peers_file import PeersFile
from kvstore.storage.records import COPY_BYTES
from kvstore.storage.sizes import RUN_ENTRIES
from storage.samples import IDENTITY, MAP_BYTES, commands, flip, led, open_node

KEPT = (f"{STATE_ASIDE}/data.mdb", f"{DIFFERING}/data.mdb", f"{RAFT}/{DAMAGED_FILE}")
FIRST_ENTRIES = led(1, 300, 1, 1)


Promise = dict[str, Any]


def say(words: object) -> None:
    os.write(1, json.dumps(words).encode() + b"\n")


def promise(node: Any) -> Promise:
    """What peers may have been told, by a node whose stores are open."""
    found = node.log.recover()
    return {
        "incarnation": node.log.identity.incarnation,
        "hard_state": [
            found.hard_state.current_term,
            found.hard_state.voted_for,
            found.hard_state.admitted_at,
        ],
        "last_index": found.last_index,
        "damaged": list(found.damaged),
        "starts": node.lineage.starts.hex(),
        "known": {str(peer): repr(known) for peer, known in node.lineage.known.items()},
    }


def digest_of(path: Path) -> str | None:
    """Of what a file holds; None if there is no such file."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def kept(data_dir: Path) -> dict[str, str]:
    """What the operator was told to find beside the mended parts."""
    found = {name: digest_of(data_dir / name) for name in KEPT}
    return {name: digest for name, digest in found.items() if digest is not None}


def sync(path: Path) -> None:
    """Damage is as durable as what it damages."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def serve(data_dir: Path, number: int, *, joins: bool = False) -> Promise:
    """One start, what it takes from others, and its end."""
    node = open_node(
        data_dir, incarnation=f"{number:032x}", start=b"start%3d" % number, joins=joins
    )
    say({**promise(node), "kept": kept(data_dir)})
    found = node.log.recover()
    term, last = found.hard_state.current_term + 1, found.last_index
    hard_state = HardState(term, 1, found.hard_state.admitted_at)
    entries = commands(last + 1, last + 3, term) if last else FIRST_ENTRIES
    node.log.write(DurableUpdate(hard_state, None, entries))
    say({**promise(node), "kept": kept(data_dir)})
    node.lineage.remember(2, Acquaintance(b"other%3d" % number, 0, "2" * 32))
    say({**promise(node), "kept": kept(data_dir)})
    node.state.put(b"key", b"record of start %d" % number)
    node.state.commit(Applied(last + 1, last + 1))
    promised = promise(node)
    say(promised)
    node.close()
    return promised


# --- Stories ------------------------------------------------------------------------------


def first_start(data_dir: Path) -> None:
    say([])
    serve(data_dir, 1)
    serve(data_dir, 2)


def first_start_in_a_directory_that_somebody_made(data_dir: Path) -> None:
    data_dir.mkdir(parents=True)
    first_start(data_dir)


def first_start_by_joining(data_dir: Path) -> None:
    say([])
    serve(data_dir, 1, joins=True)
    serve(data_dir, 2, joins=True)


def creation_that_was_interrupted_twice(data_dir: Path) -> None:
    """What two killed processes left that never promised anything."""
    data_dir.mkdir(parents=True)
    say([])
    LmdbLog.create(data_dir / UNFINISHED, MAP_BYTES, IDENTITY)
    PeersFile.create(data_dir / UNFINISHED / PEERS, IDENTITY.incarnation)
    LmdbState.create(data_dir / STATE, MAP_BYTES, IDENTITY)
    shutil.rmtree(data_dir / STATE)
    LmdbState.create(data_dir / STATE, MAP_BYTES, IDENTITY)
    serve(data_dir, 1)
    serve(data_dir, 2)


def log_that_is_damaged_twice(data_dir: Path) -> None:
    promised = serve(data_dir, 1)
    say([])
    data = data_dir / RAFT / "data.mdb"
    for number, text in ((2, b"command 100 of"), (3, b"command 200 of")):
        del promised["damaged"]
        say(promised)
        flip(data, data.read_bytes().rindex(text) // 4096 * 4096)
        sync(data)
        promised = serve(data_dir, number)


def peers_that_are_damaged_twice(data_dir: Path) -> None:
    """First one of the two copies, then the other one."""
    promised = serve(data_dir, 1)
    say([])
    path = data_dir / RAFT / PEERS
    for number in (2, 3):
        say(promised)
        flip(path, (number - 2) * COPY_BYTES + 100)
        sync(path)
        promised = serve(data_dir, number)


def state_that_is_damaged_twice(data_dir: Path) -> None:
    serve(data_dir, 1)
    say([])
    for number in (2, 3):
        os.truncate(data_dir / STATE / "data.mdb", 5000 + number)
        sync(data_dir / STATE / "data.mdb")
        serve(data_dir, number)


def state_that_is_set_aside_while_it_runs_twice(data_dir: Path) -> None:
    serve(data_dir, 1)
    say([])
    for number in (2, 3):
        node = open_node(data_dir, start=b"start%3d" % number)
        words = promise(node)
        say(words)
        set_state_aside(data_dir)
        say({**words, "kept": kept(data_dir)})
        node.close()


def snapshot_that_is_installed_twice(data_dir: Path) -> None:
    """Over a state that is there, and over one that came by a snapshot itself."""
    serve(data_dir, 1)
    say([])
    for number in (2, 3):
        node = open_node(data_dir, start=b"start%3d" % number)
        words = {**promise(node), "last_applied": node.state.applied().last_applied}
        say(words)
        start = LogStart(1_000 * number, 2 * number)
        successor = node.state.begin_successor()
        for stored in (b"ka", b"kb", b"s" + bytes(8)):
            successor.put([(stored, records.encode_value(stored, b"%d" % number))])
        successor.finish(Applied(start.index, start.index))
        found = node.log.recover()
        truncate_from = found.start.index + 1 if found.last_index > found.start.index else None
        hard_state = HardState(start.term, 1)
        node.log.write(DurableUpdate(hard_state, truncate_from, start=start))
        words = {**promise(node), "last_applied": start.index}
        say(words)
        node.state.change_over(successor)
        say(words)
        node.log.write(
            DurableUpdate(None, None, commands(start.index + 1, start.index + 4, start.term))
        )
        node.state.put(b"c", b"after it")
        node.state.commit(Applied(start.index + 1, start.index + 1))
        say({**promise(node), "last_applied": start.index + 1})
        node.close()


def state_that_differs_is_replaced_twice(data_dir: Path) -> None:
    """What was replaced stays to be looked at, instead of the one before."""
    serve(data_dir, 1)
    say([])
    for number in (2, 3):
        node = open_node(data_dir, start=b"start%3d" % number)
        node.state.put(b"never committed", b"%d" % number)
        # Whoever was told of its divergence owes nothing more of what was applied.
        say(promise(node))
        divergence = Divergence(10 * number, bytes(32))
        node.state.record_divergence(divergence)
        say({**promise(node), "divergence": [repr(divergence), node.log.start.index]})
        start = LogStart(1_000 * number, 2 * number)
        successor = node.state.begin_successor()
        successor.put([(b"ka", records.encode_value(b"ka", b"%d" % number))])
        successor.finish(Applied(start.index, start.index))
        found = node.log.recover()
        truncate_from = found.start.index + 1 if found.last_index > found.start.index else None
        differs = digest_of(data_dir / STATE / "data.mdb")
        node.log.write(DurableUpdate(HardState(start.term, 1), truncate_from, start=start))
        words = {**promise(node), "divergence": ["None", start.index], "last_applied": start.index}
        say({**words, "differs": differs})
        node.state.change_over(successor)
        say({**words, "kept": {f"{DIFFERING}/data.mdb": differs}})
        node.close()


def node_that_drops_its_log(data_dir: Path) -> None:
    """A whole node, the only one of its cluster: it writes, applies, checkpoints and drops."""
    directory = open_node(data_dir, members=(1,))
    settings = Settings(
        node_id=1,
        members={1: Address("127.0.0.1", 9001)},
        cluster_id="local",
        data_dir=data_dir,
        checkpoint_interval_ms=100,
        limits=Limits(headroom_bytes=1 << 16),
        log_kept_bytes=1,
    )
    node = Node(settings, directory.log, directory.state, random.Random(1))
    now_ms = 0.0
    say([])
    for turn in range(60):
        now_ms += 50.0
        node.wake(now_ms)
        if turn in (30, 34, 38, 42):
            for number in range(RUN_ENTRIES):
                node.submit_command(api.Put(b"key %d" % (number % 9), b"%d" % turn), Claim())
        node.tick(now_ms)
        node.prepare()
        node.complete()
        # What its state holds for good, no log need tell again.
        last_applied = directory.state.applied().last_applied
        say({**promise(directory), "last_applied": last_applied, "kept": {}})
    assert directory.log.start.index > 2 * RUN_ENTRIES
    directory.close()


class Claim:
    """A ticket that nobody looks at."""

    def fill(self, result: api.Result) -> None:
        """It has an answer."""

    def takes_over(self, query: api.Query | api.NodeQuery) -> bool:
        """It waits."""
        return False


def one_more_start(root: Path, *, joins: bool = False) -> None:
    """On each of many directories, each named before."""
    for base in sorted(root.iterdir(), key=lambda path: int(path.name)):
        say(base.name)
        node = open_node(base / "deep" / "n1", incarnation="9" * 32, start=b"one more", joins=joins)
        say(promise(node))
        node.close()


def one_more_start_by_joining(root: Path) -> None:
    one_more_start(root, joins=True)


STORIES: tuple[Callable[[Path], None], ...] = (
    first_start,
    first_start_in_a_directory_that_somebody_made,
    first_start_by_joining,
    creation_that_was_interrupted_twice,
    log_that_is_damaged_twice,
    peers_that_are_damaged_twice,
    state_that_is_damaged_twice,
    state_that_is_set_aside_while_it_runs_twice,
    snapshot_that_is_installed_twice,
    state_that_differs_is_replaced_twice,
    node_that_drops_its_log,
)

if __name__ == "__main__":
    {one.__name__: one for one in (*STORIES, one_more_start, one_more_start_by_joining)}[
        sys.argv[1]
    ](Path(sys.argv[2]))
