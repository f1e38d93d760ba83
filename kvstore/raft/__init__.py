"""Pure Raft consensus, after Ongaro and Ousterhout, "In Search of an Understandable
Consensus Algorithm" (2014); § numbers in this part are that paper's.

Law: no clock, socket, file, log call or global randomness. Time and chance come
in as arguments, effects go out as values, so that the same core runs in
production and under a simulator.
"""
