"""Runs the commands of the client's side: ask, models, classify."""

import argparse
import json
import sys
from contextlib import aclosing
from typing import Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from reasoning_grpc.cli.answer_view import AnswerView
from reasoning_grpc.cli.client_options import FlagError, create_client
from reasoning_grpc.cli.failure_report import report_failure
from reasoning_grpc.cli.model_view import describe_model
from reasoning_grpc.cli.route_view import route_lines
from reasoning_grpc.cli.timeline import Timeline
from reasoning_grpc.client import CallFailed, text_request
from reasoning_grpc.v1 import completion_pb2, routing_pb2

_REASONING_MODES: Final = frozenset({"reasoning", "orchestration", "auto"})
"""The modes in which agents may answer."""


def read_prompt(parsed: argparse.Namespace) -> None:
    """Replaces the prompt "-" by the text of standard input.

    This happens before the event loop runs, which would keep signals from interrupting the wait for the text.
    """
    if parsed.prompt == "-":
        # Bytes that are not UTF-8 are reported when the request is built, like those of an argument.
        parsed.prompt = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")


async def ask(parsed: argparse.Namespace) -> int:
    """Sends a prompt, and shows the answer while it arrives; returns the exit code."""
    try:
        request = _build_request(parsed, system=parsed.system)
        if parsed.temperature is not None:
            request.sampling.temperature = parsed.temperature
        if parsed.max_output_tokens is not None:
            request.sampling.max_output_tokens = parsed.max_output_tokens
        _set_agent_options(request, parsed)
    except FlagError as error:
        return report_failure(error, parsed)
    except ValueError as error:  # text that is not UTF-8, or a number that does not fit
        return _report_unsendable(error)
    if parsed.effort is not None:
        request.reasoning.effort = completion_pb2.ReasoningEffort.Value(f"REASONING_EFFORT_{parsed.effort.upper()}")
    request.include.reasoning = parsed.show_reasoning
    timeline = Timeline()
    request.include.model_calls = parsed.timeline is not None
    with AnswerView() as view:
        try:
            async with (
                create_client(parsed) as client,
                aclosing(client.stream(request, timeout_seconds=parsed.timeout_seconds)) as events,
            ):
                async for event in events:
                    timeline.record(event)
                    if parsed.json:
                        _print_json(event)
                    else:
                        view.show(event)
            if parsed.timeline is not None:
                parsed.timeline.write_text(timeline.draw(), "utf-8")
        except (CallFailed, FlagError, OSError) as error:
            view.finish()
            return report_failure(error, parsed)
    return 0


async def list_models(parsed: argparse.Namespace) -> int:
    """Prints the server's models; returns the exit code."""
    try:
        async with create_client(parsed) as client:
            listed = await client.list_models(timeout_seconds=parsed.timeout_seconds)
    except (CallFailed, FlagError, OSError) as error:
        return report_failure(error, parsed)
    for model in listed:
        if parsed.json:
            _print_json(model)
        else:
            print(describe_model(model))
    return 0


async def classify(parsed: argparse.Namespace) -> int:
    """Prints how a prompt would be routed; returns the exit code."""
    try:
        request = _build_request(parsed)
    except ValueError as error:  # text that is not UTF-8
        return _report_unsendable(error)
    try:
        async with create_client(parsed) as client:
            route = await client.classify(request, rules_only=parsed.rules_only, timeout_seconds=parsed.timeout_seconds)
    except (CallFailed, FlagError, OSError) as error:
        return report_failure(error, parsed)
    if parsed.json:
        _print_json(route)
    else:
        print(*route_lines(route), sep="\n")
    return 0


def _report_unsendable(error: ValueError) -> int:
    print(f"reasoning-grpc: the request cannot be sent: {error}", file=sys.stderr)
    return 1


def _build_request(parsed: argparse.Namespace, *, system: str = "") -> completion_pb2.CompleteRequest:
    request = text_request(parsed.prompt, system=system, model=parsed.model)
    if parsed.mode is not None:
        request.routing.mode = routing_pb2.RoutingMode.Value(f"ROUTING_MODE_{parsed.mode.upper()}")
    return request


def _set_agent_options(request: completion_pb2.CompleteRequest, parsed: argparse.Namespace) -> None:
    """Sets the options of the reasoning agent from the flags.

    Raises FlagError for flags that would have no effect, and ValueError for what a request cannot hold.
    """
    flags = {"--tool": parsed.tool, "--no-tools": parsed.no_tools, "--max-steps": parsed.max_steps is not None}
    if (used := [flag for flag, is_used in flags.items() if is_used]) and not (
        parsed.reason or parsed.orchestrate or parsed.mode in _REASONING_MODES
    ):
        raise FlagError(
            f"{' and '.join(used)}: only for --reason, --orchestrate, and the modes reasoning, orchestration and auto"
        )
    if parsed.reason or parsed.orchestrate:
        request.include.thoughts = request.include.tool_results = True
        request.routing.mode = routing_pb2.ROUTING_MODE_REASONING
    if parsed.orchestrate:
        request.include.task_results = True
        request.routing.mode = routing_pb2.ROUTING_MODE_ORCHESTRATION
    if parsed.max_steps is not None:
        request.agent.max_steps = parsed.max_steps
    if parsed.no_tools:
        request.agent.allowed_tools.SetInParent()
    if parsed.tool:
        request.agent.allowed_tools.names.extend(parsed.tool)


def _print_json(message: Message) -> None:
    print(json.dumps(MessageToDict(message, preserving_proto_field_name=True)), flush=True)
