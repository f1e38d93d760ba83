"""The client: what it decides, as steps without sockets and clocks, and what carries them out.

Law: `caller`, `course` and `attempt` decide, and are pure; all others act.
"""
