"""Runs of the agent for tests: a server with tools, plans for its model, requests, and readers of its events."""

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
from tests.support.upstream import DEFAULT_USAGE, FakeUpstream, Standing

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
    "ask_for_a_city": SHARED + "ask_for_a_city",
    "hang": SHARED + "hang",
    "write_letters": SHARED + "write_letters",
    "return_bytes": SHARED + "return_bytes",
}
PRICES: Final = Prices(input=1_000_000_000, output=2_000_000_000)
"""1000 nano-dollars for each input token, 2000 for each output token."""


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A tool call as a model plans it."""

    name: str
    arguments: str


def plan_call(name: str, /, **arguments: Any) -> PlannedCall:
    """Builds a call of a tool with these arguments."""
    return PlannedCall(name, json.dumps(arguments))


def write_plan(*calls: PlannedCall, thought: str = "I think.", action: str = "", concurrent: bool = False) -> str:
    """Writes a plan as a model writes it: it calls these tools, or finishes if there are none."""
    return json.dumps(
        {
            "thought": thought,
            "next_action": action or ("use_tools" if calls else "finish"),
            "tool_calls": [{"name": call.name, "arguments": call.arguments} for call in calls],
            "concurrent": concurrent,
        }
    )


def write_plan_without_tools(action: str = "finish", thought: str = "I think.") -> str:
    """Writes a plan of an agent that has no tools."""
    return json.dumps({"thought": thought, "next_action": action})


def build_usage(prompt: int, completion: int) -> dict[str, int]:
    """Builds the usage that an upstream reports."""
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
    """Builds the configuration of a server whose agent has tools; its one model, with prices, is the fake upstream."""
    model = entry or model_entry(upstream.api_base, prices=PRICES)
    limits = tool_limits or {}
    entries = {name: ToolEntry(name=name, function=function, **limits) for name, function in tools.items()}
    return replace(config_for(model, callers=callers, **settings), tools=entries)


def native_entry(upstream: FakeUpstream, provider: str = "openai", **overrides: Any) -> ModelEntry:
    """Builds the entry of a model that receives its tools in the provider's own format."""
    return provider_entry(upstream, provider, native_tools=True, prices=PRICES, **overrides)


def reasoning_request(
    prompt: str = "hi", *, agent: Mapping[str, Any] | None = None, **fields: Any
) -> completion_pb2.CompleteRequest:
    """Builds a request for the agent that includes everything which can be included."""
    included = {
        "include": completion_pb2.IncludeOptions(reasoning=True, thoughts=True, tool_results=True, model_calls=True),
    }
    options = dict(agent or {})
    if (names := options.pop("allowed_tools", None)) is not None:
        options["allowed_tools"] = agent_pb2.ToolSelection(names=names)
    return a_wire_request(
        prompt,
        routing=routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_REASONING),
        agent=agent_pb2.AgentOptions(**options),
        **{**included, **fields},
    )


def script_steps(upstream: FakeUpstream, reply: str, **options: Any) -> None:
    """Scripts the upstream: every step gets this reply, and any other call gets an answer."""
    step, answer = Standing(), Standing()
    step.reply(reply, **options)
    answer.reply("The answer.")
    upstream.always.choose(lambda body: step if "response_format" in body else answer)


async def collect_events(
    running: RunningServer, request: completion_pb2.CompleteRequest, **options: Any
) -> list[events_pb2.StreamCompleteResponse]:
    """Returns all events of an answer. Raises CallFailed."""
    return [event async for event in running.client().stream(request, **options)]


async def collect_until_failure(
    running: RunningServer, request: completion_pb2.CompleteRequest, **options: Any
) -> tuple[list[events_pb2.StreamCompleteResponse], CallFailed | None]:
    """Returns the events of a stream, and its failure if it failed."""
    events: list[events_pb2.StreamCompleteResponse] = []
    try:
        async for event in running.client().stream(request, **options):
            events.append(event)  # noqa: PERF401 - a comprehension would lose them when the stream fails
    except CallFailed as failure:
        return events, failure
    return events, None


def list_kinds(events: Events, *without: str) -> list[str]:
    """Returns the kinds of the events in order, without those in `without`."""
    return [str(kind) for event in events if (kind := event.WhichOneof("kind")) not in without]


def select_payloads(events: Events, kind: str) -> list[Any]:
    """Returns the payloads of the events of one kind."""
    return [getattr(event, kind) for event in events if event.WhichOneof("kind") == kind]


def join_text(events: Events) -> str:
    """Joins the deltas of the answer's text."""
    return "".join(delta.text for delta in select_payloads(events, "content_delta"))


def find_finish(events: Events) -> agent_pb2.ReasoningFinished:
    """Returns the one event that says how the thinking ended."""
    (finish,) = select_payloads(events, "reasoning_finished")
    assert isinstance(finish, agent_pb2.ReasoningFinished)
    return finish


def name_end(finish: agent_pb2.ReasoningFinished) -> str:
    """Names the reason why the thinking ended, without its prefix."""
    return agent_pb2.ReasoningEnd.Name(finish.reason).removeprefix("REASONING_END_")


def list_outcomes(events: Events) -> list[str]:
    """Returns the outcomes of the steps, without their prefix."""
    return [agent_pb2.StepOutcome.Name(each.outcome)[13:] for each in select_payloads(events, "step_finished")]


def list_executions(events: Events) -> list[agent_pb2.ToolExecution]:
    """Returns the tool calls, in the order in which they ended."""
    return [each.execution for each in select_payloads(events, "tool_finished")]


def name_status(execution: agent_pb2.ToolExecution) -> str:
    """Names the status of a tool call, without its prefix."""
    return agent_pb2.ToolStatus.Name(execution.status).removeprefix("TOOL_STATUS_")


def list_purposes(model_calls: Iterable[usage_pb2.ModelCallUsage]) -> list[str]:
    """Returns the purposes of the model calls, without their prefix."""
    return [usage_pb2.ModelCallPurpose.Name(call.purpose)[19:] for call in model_calls]


def read_texts(messages: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yields the texts of messages that an upstream received."""
    for message in messages:
        content = message.get("content") or ""
        yield content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def drop_times_and_ids(message: Any) -> dict[str, Any]:
    """Converts a message to a dict without times and ids, which differ from run to run."""
    values = MessageToDict(message)
    _remove_times_and_ids(values)
    return values


def _remove_times_and_ids(value: Any) -> None:
    if isinstance(value, dict):
        for name in ("duration", "timings", "responseId", "startOffset", "elapsedMs"):
            value.pop(name, None)
        for each in value.values():
            _remove_times_and_ids(each)
    elif isinstance(value, list):
        for each in value:
            _remove_times_and_ids(each)


DEFAULT_TOKENS: Final = int(DEFAULT_USAGE["total_tokens"])
"""The total tokens of an answer whose usage a test does not choose."""
