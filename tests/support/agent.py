"""Runs of the agent: a server with tools, what its model is told to plan, and the requests for it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from google.protobuf.json_format import MessageToDict

from reasoning_grpc.client import CallFailed
from reasoning_grpc.config import CallerEntry, Config, ModelEntry, ToolEntry
from reasoning_grpc.domain import Prices
from reasoning_grpc.v1 import agent_pb2, completion_pb2, events_pb2, routing_pb2, usage_pb2
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry, provider_entry
from tests.support.upstream import DEFAULT_USAGE, FakeUpstream

Events = Sequence[events_pb2.StreamCompleteResponse]

OWN: Final = "tests.support.agent_tools:"
SHARED: Final = "tests.support.tools:"
TOOLS: Final = {
    "wait": OWN + "wait",
    "sleep": OWN + "sleep",
    "note": OWN + "note",
    "count": OWN + "count",
    "weather": SHARED + "weather",
    "fail": SHARED + "fail",
    "fail_with_words": SHARED + "fail_with_words",
    "hang": SHARED + "hang",
    "write_letters": SHARED + "write_letters",
    "return_bytes": SHARED + "return_bytes",
}
PRICES: Final = Prices(input=1_000_000_000, output=2_000_000_000)
"""1000 nano-dollars a token in, 2000 a token out."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call as a model plans it."""

    name: str
    arguments: str


def using(name: str, /, **arguments: Any) -> Call:
    """A call of a tool with these arguments."""
    return Call(name, json.dumps(arguments))


def plan(*calls: Call, thought: str = "I think.", action: str = "", concurrent: bool = False) -> str:
    """A plan as a model writes it: to use these tools, or else to finish."""
    return json.dumps(
        {
            "thought": thought,
            "next_action": action or ("use_tools" if calls else "finish"),
            "tool_calls": [{"name": call.name, "arguments": call.arguments} for call in calls],
            "concurrent": concurrent,
        }
    )


def bare_plan(action: str = "finish", thought: str = "I think.") -> str:
    """A plan of an agent without tools."""
    return json.dumps({"thought": thought, "next_action": action})


def tokens(prompt: int, completion: int) -> dict[str, int]:
    """A usage as an upstream tells it."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def agent_config(
    upstream: FakeUpstream,
    *,
    entry: ModelEntry | None = None,
    tools: Mapping[str, str] = TOOLS,
    callers: Mapping[str, CallerEntry] | None = None,
    tool_limits: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Config:
    """A server whose agent has tools; its one model, with prices, is the fake upstream."""
    model = entry or model_entry(upstream.api_base, prices=PRICES)
    limits = tool_limits or {}
    entries = {name: ToolEntry(name=name, function=function, **limits) for name, function in tools.items()}
    return replace(config_for(model, callers=callers, **settings), tools=entries)


def native_entry(upstream: FakeUpstream, provider: str = "openai", **overrides: Any) -> ModelEntry:
    """The fake upstream as a model that is given its tools in the provider's own way."""
    return provider_entry(upstream, provider, native_tools=True, prices=PRICES, **overrides)


def reasoning_request(
    text: str = "hi", *, agent: Mapping[str, Any] | None = None, **fields: Any
) -> completion_pb2.CompleteRequest:
    """A request for the agent that asks for all there is to see."""
    seen = {
        "include": completion_pb2.IncludeOptions(reasoning=True, thoughts=True, tool_results=True, model_calls=True),
    }
    options = dict(agent or {})
    if (names := options.pop("allowed_tools", None)) is not None:
        options["allowed_tools"] = agent_pb2.ToolSelection(names=names)
    return a_wire_request(
        text,
        routing=routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_REASONING),
        agent=agent_pb2.AgentOptions(**options),
        **{**seen, **fields},
    )


async def stream(
    running: RunningServer, request: completion_pb2.CompleteRequest, **options: Any
) -> list[events_pb2.StreamCompleteResponse]:
    """All events of an answer. Raises CallFailed."""
    return [event async for event in running.client().stream(request, **options)]


async def outcome(
    running: RunningServer, request: completion_pb2.CompleteRequest, **options: Any
) -> tuple[list[events_pb2.StreamCompleteResponse], CallFailed | None]:
    """The events of a stream, and how it failed if it did."""
    events: list[events_pb2.StreamCompleteResponse] = []
    try:
        async for event in running.client().stream(request, **options):
            events.append(event)  # noqa: PERF401 - a comprehension would lose them when the stream fails
    except CallFailed as failure:
        return events, failure
    return events, None


def kinds(events: Events, *without: str) -> list[str]:
    """The kinds of events, in order, but for some."""
    return [str(kind) for event in events if (kind := event.WhichOneof("kind")) not in without]


def of_kind(events: Events, kind: str) -> list[Any]:
    """What the events of one kind carry."""
    return [getattr(event, kind) for event in events if event.WhichOneof("kind") == kind]


def text(events: Events) -> str:
    """The answer's text."""
    return "".join(delta.text for delta in of_kind(events, "content_delta"))


def finished(events: Events) -> agent_pb2.ReasoningFinished:
    """How the thinking ended; it did so once."""
    (finish,) = of_kind(events, "reasoning_finished")
    assert isinstance(finish, agent_pb2.ReasoningFinished)
    return finish


def end(finish: agent_pb2.ReasoningFinished) -> str:
    """Why the thinking ended, without the prefix."""
    return agent_pb2.ReasoningEnd.Name(finish.reason).removeprefix("REASONING_END_")


def outcomes(events: Events) -> list[str]:
    """How the steps ended."""
    return [agent_pb2.StepOutcome.Name(each.outcome)[13:] for each in of_kind(events, "step_finished")]


def executions(events: Events) -> list[agent_pb2.ToolExecution]:
    """The tool calls, in the order in which they ended."""
    return [each.execution for each in of_kind(events, "tool_finished")]


def status(execution: agent_pb2.ToolExecution) -> str:
    """How a tool call ended."""
    return agent_pb2.ToolStatus.Name(execution.status).removeprefix("TOOL_STATUS_")


def purposes(model_calls: Iterable[usage_pb2.ModelCallUsage]) -> list[str]:
    """What the model calls were for."""
    return [usage_pb2.ModelCallPurpose.Name(call.purpose)[19:] for call in model_calls]


def shown(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The texts of messages, as an upstream got them."""
    for message in messages:
        content = message.get("content") or ""
        yield content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def told(message: Any) -> dict[str, Any]:
    """A message of ours without what differs from run to run: times and ids."""
    values = MessageToDict(message)
    _forget(values)
    return values


def _forget(value: Any) -> None:
    if isinstance(value, dict):
        for name in ("duration", "timings", "responseId", "startOffset", "elapsedMs"):
            value.pop(name, None)
        for each in value.values():
            _forget(each)
    elif isinstance(value, list):
        for each in value:
            _forget(each)


DEFAULT_TOKENS: Final = int(DEFAULT_USAGE["total_tokens"])
"""Of each answer that is not told otherwise."""
