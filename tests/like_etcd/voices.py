"""Who is asked beside whom, by name.

Law: etcd and the model are asked everything, this store all that it can be asked, and whoever
is asked the same answers alike.
"""

from __future__ import annotations

from .answers import Player
from .gateway import Gateway
from .naive import Naive
from .ours import Machine, is_there
from .steps import Sequence


def beside_etcd(etcd: Gateway) -> dict[str, Player]:
    return {"etcd": etcd, "the model": Naive()}


def beside_the_model() -> dict[str, Player]:
    return {"the model": Naive(), "this store": Machine()}


def as_far_as_it_is_there(steps: Sequence) -> Sequence:
    """Without what this store cannot be asked."""
    return tuple(filter(is_there, steps))
