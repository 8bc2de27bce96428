"""The command line: reads flags and environment, sets up logging, runs."""

from reasoning_grpc.cli.main import main

__all__ = ["main"]
