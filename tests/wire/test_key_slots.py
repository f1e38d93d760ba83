"""The slots of keys, and the refusals that cluster clients follow, as Redis has them."""

from __future__ import annotations

import random

import pytest
from redis.crc import key_slot as slot_of_redis_py

from kvstore import api
from kvstore.wire import commands
from kvstore.wire.key_slots import key_slot, render_failure

NOT_LEADER = api.Failure(api.FailureCode.NOT_LEADER, "not leader, try node 2 at h:9002", "h:9002")


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"123456789", 0x31C3),  # Redis Cluster's specification; below SLOTS as it is.
        (b"foo", 12_182),
        (b"", 0),
        (b"{user1000}.following", key_slot(b"user1000")),
        (b"foo{{bar}}zap", key_slot(b"{bar")),
        (b"foo{bar}{zap}", key_slot(b"bar")),
    ],
)
def test_a_key_has_the_slot_that_redis_says(key: bytes, slot: int) -> None:
    assert key_slot(key) == slot


@pytest.mark.parametrize("key", [b"foo{}{bar}", b"foo{bar", b"foo}bar{", b"{}", b"{", b"}{"])
def test_braces_with_nothing_in_them_are_a_part_of_the_key(key: bytes) -> None:
    assert key_slot(key) == slot_of_redis_py(key)
    assert key_slot(key) != key_slot(key + b"x")


def test_clients_find_the_same_slots() -> None:
    rng = random.Random(1)
    for _ in range(2_000):
        key = bytes(rng.choices(b"{}ab\xff", k=rng.randrange(12)))
        assert key_slot(key) == slot_of_redis_py(key), key


@pytest.mark.parametrize(
    ("leader", "address"),
    [("10.0.0.2:9002", "10.0.0.2:9002"), ("[::1]:9002", "::1:9002"), ("h:1", "h:1")],
)
def test_a_key_that_another_node_serves_is_moved_there(leader: str, address: str) -> None:
    """An IPv6 address has no brackets: clients take what is behind the last colon for the port."""
    failure = api.Failure(
        api.FailureCode.NOT_LEADER, "not leader; the write was rolled back", leader
    )
    assert render_failure(12_182, failure) == f"-MOVED 12182 {address}\r\n".encode()


def test_without_a_key_clients_are_to_look_again_for_the_nodes() -> None:
    told = b"-CLUSTERDOWN not leader, try node 2 at h:9002\r\n"
    assert render_failure(None, NOT_LEADER) == told


@pytest.mark.parametrize("code", api.FailureCode)
@pytest.mark.parametrize("slot", [None, 7])
def test_no_other_refusal_is_told_as_one_that_is_worth_another_try(
    code: api.FailureCode, slot: int | None
) -> None:
    """A cluster client sends again what is moved, or met a cluster that is down."""
    told = render_failure(slot, api.Failure(code, "no"))
    if code in (api.FailureCode.NOT_LEADER, api.FailureCode.NO_LEADER):
        assert told == b"-CLUSTERDOWN no\r\n"
    else:
        assert told == commands.render_failure(api.Failure(code, "no"))
