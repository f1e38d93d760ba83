"""Chaos on real processes: each node has its own network and its own disk, and loses both.

Law: whatever a run makes on this machine (processes, namespaces, mounts, firewall rules)
carries its process id in its name and is gone when it ends, however it ends. A fault
must be seen to bite before it counts.
"""
