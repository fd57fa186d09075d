"""The simulated outside world: real HTTP on loopback, for the demo, the tests and the bench.

Nothing here is part of the hub. What the hub would meet on the internet (a shop's API, an upstream that misbehaves, the
traffic of a company's apps) is played by these modules, at the socket.
"""
