"""The commands of the client's side: ask, models, classify."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from reasoning_grpc.cli.answer_view import AnswerView
from reasoning_grpc.cli.route_view import route_lines
from reasoning_grpc.client import CallFailed, ReasoningClient, text_request
from reasoning_grpc.v1 import completion_pb2, models_pb2, routing_pb2


class FlagError(Exception):
    """The flags do not fit together; the message is the line that says why."""


async def ask(parsed: argparse.Namespace) -> int:
    """Asks, and shows the answer as it comes."""
    try:
        request = _request(parsed, system=parsed.system)
        if parsed.temperature is not None:
            request.sampling.temperature = parsed.temperature
        if parsed.max_output_tokens is not None:
            request.sampling.max_output_tokens = parsed.max_output_tokens
        _set_agent(request, parsed)
    except ValueError as error:  # text that is not UTF-8, a number that has no room
        print(f"reasoning-grpc: the request cannot be sent: {error}", file=sys.stderr)
        return 1
    if parsed.effort is not None:
        request.reasoning.effort = completion_pb2.ReasoningEffort.Value(f"REASONING_EFFORT_{parsed.effort.upper()}")
    request.include.reasoning = parsed.show_reasoning
    with AnswerView() as view:
        try:
            async with (
                make_client(parsed) as client,
                aclosing(client.stream(request, timeout_seconds=parsed.timeout_seconds)) as events,
            ):
                async for event in events:
                    if parsed.json:
                        _print_json(event)
                    else:
                        view.show(event)
        except (CallFailed, FlagError, OSError) as error:
            view.finish()
            return complain(error, parsed)
    return 0


async def models(parsed: argparse.Namespace) -> int:
    """Lists the models."""
    try:
        async with make_client(parsed) as client:
            listed = await client.list_models(timeout_seconds=parsed.timeout_seconds)
    except (CallFailed, FlagError, OSError) as error:
        return complain(error, parsed)
    for model in listed:
        if parsed.json:
            _print_json(model)
        else:
            print(_model_line(model))
    return 0


async def classify(parsed: argparse.Namespace) -> int:
    """Shows how a prompt would be routed."""
    try:
        async with make_client(parsed) as client:
            route = await client.classify(
                _request(parsed), rules_only=parsed.rules_only, timeout_seconds=parsed.timeout_seconds
            )
    except (CallFailed, FlagError, OSError) as error:
        return complain(error, parsed)
    if parsed.json:
        _print_json(route)
    else:
        print(*route_lines(route), sep="\n")
    return 0


def _request(parsed: argparse.Namespace, *, system: str = "") -> completion_pb2.CompleteRequest:
    prompt = sys.stdin.read() if parsed.prompt == "-" else parsed.prompt
    request = text_request(prompt, system=system, model=parsed.model)
    if parsed.mode is not None:
        request.routing.mode = routing_pb2.RoutingMode.Value(f"ROUTING_MODE_{parsed.mode.upper()}")
    return request


def _set_agent(request: completion_pb2.CompleteRequest, parsed: argparse.Namespace) -> None:
    """What the flags say of the reasoning agent. Raises ValueError for what a request cannot hold."""
    if parsed.reason:
        request.routing.mode = routing_pb2.ROUTING_MODE_REASONING
        request.include.thoughts = request.include.tool_results = True
    if parsed.max_steps is not None:
        request.agent.max_steps = parsed.max_steps
    if parsed.no_tools:
        request.agent.allowed_tools.SetInParent()
    if parsed.tool:
        request.agent.allowed_tools.names.extend(parsed.tool)


def make_client(parsed: argparse.Namespace, options: Sequence[tuple[str, Any]] = ()) -> ReasoningClient:
    """The client that the flags describe, with these options of gRPC's.

    Raises OSError for a file that cannot be read, and FlagError.
    """
    if bool(parsed.tls_certificate) != bool(parsed.tls_key):
        raise FlagError("--tls-certificate and --tls-key go together")
    token_file: Path | None = parsed.token_file
    token = token_file.read_text().strip() if token_file else os.environ.get("REASONING_TOKEN", "")
    credentials = None
    if parsed.tls or parsed.tls_ca or parsed.tls_certificate:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=_bytes(parsed.tls_ca),
            private_key=_bytes(parsed.tls_key),
            certificate_chain=_bytes(parsed.tls_certificate),
        )
    try:
        return ReasoningClient(parsed.target, token=token, credentials=credentials, options=options)
    except ValueError as exc:
        raise FlagError(str(exc)) from exc


def _bytes(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()


def complain(error: CallFailed | FlagError | OSError, parsed: argparse.Namespace) -> int:
    """Tells why a command failed; its exit code."""
    if isinstance(error, FlagError):
        print(f"reasoning-grpc: {error}", file=sys.stderr)
        return 2
    if isinstance(error, BrokenPipeError):
        raise error  # of our own output, which is for `main`
    if isinstance(error, OSError):
        print(f"reasoning-grpc: {error.filename}: {error.strerror}", file=sys.stderr)
        return 1
    if parsed.json:
        print(json.dumps({"error": _error_facts(error)}))
    else:
        print(f"reasoning-grpc: {error.reason or error.code.name}: {error.message}", file=sys.stderr)
        for violation in error.violations:
            print(f"  {violation.field}: {violation.description}", file=sys.stderr)
        if error.retry_after_seconds is not None:
            print(f"  try again in {error.retry_after_seconds:g} s", file=sys.stderr)
        if error.request_id:
            print(f"  request id {error.request_id}", file=sys.stderr)
    return 1


def _error_facts(error: CallFailed) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
        "request_id": error.request_id,
        "violations": [{"field": each.field, "description": each.description} for each in error.violations],
        "retry_after_seconds": error.retry_after_seconds,
    }
    if error.interruption is not None:
        facts["interruption"] = MessageToDict(error.interruption, preserving_proto_field_name=True)
    return facts


def _print_json(message: Message) -> None:
    print(json.dumps(MessageToDict(message, preserving_proto_field_name=True)), flush=True)


def _model_line(model: models_pb2.Model) -> str:
    notes = [model.provider, _word(models_pb2.ModelState.Name(model.state))]
    if model.is_default:
        notes.append("default")
    if model.limits.HasField("context_window_tokens"):
        notes.append(f"{model.limits.context_window_tokens} tokens")
    notes += _price_notes(model.prices)
    notes += [_word(models_pb2.ModelCapability.Name(capability)) for capability in model.capabilities]
    line = f"{model.name}  ({', '.join(notes)})"
    return f"{line}  {model.description}" if model.description else line


def _price_notes(model_prices: models_pb2.ModelPrices) -> list[str]:
    """What a million tokens of prompt and answer cost, and whether long prompts cost more."""
    prices = model_prices.base
    if not (prices.HasField("input_nano_usd_per_million") and prices.HasField("output_nano_usd_per_million")):
        return []
    dollars = [
        f"${number / 1_000_000_000:g}"
        for number in (prices.input_nano_usd_per_million, prices.output_nano_usd_per_million)
    ]
    return [f"{dollars[0]} in and {dollars[1]} out{' or more' if model_prices.tiers else ''}"]


def _word(name: str) -> str:
    """The value's own word: MODEL_STATE_AVAILABLE is "available"."""
    for prefix in ("MODEL_STATE_", "MODEL_CAPABILITY_", "ROUTE_SOURCE_"):
        name = name.removeprefix(prefix)
    return name.lower().replace("_", " ")
