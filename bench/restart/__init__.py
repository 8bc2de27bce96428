"""Measures what callers notice when servers are restarted and killed: `make bench-restart`.

Three servers stand behind the Python client's own round robin, without and with health checks by the client, and then
behind Envoy, under a constant load of unary calls and streams. Each server in turn gets SIGTERM and is started again,
and then each is killed.
"""
