"""What is kept: two LMDB environments and a file in one data directory, and an honest double.

Law: persist, then return. Only the `lmdb_*` files import lmdb; `base` is all
that other rooms may see of this one.
"""
