"""kvstore: a strongly consistent, replicated, persistent key-value store."""
