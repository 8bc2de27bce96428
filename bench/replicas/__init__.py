"""Measures what callers notice of five faults of one replica out of three: `make bench-replicas`.

Each replica has an address of its own, in a network namespace of its own. Three constant loads of unary calls and
streams reach them at the same time, so all three meet the same faults: through the Python client's round robin,
through round robin with health checks, and through Envoy. The replicas are restarted and killed in turn; one of them
hangs, gets hardly any CPU time, and is cut off from the network.
"""
