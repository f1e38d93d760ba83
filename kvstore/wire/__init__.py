"""Bytes <-> typed values: RESP framing, Redis commands, typed requests, peer messages.

Law: pure. Everything from outside is bounded and validated here, and refused
with `ProtocolError` or a `Failure` that says what to do.
"""
