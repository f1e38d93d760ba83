"""Run seeds until one breaks a promise: says which, and exits 42; exits 0 if none does.

Two numbers: how many seeds, and which of them comes first. Run with PYTHONPATH set to a
copy of the product; it must not be taken from elsewhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

import kvstore
from kvstore.sim.run import run
from kvstore.sim.scenario import scenario

assert Path(kvstore.__file__).parents[1] == Path.cwd(), "the hunt is on for another version"

count, first = map(int, sys.argv[1:])
for seed in (first, *(other for other in range(count) if other != first)):
    report = run(scenario(seed))
    if report.violation is not None:
        print(f"simulator, seed {seed}: {report.theorem}")
        sys.exit(42)
