"""The command line: options in, lines and an exit code out.

Law: no logic of its own. The commands wire what the other rooms do.
"""
