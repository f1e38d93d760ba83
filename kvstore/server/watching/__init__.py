"""Who is told of changes: one node's watches, from their ranges to what is said of each.

Law: a watch is told of every change of its range from its start on, once, in the order of
revisions; or that it cannot be, and from where on it could.
"""
