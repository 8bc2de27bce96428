"""The command line: reads flags and environment, sets up logging, and runs a command."""

from reasoning_grpc.cli.main import main

__all__ = ["main"]
