"""Runs each command of the command line; the exit code is returned.

Each function imports what its command needs, so that `ask` needs nothing of the server, and `--help` nothing at all.
"""

import argparse

from reasoning_grpc.cli.signals import run_until_signal
from reasoning_grpc.config import options


def serve(parsed: argparse.Namespace) -> int:
    """Runs the command `serve`."""
    from reasoning_grpc.cli import server_commands

    return server_commands.serve(_read_options(parsed), parsed.config)


def check_config(parsed: argparse.Namespace) -> int:
    """Runs the command `check-config`."""
    from reasoning_grpc.cli import server_commands

    return run_until_signal(
        server_commands.check_config(
            _read_options(parsed),
            parsed.config,
            as_json=parsed.json,
            online=parsed.online,
            accepts_unset_keys=parsed.accept_unset_keys,
        )
    )


def reload(parsed: argparse.Namespace) -> int:
    """Runs the command `reload`."""
    from reasoning_grpc.cli import reload_command

    return reload_command.reload(parsed.pid_file, parsed.admin_listen, parsed.config, parsed.timeout_seconds)


def list_tools(parsed: argparse.Namespace) -> int:
    """Runs the command `tools`."""
    from reasoning_grpc.cli import tools_command

    return run_until_signal(tools_command.list_tools(_read_options(parsed), parsed.config, as_json=parsed.json))


def create_token(parsed: argparse.Namespace) -> int:
    """Runs the command `token new`."""
    from reasoning_grpc.cli import token_command

    return token_command.create_token(as_json=parsed.json)


def ask(parsed: argparse.Namespace) -> int:
    """Runs the command `ask`."""
    from reasoning_grpc.cli import client_commands

    client_commands.read_prompt(parsed)
    return run_until_signal(client_commands.ask(parsed))


def list_models(parsed: argparse.Namespace) -> int:
    """Runs the command `models`."""
    from reasoning_grpc.cli import client_commands

    return run_until_signal(client_commands.list_models(parsed))


def classify(parsed: argparse.Namespace) -> int:
    """Runs the command `classify`."""
    from reasoning_grpc.cli import client_commands

    client_commands.read_prompt(parsed)
    return run_until_signal(client_commands.classify(parsed))


def train_router(parsed: argparse.Namespace) -> int:
    """Runs the command `train-router`."""
    from reasoning_grpc.cli import train_command

    return train_command.train(parsed)


def evaluate_routing(parsed: argparse.Namespace) -> int:
    """Runs the command `eval routing`."""
    from reasoning_grpc.cli import eval_command

    return run_until_signal(eval_command.evaluate_routing(parsed))


def _read_options(parsed: argparse.Namespace) -> dict[str, object]:
    """Returns the value of each option that the server's commands have; None: the flag was not used."""
    return {option.name: getattr(parsed, option.name) for option in options()}
