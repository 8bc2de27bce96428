"""`reasoning-grpc`: the commands and their flags."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from reasoning_grpc.config import Option, options

Command = Callable[[argparse.Namespace], int]

DEFAULT_TARGET: Final = "127.0.0.1:50051"
MODES: Final = ("passthrough", "reasoning", "orchestration", "auto")
EFFORTS: Final = ("none", "minimal", "low", "medium", "high")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code: 0 well, 1 it failed, 2 it was called wrongly."""
    parsed = _parser().parse_args(arguments)
    run: Command = parsed.run
    try:
        code = run(parsed)
        sys.stdout.flush()  # here, not at exit, where a closed pipe could not be caught
        return code
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] == "reasoning_grpc":
            raise
        print(f"reasoning-grpc: {exc.name} is missing: pip install 'reasoning-grpc[server]'", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


# Each command imports what it needs when it runs: `ask` none of the server, and `--help` nothing at all.


def _serve(parsed: argparse.Namespace) -> int:
    from reasoning_grpc.cli import server_commands

    return asyncio.run(server_commands.serve(_flags(parsed), parsed.config))


def _check_config(parsed: argparse.Namespace) -> int:
    from reasoning_grpc.cli import server_commands

    return asyncio.run(
        server_commands.check_config(_flags(parsed), parsed.config, as_json=parsed.json, online=parsed.online)
    )


def _tools(parsed: argparse.Namespace) -> int:
    from reasoning_grpc.cli import tools_command

    return asyncio.run(tools_command.tools(_flags(parsed), parsed.config, as_json=parsed.json))


def _new_token(parsed: argparse.Namespace) -> int:
    from reasoning_grpc.cli import token_command

    return token_command.new_token(as_json=parsed.json)


def _ask(parsed: argparse.Namespace) -> int:
    from reasoning_grpc.cli import client_commands

    return asyncio.run(client_commands.ask(parsed))


def _models(parsed: argparse.Namespace) -> int:
    from reasoning_grpc.cli import client_commands

    return asyncio.run(client_commands.models(parsed))


def _classify(parsed: argparse.Namespace) -> int:
    from reasoning_grpc.cli import client_commands

    return asyncio.run(client_commands.classify(parsed))


def _eval_routing(parsed: argparse.Namespace) -> int:
    from reasoning_grpc.cli import eval_command

    return asyncio.run(eval_command.eval_routing(parsed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reasoning-grpc", description="A language model endpoint for backend services, over gRPC."
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_ask(commands)
    _add_models(commands)
    _add_classify(commands)
    _add_eval(commands)
    _add_check_config(commands)
    _add_tools(commands)
    _add_token(commands)
    return parser


Commands = argparse._SubParsersAction  # argparse has no public name for it


def _add_serve(commands: "Commands[argparse.ArgumentParser]") -> None:
    serve = commands.add_parser("serve", help="run the server", description="Runs the server until it is stopped.")
    _add_server_options(serve)
    serve.set_defaults(run=_serve)


def _add_ask(commands: "Commands[argparse.ArgumentParser]") -> None:
    ask = commands.add_parser(
        "ask", help="ask a server", description="Asks a server, and shows its answer as it comes."
    )
    modes = _add_request_options(ask)
    modes.add_argument("--reason", action="store_true", help="think in steps with tools first, and show them")
    ask.add_argument("--max-steps", type=int, metavar="N", help="most steps of the thinking")
    tools = ask.add_mutually_exclusive_group()
    tools.add_argument(
        "--tool",
        action="append",
        default=[],
        metavar="NAME",
        help="a tool that the thinking may use; else any; repeatable",
    )
    tools.add_argument("--no-tools", action="store_true", help="think without tools")
    ask.add_argument("--system", default="", help="a system message to send first")
    ask.add_argument("--temperature", type=float, help="randomness, 0 to 2")
    ask.add_argument("--max-output-tokens", type=int, help="most tokens of the answer")
    ask.add_argument("--effort", choices=EFFORTS, help="how much the model itself reasons")
    ask.add_argument("--show-reasoning", action="store_true", help="show the model's own reasoning")
    ask.set_defaults(run=_ask)


def _add_models(commands: "Commands[argparse.ArgumentParser]") -> None:
    models = commands.add_parser("models", help="list a server's models")
    _add_client_options(models)
    models.set_defaults(run=_models)


def _add_classify(commands: "Commands[argparse.ArgumentParser]") -> None:
    classify = commands.add_parser("classify", help="ask a server how it would route a prompt")
    _add_request_options(classify)
    classify.add_argument("--rules-only", action="store_true", help="do not let a model classify")
    classify.set_defaults(run=_classify)


def _add_eval(commands: "Commands[argparse.ArgumentParser]") -> None:
    evaluate = commands.add_parser("eval", help="measure how good a server is")
    subjects = evaluate.add_subparsers(metavar="SUBJECT", required=True)
    routing = subjects.add_parser(
        "routing",
        help="its router, on labelled prompts",
        description="Has a server route labelled prompts, and shows how often it was right, beside what chance gives.",
    )
    routing.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="labelled prompts; else those that come along"
    )
    routing.add_argument("--mode", choices=MODES, default="auto", help="the mode to ask for (%(default)s)")
    routing.add_argument("--model", default="", help="the model to answer; else the server's default")
    routing.add_argument(
        "--default-route",
        default="passthrough",
        metavar="ROUTE",
        help="the route of the control that always answers the same (%(default)s)",
    )
    routing.add_argument("--limit", type=_at_least_one, metavar="N", help="route N of the prompts, drawn by lot")
    routing.add_argument(
        "--concurrency", type=_at_least_one, default=4, metavar="N", help="most calls at once (%(default)s)"
    )
    routing.add_argument("--seed", type=int, default=1, metavar="N", help="for what is drawn by lot (%(default)s)")
    _add_client_options(routing)
    routing.set_defaults(run=_eval_routing)


def _at_least_one(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a whole number from 1 on")
    return int(text)


def _add_check_config(commands: "Commands[argparse.ArgumentParser]") -> None:
    check = commands.add_parser("check-config", help="check a configuration, and show what it makes")
    _add_server_options(check)
    check.add_argument("--json", action="store_true", help="print JSON")
    check.add_argument("--online", action="store_true", help="also ask each model for a few tokens, and the proxy")
    check.set_defaults(run=_check_config)


def _add_tools(commands: "Commands[argparse.ArgumentParser]") -> None:
    tools = commands.add_parser(
        "tools",
        help="list the tools of a configuration",
        description="Loads the functions and connects to the MCP servers of a configuration, and lists their tools.",
    )
    _add_server_options(tools)
    tools.add_argument("--json", action="store_true", help="print JSON")
    tools.set_defaults(run=_tools)


def _add_token(commands: "Commands[argparse.ArgumentParser]") -> None:
    token = commands.add_parser("token", help="make callers' tokens")
    actions = token.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser("new", help="print a new token, once, and its hash for the configuration")
    new.add_argument("--json", action="store_true", help="print JSON")
    new.set_defaults(run=_new_token)


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration file; else REASONING_CONFIG")
    for option in options():
        if option.type is bool:
            parser.add_argument(option.flag, action=argparse.BooleanOptionalAction, default=None, help=option.help)
        else:
            parser.add_argument(option.flag, metavar=_metavar(option), help=option.help)


def _metavar(option: Option) -> str:
    return option.name.rpartition("_")[2].upper()


def _flags(parsed: argparse.Namespace) -> dict[str, object]:
    return {option.name: getattr(parsed, option.name) for option in options()}


def _add_client_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--target",
        default=os.environ.get("REASONING_TARGET") or DEFAULT_TARGET,
        help="the server, HOST:PORT; else REASONING_TARGET (%(default)s)",
    )
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="file with the token; else REASONING_TOKEN")
    parser.add_argument("--tls", action="store_true", help="use TLS, with the system's authorities")
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="use TLS, with the authorities in this PEM file")
    parser.add_argument("--tls-certificate", type=Path, metavar="FILE", help="PEM file to show to the server")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its private key")
    parser.add_argument("--timeout-seconds", type=float, metavar="SECONDS", help="longest time to wait")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line")


def _add_request_options(parser: argparse.ArgumentParser) -> "argparse._MutuallyExclusiveGroup":
    """The group of the flags that choose the path."""
    parser.add_argument("prompt", help='what to ask; "-" reads it from standard input')
    parser.add_argument("--model", default="", help="the model to ask; else the server's default")
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--mode", choices=MODES, help="the path to take; else the server decides")
    _add_client_options(parser)
    return modes
