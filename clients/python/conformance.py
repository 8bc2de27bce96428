"""The conformance runner of the Python client: makes the calls of a plan, and writes down what it saw.

python -m clients.python.conformance PLAN RESULTS
"""

import asyncio
import base64
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


async def results(plan: Mapping[str, Any]) -> dict[str, Any]:
    """What the Python client sees of a plan's scenarios."""
    authority = await asyncio.to_thread(Path(plan["certificate_authority"]).read_bytes)
    return {"client": "python", "results": [await _result(scenario, plan, authority) for scenario in plan["scenarios"]]}


async def _result(scenario: Mapping[str, Any], plan: Mapping[str, Any], authority: bytes) -> dict[str, Any]:
    try:
        if scenario["rpc"] == "Fold":
            seen: dict[str, Any] = {"folded": MessageToDict(await fold(_events(scenario["events"])))}
        else:
            seen = await _called(scenario, plan, authority)
    except Exception as exc:  # whatever it is, it belongs into the results
        seen = {"failure": f"{type(exc).__name__}: {exc}"}
    return {"name": scenario["name"], **seen}


async def _called(scenario: Mapping[str, Any], plan: Mapping[str, Any], authority: bytes) -> dict[str, Any]:
    address = scenario["address"]
    credentials = grpc.ssl_channel_credentials(authority) if address == "tls" else None
    client = ReasoningClient(plan["addresses"][address], token=scenario.get("token", ""), credentials=credentials)
    async with client:
        call = _begun(client, scenario)
        if scenario["rpc"] == "StreamComplete":
            return await _streamed(call, scenario.get("cancel_after_events"))
        if scenario.get("cancel_after_events") == 0:
            call.cancel()
        return await _answered(call)


def _begun(client: ReasoningClient, scenario: Mapping[str, Any]) -> Any:
    """The call, sent."""
    rpc = scenario["rpc"]
    options: dict[str, Any] = {
        "timeout": scenario["timeout_seconds"],
        "metadata": (*client.metadata, *scenario.get("metadata", {}).items()),
        "compression": grpc.Compression.Gzip if scenario.get("compression") == "gzip" else None,
    }
    asked, answered = _RPCS[rpc]
    if "request_base64" not in scenario:
        return getattr(client.stub, rpc)(ParseDict(scenario["request"], asked()), **options)
    kind = client.channel.unary_stream if rpc == "StreamComplete" else client.channel.unary_unary
    method: Any = kind(f"/{_SERVICE}/{rpc}", response_deserializer=answered.FromString)
    return method(base64.b64decode(scenario["request_base64"]), **options)


async def _answered(call: Any) -> dict[str, Any]:
    try:
        return {"response": MessageToDict(await call)}
    except grpc.aio.AioRpcError as error:
        return {"error": _error(CallFailed(error))}
    except asyncio.CancelledError:
        return {"error": _error(CallFailed(await _status(call)))}


async def _streamed(call: Any, cancel_after: int | None) -> dict[str, Any]:
    seen: list[events_pb2.StreamCompleteResponse] = []
    error = await _read(call, seen, cancel_after)
    told = {
        "events": [MessageToDict(event) for event in seen],
        "unknown_events": sum(event.WhichOneof("kind") is None for event in seen),
    }
    if error is not None:
        return {**told, "error": _error(CallFailed(error))}
    return {**told, "folded": MessageToDict(await fold(seen))}


async def _read(
    call: Any, seen: list[events_pb2.StreamCompleteResponse], cancel_after: int | None
) -> grpc.aio.AioRpcError | None:
    """Reads a stream to its end, or until it is to be cancelled; the error with which it ended."""
    if cancel_after == 0:
        call.cancel()
    try:
        async for event in call:
            seen.append(event)
            if len(seen) == cancel_after:
                call.cancel()
    except grpc.aio.AioRpcError as error:
        return error
    except asyncio.CancelledError:
        return await _status(call)
    return None


async def _status(call: Any) -> grpc.aio.AioRpcError:
    """How a call ended that was cancelled here: then grpc raises CancelledError instead of telling it."""
    code, details = await call.code(), await call.details()
    return grpc.aio.AioRpcError(code, await call.initial_metadata(), await call.trailing_metadata(), details)


def _error(failed: CallFailed) -> dict[str, Any]:
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


def _events(raw: list[Any]) -> list[events_pb2.StreamCompleteResponse]:
    return [ParseDict(event, events_pb2.StreamCompleteResponse()) for event in raw]


def main() -> None:
    """Runs the plan of the first argument, and writes the results to the second."""
    plan, found = (Path(argument) for argument in sys.argv[1:])
    found.write_text(json.dumps(asyncio.run(results(json.loads(plan.read_text("utf-8"))))), "utf-8")


if __name__ == "__main__":
    main()
