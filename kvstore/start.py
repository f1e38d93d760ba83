"""Where the program begins: it holds signals back while its modules load.

Law: no signal ends the program halfway through its imports, by a traceback or without a word.
What comes meanwhile is heard as soon as there is somebody to hear it: `serve` takes it for what
it is to a node, and to all other commands it is what it is to any program.

It imports nothing before it holds signals but what that takes.
"""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Run the command line of this process; the exit code."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    from kvstore.cli import main as cli
    from kvstore.exit_codes import INTERRUPTED

    try:
        if not cli.is_for_node(sys.argv[1:]):
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return cli.main()
    except KeyboardInterrupt:
        return INTERRUPTED
