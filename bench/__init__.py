"""Measures the server beside what a user would pick instead, in one interleaved run.

upstream/      a mock upstream in C that is never the bottleneck
services.py    starts each service: ours, an older build, LiteLLM proxy, TensorZero, a grpc.aio echo
process.py     a started process, with the CPU time and the memory of all its children
load/          the clients that make the load, each a process of its own
orders.py      runs an order with a service, and meters its CPU time
measures.py    what is measured, and in which order
growth.py      how costs grow with chunks, prompts, open streams and steps
profiler.py    where the CPU time of a unary call goes
figures.py     medians, percentiles and ratios
targets.py     the ratios to reach
report.py      the printed tables, and the JSON
plot.py        the plot, drawn from the JSON
setup.py       installs what a run needs
"""
