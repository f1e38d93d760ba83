"""The deterministic state machine: it turns log entries into data and results.

Law: the same entries in the same order give the same bytes on every node. It
knows a `View` of keys and records, never a medium, a clock or a peer.
"""
