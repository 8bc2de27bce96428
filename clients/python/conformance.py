"""The conformance runner of the Python client: makes the calls of a plan, and writes what the client received.

python -m clients.python.conformance PLAN RESULTS
"""

import asyncio
import base64
import copy
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from reasoning_grpc.client import CallFailed, ReasoningClient, fold
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, models_pb2

_SERVICE = "reasoning_grpc.v1.ReasoningService"
_RPCS: Mapping[str, tuple[type[Message], type[Message]]] = {
    "Complete": (completion_pb2.CompleteRequest, completion_pb2.CompleteResponse),
    "StreamComplete": (events_pb2.StreamCompleteRequest, events_pb2.StreamCompleteResponse),
    "Classify": (classification_pb2.ClassifyRequest, classification_pb2.ClassifyResponse),
    "ListModels": (models_pb2.ListModelsRequest, models_pb2.ListModelsResponse),
}


async def run_plan(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Runs the scenarios of a plan; returns the results, in the form that README.md of the suite defines."""
    authority = await asyncio.to_thread(Path(plan["certificate_authority"]).read_bytes)
    results: dict[str, dict[str, Any]] = {}
    for scenario in plan["scenarios"]:
        results[scenario["name"]] = await _run_scenario(_insert_answer(scenario, results), plan, authority)
    return {"client": "python", "results": list(results.values())}


def _insert_answer(scenario: Mapping[str, Any], results: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the scenario with the answer of an earlier one in its request, if it names one."""
    if "answer_of" not in scenario:
        return scenario
    earlier = results[scenario["answer_of"]]
    answer = (earlier.get("response") or earlier["folded"])["message"]
    request = copy.deepcopy(scenario["request"])
    messages = (request["request"] if scenario["rpc"] == "StreamComplete" else request)["messages"]
    messages.insert(len(messages) - 1, answer)
    return {**scenario, "request": request}


async def _run_scenario(scenario: Mapping[str, Any], plan: Mapping[str, Any], authority: bytes) -> dict[str, Any]:
    try:
        if scenario["rpc"] == "Fold":
            result: dict[str, Any] = {"folded": MessageToDict(await fold(_parse_events(scenario["events"])))}
        else:
            result = await _call(scenario, plan, authority)
    except Exception as exc:  # the results report every failure of the client
        result = {"failure": f"{type(exc).__name__}: {exc}"}
    return {"name": scenario["name"], **result}


async def _call(scenario: Mapping[str, Any], plan: Mapping[str, Any], authority: bytes) -> dict[str, Any]:
    address = scenario["address"]
    credentials = grpc.ssl_channel_credentials(authority) if address == "tls" else None
    client = ReasoningClient(plan["addresses"][address], token=scenario.get("token", ""), credentials=credentials)
    async with client:
        try:
            call = _start_call(client, scenario)
        except grpc.aio.AioRpcError as error:  # a call without any time left is not sent
            streamed = {"events": [], "unknown_events": 0} if scenario["rpc"] == "StreamComplete" else {}
            return {**streamed, "error": _describe_error(CallFailed(error))}
        if scenario["rpc"] == "StreamComplete":
            return await _read_stream(call, scenario.get("cancel_after_events"))
        if scenario.get("cancel_after_events") == 0:
            call.cancel()
        return await _read_response(call)


def _start_call(client: ReasoningClient, scenario: Mapping[str, Any]) -> Any:
    """Sends the request of a scenario; returns the call of grpc.aio."""
    rpc = scenario["rpc"]
    options: dict[str, Any] = {
        "timeout": scenario["timeout_seconds"],
        "metadata": (*client.metadata, *scenario.get("metadata", {}).items()),
        "compression": grpc.Compression.Gzip if scenario.get("compression") == "gzip" else None,
    }
    request_type, response_type = _RPCS[rpc]
    if "request_base64" not in scenario:
        return getattr(client.stub, rpc)(ParseDict(scenario["request"], request_type()), **options)
    kind = client.channel.unary_stream if rpc == "StreamComplete" else client.channel.unary_unary
    method: Any = kind(f"/{_SERVICE}/{rpc}", response_deserializer=response_type.FromString)
    return method(base64.b64decode(scenario["request_base64"]), **options)


async def _read_response(call: Any) -> dict[str, Any]:
    try:
        return {"response": MessageToDict(await call)}
    except grpc.aio.AioRpcError as error:
        return {"error": _describe_error(CallFailed(error))}
    except asyncio.CancelledError:
        return {"error": _describe_error(CallFailed(await _read_status(call)))}


async def _read_stream(call: Any, cancel_after: int | None) -> dict[str, Any]:
    received: list[events_pb2.StreamCompleteResponse] = []
    error = await _read_events(call, received, cancel_after)
    result = {
        "events": [MessageToDict(event) for event in received],
        "unknown_events": sum(event.WhichOneof("kind") is None for event in received),
    }
    if error is not None:
        return {**result, "error": _describe_error(CallFailed(error))}
    return {**result, "folded": MessageToDict(await fold(received))}


async def _read_events(
    call: Any, received: list[events_pb2.StreamCompleteResponse], cancel_after: int | None
) -> grpc.aio.AioRpcError | None:
    """Appends the events of a stream to `received`, and cancels the call if the plan says so; returns its error."""
    if cancel_after == 0:
        call.cancel()
    try:
        async for event in call:
            received.append(event)
            if len(received) == cancel_after:
                call.cancel()
    except grpc.aio.AioRpcError as error:
        return error
    except asyncio.CancelledError:
        return await _read_status(call)
    return None


async def _read_status(call: Any) -> grpc.aio.AioRpcError:
    """Returns the status of a call that was cancelled here, for which grpc raises CancelledError instead."""
    code, details = await call.code(), await call.details()
    return grpc.aio.AioRpcError(code, await call.initial_metadata(), await call.trailing_metadata(), details)


def _describe_error(failed: CallFailed) -> dict[str, Any]:
    return {
        "code": failed.code.name,
        "message": failed.message,
        "reason": failed.reason,
        "domain": failed.domain,
        "metadata": failed.metadata,
        "request_id": failed.request_id,
        "retry_after_seconds": failed.retry_after_seconds,
        "violations": [{"field": each.field, "description": each.description} for each in failed.violations],
        "interruption": None if failed.interruption is None else MessageToDict(failed.interruption),
        "route_decision": None if failed.route_decision is None else MessageToDict(failed.route_decision),
    }


def _parse_events(raw: list[Any]) -> list[events_pb2.StreamCompleteResponse]:
    return [ParseDict(event, events_pb2.StreamCompleteResponse()) for event in raw]


def main() -> None:
    """Runs the plan of the first argument, and writes the results to the second."""
    plan_path, results_path = (Path(argument) for argument in sys.argv[1:])
    results = asyncio.run(run_plan(json.loads(plan_path.read_text("utf-8"))))
    results_path.write_text(json.dumps(results), "utf-8")


if __name__ == "__main__":
    main()
