"""Random sequences of requests, played to a real etcd, to a naive model and to this store.

Law: all of them answer alike, or there is a reason that `differences.py` tells.
"""
