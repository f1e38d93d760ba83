"""What `kvstore serve` is told: limits, settings, and where they are given.

Law: what comes from a command line, an environment variable or a file is checked here,
once, and refused with a `ConfigError` that says how to mend it.
"""
