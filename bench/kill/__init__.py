"""Measures what callers notice when an upstream is killed: `make bench-kill`.

A server is under a constant load of unary calls and streams. Its embedded model, which the server starts again, is
killed with SIGKILL several times, and then a LiteLLM proxy behind it, which this program starts again.
"""
