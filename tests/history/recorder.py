"""Makes planned calls over a real channel, and records every event with the time when the client received it."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import grpc
from google.rpc.status_pb2 import Status

from reasoning_grpc.client import CallFailed
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, messages_pb2, routing_pb2
from reasoning_grpc.v1.reasoning_service_pb2_grpc import ReasoningServiceStub
from tests.history.plan import CallPlan, Mode, Rpc, Turn, find_number
from tests.history.records import OWN_TOOL, CallRecord, write_request_id
from tests.support.upstream import PATIENCE_SECONDS

_MODES: Final = {
    Mode.PASSTHROUGH: routing_pb2.ROUTING_MODE_PASSTHROUGH,
    Mode.REASONING: routing_pb2.ROUTING_MODE_REASONING,
    Mode.AUTO: routing_pb2.ROUTING_MODE_AUTO,
}
_OWN_TOOL: Final = completion_pb2.Tool(
    name=OWN_TOOL,
    description="Looks something up.",
    parameters_schema='{"type": "object", "properties": {"id": {"type": "string"}}}',
)


def build_request(seed: int, plan: CallPlan, paused: CallRecord | None = None) -> completion_pb2.CompleteRequest:
    """Builds the request of a call, which may go on with the run of a `paused` one.

    Its id and its person name the call to the server and to the upstream. What goes on has the name in the result of
    the caller's own tool, behind that of the first call, whose prompt it repeats.
    """
    name = write_request_id(seed, plan.number)
    if paused is not None:
        request = build_request(seed, paused.plan)
        answer, request.end_user = paused.read_message(), name
        calls = [part.tool_call.id for part in answer.content if part.HasField("tool_call")]
        results = [messages_pb2.ToolResult(call_id=call_id, content=f"{name} is found") for call_id in calls]
        parts = [messages_pb2.Part(tool_result=result) for result in results]
        request.messages.extend([answer, messages_pb2.Message(role=messages_pb2.ROLE_TOOL, content=parts)])
        return request
    prompt = f"{name} " + " ".join(f"word{position}" for position in range(plan.prompt_words))
    everything = completion_pb2.IncludeOptions(reasoning=True, thoughts=True, tool_results=True, model_calls=True)
    return completion_pb2.CompleteRequest(
        model=plan.model,
        messages=[messages_pb2.Message(role=messages_pb2.ROLE_USER, content=[messages_pb2.Part(text=prompt)])],
        routing=routing_pb2.RoutingOptions(mode=_MODES[plan.mode]),
        fallback_models=plan.fallbacks,
        include=everything if plan.includes_all else None,
        tools=[_OWN_TOOL] if plan.has_own_tool else (),
        end_user=name,
    )


async def make_calls(
    channel: grpc.aio.Channel, seed: int, number: int, draw_call: Callable[[int, int], CallPlan]
) -> list[CallRecord]:
    """Makes the call of this number. When its run pauses, one goes on with it, and when that ends well, one more tries.

    `draw_call` returns the plan of a call by seed and number.
    """
    first = await make_call(channel, seed, draw_call(seed, number))
    records = [first]
    for turn in (Turn.CONTINUATION, Turn.REPEAT):
        if not first.has_paused or records[-1].code != "OK":
            break
        records.append(await make_call(channel, seed, draw_call(seed, find_number(number, turn)), first))
    return records


async def make_call(
    channel: grpc.aio.Channel, seed: int, plan: CallPlan, paused: CallRecord | None = None
) -> CallRecord:
    """Makes one call, ends it as its client's plan says, and returns what the client saw.

    `paused` is the call whose run it goes on with.
    """
    loop = asyncio.get_running_loop()
    record = CallRecord(plan=plan, began=loop.time(), paused=paused)
    call = _start_call(channel, build_request(seed, plan, paused), plan)
    timer = None
    if plan.cancel_after_seconds is not None:
        timer = loop.call_later(plan.cancel_after_seconds, call.cancel)
    try:
        if plan.rpc is Rpc.STREAM:
            await _read_events(call, record)
        else:
            record.response = await call
    except grpc.aio.AioRpcError as error:
        if is_from_server(error):
            record.failure = CallFailed(error)
    except asyncio.CancelledError:
        if not call.cancelled():
            raise
    finally:
        if timer is not None:
            timer.cancel()
    record.code, record.ended = (await call.code()).name, loop.time()
    return record


def _start_call(channel: grpc.aio.Channel, request: completion_pb2.CompleteRequest, plan: CallPlan) -> Any:
    stub: Any = ReasoningServiceStub(channel)
    timeout = PATIENCE_SECONDS if plan.deadline_seconds is None else plan.deadline_seconds
    # The server knows the id in the metadata even of a call that ends before its message is read.
    options = {"timeout": timeout, "metadata": (("x-request-id", request.end_user),)}
    if plan.rpc is Rpc.STREAM:
        return stub.StreamComplete(events_pb2.StreamCompleteRequest(request=request), **options)
    if plan.rpc is Rpc.CLASSIFY:
        return stub.Classify(classification_pb2.ClassifyRequest(request=request), **options)
    return stub.Complete(request, **options)


def is_from_server(error: grpc.aio.AioRpcError) -> bool:
    """Whether the status is the server's own.

    When a deadline passes while a failure arrives, grpc gives a DEADLINE_EXCEEDED of its own with the trailers of the
    server, which name another status, and loses the events before them. The server's status may have the same code, but
    it has another text.
    """
    details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    if details is None or error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
        return details is not None
    status = Status.FromString(bytes(details))
    return (status.code, status.message) == (error.code().value[0], error.details())


async def _read_events(call: Any, record: CallRecord) -> None:
    """Records events until the stream ends; after as many as the plan says the client cancels, and reads on."""
    loop = asyncio.get_running_loop()
    while True:
        event = await call.read()
        if event is grpc.aio.EOF:
            return
        record.events.append((loop.time(), event))
        if len(record.events) == record.plan.cancel_after_events:
            call.cancel()
