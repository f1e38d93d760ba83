"""By what directories are told apart: the log keeps its own starts, whatever happens to it."""

from __future__ import annotations

import pytest

from kvstore.errors import DamagedError
from kvstore.raft.configuration import NOT_ADMITTED
from kvstore.raft.types import DurableUpdate, HardState
from kvstore.storage.base import Acquaintance
from kvstore.storage.records import START_BYTES
from storage.samples import commands, flip, make_node, open_node

KNOWN = Acquaintance(b"theirs!!", 7, "ab" * 16)


def test_every_start_is_added_and_the_earlier_ones_stay(tmp_path):
    for start in (b"start 1.", b"start 2.", b"start 3."):
        open_node(tmp_path, start=start).close()
    directory = open_node(tmp_path, start=b"start 4.")
    assert directory.lineage.starts == b"start 1.start 2.start 3.start 4."
    directory.close()


def test_the_list_of_starts_is_bounded(tmp_path):
    directory = open_node(tmp_path)
    for number in range(1_100):
        directory.log.add_start(number.to_bytes(START_BYTES, "big"))
    directory.close()
    directory = open_node(tmp_path, start=b"the last")
    assert len(directory.lineage.starts) == 1_024 * START_BYTES
    assert directory.lineage.starts.endswith(b"the last")
    directory.close()


def test_what_is_known_of_peers_outlasts_a_restart(tmp_path):
    directory = open_node(tmp_path)
    directory.lineage.remember(2, Acquaintance(b"earlier!", 0, "cd" * 16))
    directory.lineage.remember(3, KNOWN)
    directory.lineage.remember(2, KNOWN)
    directory.close()
    directory = open_node(tmp_path)
    assert directory.lineage.known == {2: KNOWN, 3: KNOWN}
    directory.close()


def test_a_salvaged_log_keeps_them(tmp_path):
    make_node(tmp_path, commands(1, 400, 1))
    directory = open_node(tmp_path, start=b"start 1.")
    directory.lineage.remember(2, KNOWN)
    directory.close()
    data = tmp_path / "raft" / "data.mdb"
    flip(data, data.read_bytes().rindex(b"command 200 of") // 4096 * 4096)
    directory = open_node(tmp_path, start=b"start 2.")
    assert directory.notes
    assert directory.lineage.known == {2: KNOWN}
    assert directory.lineage.starts.endswith(b"start 1.start 2.")
    directory.close()


def test_a_lost_page_of_the_starts_is_not_taken_for_an_empty_list(tmp_path):
    """Who forgot them would be refused by its peers, and could not know why."""
    open_node(tmp_path, start=b"my start").close()
    data = tmp_path / "raft" / "data.mdb"
    content = data.read_bytes()
    at = content.find(b"my start")
    while at >= 0:
        flip(data, at // 4096 * 4096)
        at = content.find(b"my start", at // 4096 * 4096 + 4096)
    before = data.read_bytes()
    with pytest.raises(DamagedError, match=r"cannot be told.*--join"):
        open_node(tmp_path)
    assert data.read_bytes() == before


def test_an_older_copy_of_the_log_has_the_starts_of_then(tmp_path):
    """Beside a newer file of peers, too: so its peers, which saw a later start, refuse it."""
    open_node(tmp_path, start=b"start 1.").close()
    data = tmp_path / "raft" / "data.mdb"
    older = data.read_bytes()
    directory = open_node(tmp_path, start=b"start 2.")
    directory.lineage.remember(2, KNOWN)
    directory.close()
    data.write_bytes(older)
    directory = open_node(tmp_path, start=b"start 3.")
    assert directory.lineage.starts == b"start 1.start 3."
    assert directory.lineage.known == {2: KNOWN}
    directory.close()


def test_a_directory_that_joins_begins_without_a_vote(tmp_path):
    directory = open_node(tmp_path, joins=True)
    assert directory.log.recover().hard_state == HardState(0, None, NOT_ADMITTED)
    directory.close()
    open_node(tmp_path, joins=True).close()
    directory = open_node(tmp_path)
    assert not directory.log.recover().hard_state.is_voter, "it waits, however it is started"
    directory.log.write(DurableUpdate(HardState(3, 2, 9)))
    directory.close()
    directory = open_node(tmp_path, joins=True)
    assert directory.log.recover().hard_state == HardState(3, 2, 9), "once admitted, it stays"
    directory.close()


def test_a_directory_in_use_joins_nothing(tmp_path):
    """A supervisor may go on saying so for ever."""
    make_node(tmp_path, commands(1, 4, 1))
    directory = open_node(tmp_path, joins=True)
    assert directory.log.last_index == 3
    assert directory.log.recover().hard_state.admitted_at == 0
    directory.close()
