"""Tests of the Raft core, in memory: no socket, no disk, no clock."""
