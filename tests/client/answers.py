"""Answers that scripted nodes give."""

from __future__ import annotations

from scripted_node import status_of

from kvstore import api

FOO = api.KeyValue(b"foo", b"bar", create_revision=1, mod_revision=2, version=2)
FOUND = api.GetResult(revision=2, items=(FOO,))
STATUS = status_of(1)
