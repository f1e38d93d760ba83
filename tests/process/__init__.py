"""Tests on real processes, real sockets and a real disk.

Law: every wait polls a condition against a deadline, and every process that a test
starts is ended by its id, whatever became of the test.
"""
