"""The conformance suite: scenarios as data, servers that play them, and a judge of what clients received.

scenario.py        reads the scenarios
script.py          scripts the answers of the fake upstreams
other_servers.py   defines the servers that are not ours: a newer one, one without free capacity, one with a bug
relay.py           counts the bytes that clients send
configuration.py   builds the configuration of the servers
tools.py           defines the tool that scenarios let the agent call
servers.py         starts all servers
matching.py        compares a message with what is expected of it
host.py            builds the plan for a runner, and checks what the upstreams received
judge.py           finds the problems in the results of a runner
clients.py         lists the clients, and runs their runners
__main__.py        runs all of them and prints the matrix
"""
