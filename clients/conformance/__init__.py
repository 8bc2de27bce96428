"""The conformance suite: scenarios as data, a server that plays them, and a judge of what clients saw.

scenario.py        reads the scenarios
script.py          what the fake upstreams answer
other_servers.py   a server of a later release, one that is full, and one with a fault
relay.py           counts what clients send
configuration.py   what the servers are configured with
tools.py           the tool of the agent that scenarios call
servers.py         starts them all
matching.py        whether a message is as it was expected
host.py            everything that a runner calls, the plan for it, and what must have been sent
judge.py           what is wrong with a runner's result
clients.py         the clients and their runners
__main__.py        runs them all and prints the matrix
"""
