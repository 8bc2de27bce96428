"""`main`: runs one command of `reasoning-grpc`."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from reasoning_grpc.cli.early_signals import end_by_early_signals

Command = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command, and returns the exit code: 0 for success, 1 for a failure, 2 for wrong usage."""
    words = sys.argv[1:] if arguments is None else arguments
    end_by_early_signals(is_server=words[:1] == ["serve"])
    # gRPC's core would print lines of its own about failures that we report; an operator may set the variable.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        from reasoning_grpc.cli.parser import build_parser  # it takes a moment, in which signals come too

        parsed = build_parser().parse_args(words)
        run: Command = parsed.run
        code = run(parsed)
        sys.stdout.flush()  # at the exit a closed pipe could not be caught
        return code
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] == "reasoning_grpc":
            raise
        print(f"reasoning-grpc: {exc.name} is missing: pip install 'reasoning-grpc[server]'", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the program that reads our output has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
