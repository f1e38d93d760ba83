"""Settings, made of text."""

from __future__ import annotations

from collections.abc import Mapping

from kvstore.address import Address
from kvstore.config.settings import Settings, settings_from


def build(environ: Mapping[str, str] = {}, /, **options: str) -> Settings:
    return settings_from(options, environ)


def local(*ports: int, host: str = "127.0.0.1") -> dict[int, Address]:
    return {rank: Address(host, port) for rank, port in enumerate(ports, start=1)}
