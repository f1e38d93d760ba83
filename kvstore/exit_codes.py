"""Exit codes of `kvstore`, by which scripts tell outcomes apart.

Law: one code for each thing that a caller may do next.
"""

from __future__ import annotations

from typing import Final

DONE: Final = 0
NOT_FOUND: Final = 1
DEGRADED: Final = 1
"""Of status: writes are taken, but something is to be done."""
DIFFER: Final = 1
"""Of check: nodes do not hold the same."""
NOT_READY: Final = 1
"""Of health."""
USAGE: Final = 2
REFUSED: Final = 3
NO_WRITES: Final = 3
"""Of status."""
UNKNOWN: Final = 4
UNREACHABLE: Final = 5
BROKEN: Final = 70
"""As sysexits.h has it: a mistake of the program, or a promise of Raft that does not hold."""
STREAM_FAILED: Final = 74
"""As sysexits.h has it: the disk behind standard output is full, or the like."""
INTERRUPTED: Final = 130
"""As the shell reports a process that Ctrl-C ended."""
PIPE_CLOSED: Final = 141
"""As the shell reports a process that wrote to a closed pipe."""
