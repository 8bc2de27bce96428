"""Declares the commands and their flags."""

import argparse
import os
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeAlias

from reasoning_grpc.cli import commands
from reasoning_grpc.config import Option, options

DEFAULT_TARGET: Final = "127.0.0.1:50051"
MODES: Final = ("passthrough", "reasoning", "orchestration", "auto")
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""The place where commands are added; argparse has no public name for it."""


def build_parser() -> argparse.ArgumentParser:
    """Builds the parser; `run` of its result is the function that runs the command."""
    parser = argparse.ArgumentParser(
        prog="reasoning-grpc", description="A language model endpoint for backend services, over gRPC."
    )
    parser.add_argument("--version", action=_ShowVersion, help="show the version and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(subparsers)
    _add_ask(subparsers)
    _add_models(subparsers)
    _add_classify(subparsers)
    _add_eval(subparsers)
    _add_train_router(subparsers)
    _add_check_config(subparsers)
    _add_reload(subparsers)
    _add_tools(subparsers)
    _add_token(subparsers)
    return parser


class _ShowVersion(argparse.Action):
    """Prints the version, which it looks up only when it is asked for, and ends the program."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(f"reasoning-grpc {version('reasoning-grpc')}")
        parser.exit()


def _add_serve(subparsers: "Subparsers") -> None:
    serve = subparsers.add_parser("serve", help="run the server", description="Runs the server until it is stopped.")
    _add_server_options(serve)
    serve.set_defaults(run=commands.serve)


def _add_ask(subparsers: "Subparsers") -> None:
    ask = subparsers.add_parser(
        "ask", help="ask a server", description="Sends a prompt to a server, and shows the answer while it arrives."
    )
    modes = _add_request_options(ask)
    modes.add_argument(
        "--reason", action="store_true", help="think in steps with tools before the answer, and show them"
    )
    modes.add_argument(
        "--orchestrate", action="store_true", help="split the request into tasks for several agents, and show them"
    )
    ask.add_argument(
        "--timeline", type=Path, metavar="FILE", help="write an SVG picture of when tasks, model calls and tools ran"
    )
    ask.add_argument("--max-steps", type=int, metavar="N", help="most steps of thinking")
    tools = ask.add_mutually_exclusive_group()
    tools.add_argument(
        "--tool",
        action="append",
        default=[],
        metavar="NAME",
        help="a tool that may be used for thinking; repeatable; else all tools",
    )
    tools.add_argument("--no-tools", action="store_true", help="think without tools")
    ask.add_argument("--system", default="", help="a system message to send first")
    ask.add_argument("--temperature", type=float, help="randomness, 0 to 2")
    ask.add_argument("--max-output-tokens", type=int, help="most tokens of the answer")
    ask.add_argument("--effort", choices=EFFORTS, help="how much the model itself should reason")
    ask.add_argument("--show-reasoning", action="store_true", help="show the model's own reasoning")
    ask.set_defaults(run=commands.ask)


def _add_models(subparsers: "Subparsers") -> None:
    models = subparsers.add_parser("models", help="list a server's models")
    _add_client_options(models)
    models.set_defaults(run=commands.list_models)


def _add_classify(subparsers: "Subparsers") -> None:
    classify = subparsers.add_parser("classify", help="ask a server how it would route a prompt")
    _add_request_options(classify)
    classify.add_argument("--rules-only", action="store_true", help="do not let a model classify")
    classify.set_defaults(run=commands.classify)


def _add_eval(subparsers: "Subparsers") -> None:
    evaluate = subparsers.add_parser("eval", help="measure how good a server is")
    subjects = evaluate.add_subparsers(metavar="SUBJECT", required=True)
    routing = subjects.add_parser(
        "routing",
        help="measure its router with labelled prompts",
        description="Lets a server route labelled prompts, and shows how often it was right and how often chance is.",
    )
    source = routing.add_mutually_exclusive_group()
    source.add_argument("file", nargs="?", type=Path, metavar="FILE", help="labelled prompts; else the bundled ones")
    source.add_argument(
        "--half", choices=("tuning", "held-out"), help="only the bundled prompts of this half; else both halves"
    )
    source.add_argument(
        "--log", type=Path, metavar="FILE", help="the log of a server with verdicts, instead of a running server"
    )
    routing.add_argument(
        "--compare", type=Path, metavar="FILE", help="the --json report of an earlier run, to compare with by prompt"
    )
    routing.add_argument("--plot", type=Path, metavar="FILE", help="draw the calibration into this SVG file")
    routing.add_argument("--mode", choices=MODES, default="auto", help="the mode to request (%(default)s)")
    routing.add_argument("--model", default="", help="the model that would answer; else the server's default")
    routing.add_argument(
        "--default-route",
        default="passthrough",
        metavar="ROUTE",
        help="the route of the control that always chooses the same route (%(default)s)",
    )
    routing.add_argument(
        "--limit", type=_convert_positive, metavar="N", help="route N of the prompts, chosen at random"
    )
    routing.add_argument(
        "--concurrency",
        type=_convert_positive,
        default=4,
        metavar="N",
        help="most calls at the same time (%(default)s)",
    )
    routing.add_argument("--seed", type=int, default=1, metavar="N", help="seed of everything random (%(default)s)")
    _add_client_options(routing)
    routing.set_defaults(run=commands.evaluate_routing)


def _add_train_router(subparsers: "Subparsers") -> None:
    train = subparsers.add_parser(
        "train-router",
        help="train the router's embedding with examples of its routes",
        description="Trains a router with labelled conversations, and shows how good it is on those it did not see.",
    )
    train.add_argument("files", nargs="+", type=Path, metavar="FILE", help="labelled conversations, one a line")
    train.add_argument(
        "--output", type=Path, metavar="FILE", help="file for the trained router, for classifier.router_file"
    )
    train.add_argument("--no-bundled", action="store_true", help="leave out the examples of the built-in routes")
    train.add_argument(
        "--window-messages",
        type=_convert_positive,
        default=8,
        metavar="N",
        help="messages that are read from the end of a conversation, as in classifier.window_messages (%(default)s)",
    )
    train.add_argument(
        "--default-route",
        default="passthrough",
        metavar="ROUTE",
        help="the route of the control that always chooses the same route (%(default)s)",
    )
    train.add_argument("--seed", type=int, default=1, metavar="N", help="seed of everything random (%(default)s)")
    train.add_argument("--json", action="store_true", help="print JSON")
    train.set_defaults(run=commands.train_router)


def _convert_positive(text: str) -> int:
    """Converts a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number of at least 1")
    return int(text)


def _add_check_config(subparsers: "Subparsers") -> None:
    check = subparsers.add_parser("check-config", help="check a configuration, and show its effect")
    _add_server_options(check)
    check.add_argument("--json", action="store_true", help="print JSON")
    keys = check.add_mutually_exclusive_group()
    keys.add_argument(
        "--accept-unset-keys",
        action="store_true",
        help="accept that environment variables with keys are not set, as on a machine that only checks",
    )
    keys.add_argument(
        "--online", action="store_true", help="also request a few tokens from each model, and the list of the proxy"
    )
    check.set_defaults(run=commands.check_config)


def _add_reload(subparsers: "Subparsers") -> None:
    reload = subparsers.add_parser(
        "reload",
        help="let a running server read its configuration anew",
        description="Lets a server on this machine read its configuration anew, and shows what became of it.",
    )
    reload.add_argument("--pid-file", type=Path, metavar="FILE", help="file with the server's process number")
    reload.add_argument("--admin-listen", metavar="ADDRESS", help="HTTP port of the server, in place of the file")
    reload.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration that has one of the two; else REASONING_CONFIG"
    )
    reload.add_argument(
        "--timeout-seconds", type=float, default=60.0, metavar="SECONDS", help="longest time to wait (%(default)s)"
    )
    reload.set_defaults(run=commands.reload)


def _add_tools(subparsers: "Subparsers") -> None:
    tools = subparsers.add_parser(
        "tools",
        help="list the tools of a configuration",
        description="Loads the functions and connects to the MCP servers of a configuration, and lists their tools.",
    )
    _add_server_options(tools)
    tools.add_argument("--json", action="store_true", help="print JSON")
    tools.set_defaults(run=commands.list_tools)


def _add_token(subparsers: "Subparsers") -> None:
    token = subparsers.add_parser("token", help="create tokens for callers")
    actions = token.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser("new", help="print a new token, once, and its hash for the configuration")
    new.add_argument("--json", action="store_true", help="print JSON")
    new.set_defaults(run=commands.create_token)


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file; else REASONING_CONFIG")
    for option in options():
        if option.type is bool:
            parser.add_argument(option.flag, action=argparse.BooleanOptionalAction, default=None, help=option.help)
        else:
            parser.add_argument(option.flag, metavar=_name_value(option), help=option.help)


def _name_value(option: Option) -> str:
    """Returns the word that stands for the option's value in the help, such as SECONDS."""
    return option.name.rpartition("_")[2].upper()


def _add_client_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target",
        default=os.environ.get("REASONING_TARGET") or DEFAULT_TARGET,
        help="the server, HOST:PORT; else REASONING_TARGET (%(default)s)",
    )
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token; else REASONING_TOKEN")
    parser.add_argument("--tls", action="store_true", help="use TLS, with the system's authorities")
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="use TLS, with the authorities in this PEM file")
    parser.add_argument("--tls-certificate", type=Path, metavar="FILE", help="PEM file with the client's certificate")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key")
    parser.add_argument("--timeout-seconds", type=float, metavar="SECONDS", help="longest time to wait")
    parser.add_argument("--json", action="store_true", help="print JSON, one object per line")


def _add_request_options(parser: argparse.ArgumentParser) -> "argparse._MutuallyExclusiveGroup":
    """Adds the prompt and its flags, and returns the group of the flags that choose the path."""
    parser.add_argument("prompt", help='the prompt; "-" reads it from standard input')
    parser.add_argument("--model", default="", help="the model that answers; else the server's default")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--mode", choices=MODES, help="the path to take; else the server decides")
    _add_client_options(parser)
    return modes
