"""How like Redis this store is: scripts that are played to both.

Law: what the README says of Redis is what these tables say, and both servers are asked.
"""
