"""Answers that scripted nodes give."""

from __future__ import annotations

from kvstore import api

FOO = api.KeyValue(b"foo", b"bar", create_revision=1, mod_revision=2, version=2)
FOUND = api.GetResult(revision=2, items=(FOO,))
STATUS = api.StatusResult(
    node_id=1,
    cluster_id="c",
    incarnation="i",
    role="leader",
    term=1,
    voted_for=1,
    leader_id=1,
    leader_address="127.0.0.1:9001",
    commit_index=3,
    last_applied=3,
    last_log_index=3,
    revision=2,
    keys=1,
    members={1: "127.0.0.1:9001"},
    match_index={1: 3},
)
