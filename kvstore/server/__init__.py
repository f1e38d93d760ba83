"""The running node: consensus, storage and state machine behind sockets.

Law: persist, then speak. `node` drives one turn without sockets; `loop` owns the
selector, the signals and the only clock.
"""
