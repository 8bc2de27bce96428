"""The clients that make the load. Each is a process of its own, which gets its orders as JSON, one a line.

order.py       what a client is told to do, and what it reports
driver.py      runs the orders: how many at once, for how long, what is timed
grpc_client.py calls a build of ours, with the stubs of that build
http_client.py calls an OpenAI face, or the mock itself
echo_client.py calls the echo
"""
