"""What clients wait for, one file each kind.

Law: whoever waits leaves once, with one answer: what came of it, or that it took too long, or
that the node stops. A kind of waiting is one more file here, and one more of `Node`'s kinds.
Watches are none: nobody who watches leaves with one answer (`server/watching/`).
"""
