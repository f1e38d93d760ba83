"""Answers that scripted nodes give."""

from __future__ import annotations

import os
import signal
import time

from scripted_node import status_of

from kvstore import api

FOO = api.KeyValue(b"foo", b"bar", create_revision=1, mod_revision=2, version=2)
FOUND = api.GetResult(revision=2, items=(FOO,))
STATUS = status_of(1)


def interrupt() -> api.Result:
    """Ctrl-C while the client waits for the answer."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.05)  # the reply is late by nature, whatever the client does meanwhile
    return api.PutResult(1, True)
