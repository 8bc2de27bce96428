"""Runs the commands of the client's side: ask, models, classify."""

import argparse
import json
import sys
from contextlib import aclosing

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from reasoning_grpc.cli.answer_view import AnswerView
from reasoning_grpc.cli.client_options import FlagError, create_client
from reasoning_grpc.cli.failure_report import report_failure
from reasoning_grpc.cli.model_view import describe_model
from reasoning_grpc.cli.route_view import route_lines
from reasoning_grpc.client import CallFailed, text_request
from reasoning_grpc.v1 import completion_pb2, routing_pb2


async def ask(parsed: argparse.Namespace) -> int:
    """Sends a prompt, and shows the answer while it arrives; returns the exit code."""
    try:
        request = _build_request(parsed, system=parsed.system)
        if parsed.temperature is not None:
            request.sampling.temperature = parsed.temperature
        if parsed.max_output_tokens is not None:
            request.sampling.max_output_tokens = parsed.max_output_tokens
        _set_agent_options(request, parsed)
    except ValueError as error:  # text that is not UTF-8, or a number that does not fit
        print(f"reasoning-grpc: the request cannot be sent: {error}", file=sys.stderr)
        return 1
    if parsed.effort is not None:
        request.reasoning.effort = completion_pb2.ReasoningEffort.Value(f"REASONING_EFFORT_{parsed.effort.upper()}")
    request.include.reasoning = parsed.show_reasoning
    with AnswerView() as view:
        try:
            async with (
                create_client(parsed) as client,
                aclosing(client.stream(request, timeout_seconds=parsed.timeout_seconds)) as events,
            ):
                async for event in events:
                    if parsed.json:
                        _print_json(event)
                    else:
                        view.show(event)
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
        async with create_client(parsed) as client:
            route = await client.classify(
                _build_request(parsed), rules_only=parsed.rules_only, timeout_seconds=parsed.timeout_seconds
            )
    except (CallFailed, FlagError, OSError) as error:
        return report_failure(error, parsed)
    if parsed.json:
        _print_json(route)
    else:
        print(*route_lines(route), sep="\n")
    return 0


def _build_request(parsed: argparse.Namespace, *, system: str = "") -> completion_pb2.CompleteRequest:
    prompt = sys.stdin.read() if parsed.prompt == "-" else parsed.prompt
    request = text_request(prompt, system=system, model=parsed.model)
    if parsed.mode is not None:
        request.routing.mode = routing_pb2.RoutingMode.Value(f"ROUTING_MODE_{parsed.mode.upper()}")
    return request


def _set_agent_options(request: completion_pb2.CompleteRequest, parsed: argparse.Namespace) -> None:
    """Sets the options of the reasoning agent from the flags. Raises ValueError for what a request cannot hold."""
    if parsed.reason:
        request.routing.mode = routing_pb2.ROUTING_MODE_REASONING
        request.include.thoughts = request.include.tool_results = True
    if parsed.max_steps is not None:
        request.agent.max_steps = parsed.max_steps
    if parsed.no_tools:
        request.agent.allowed_tools.SetInParent()
    if parsed.tool:
        request.agent.allowed_tools.names.extend(parsed.tool)


def _print_json(message: Message) -> None:
    print(json.dumps(MessageToDict(message, preserving_proto_field_name=True)), flush=True)
