"""All who are asked, by name.

Law: whoever is added here is heard in every test, and by `make etcd`.
"""

from __future__ import annotations

from .answers import Player
from .gateway import Gateway
from .naive import Naive


def voices(etcd: Gateway) -> dict[str, Player]:
    return {"etcd": etcd, "the model": Naive()}
