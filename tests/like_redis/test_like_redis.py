"""Every script is played to this store and to Redis, in RESP2 and in RESP3."""

from __future__ import annotations

import pytest

from .cases import Case
from .servers import Redis, Server
from .table import CASES

pytestmark = pytest.mark.process


@pytest.mark.parametrize("case", CASES, ids=str)
def test_it_replies_as_redis_does_or_differs_for_the_reason_that_is_told(
    case: Case, store: Server, redis: Redis, redis_cluster: Redis
) -> None:
    redis = redis_cluster if case.in_cluster else redis
    ours, theirs = store.play(case), redis.play(case)
    if case.reason:
        assert ours != theirs, "the difference is no more: take its reason away"
    elif case.version and redis.version < tuple(map(int, case.version.split("."))):
        for protocol, null in ((2, "$nil"), (3, "_")):
            wanted = f"{case.replies} goes on".replace("nil", null)
            assert " ".join(ours[protocol]) == wanted
    else:
        assert ours == theirs
