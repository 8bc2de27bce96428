"""The conformance suite: scenarios as data, a server that plays them, and a judge of what clients saw.

scenario.py   reads the scenarios
script.py     what the fake upstreams answer
newer.py      a server of a later release, and one with a fault
host.py       everything that a runner calls, and the plan for it
matching.py   whether a message is as it was expected
judge.py      what is wrong with a runner's result
clients.py    the clients and their runners
__main__.py   runs them all and prints the matrix
"""
