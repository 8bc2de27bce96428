"""Requests in the automatic mode for tests: routes, callers, replies of the classifier, and readers of its work."""

import json
from dataclasses import replace
from typing import Any, Final

from reasoning_grpc.config import CallerEntry, ClassifierEntry, Config, RouteEntry, hash_token
from reasoning_grpc.domain import RoutingMode
from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, routing_pb2, usage_pb2
from tests.support.factories import a_stream_request, a_wire_request
from tests.support.serving import RunningServer, model_entry
from tests.support.upstream import CapturedRequest, FakeUpstream

PASSTHROUGH: Final = routing_pb2.ROUTING_MODE_PASSTHROUGH
REASONING: Final = routing_pb2.ROUTING_MODE_REASONING
AUTO: Final[dict[str, Any]] = {"routing": routing_pb2.RoutingOptions(mode=routing_pb2.ROUTING_MODE_AUTO)}
CLASSIFIER: Final = routing_pb2.ROUTE_SOURCE_CLASSIFIER
FALLBACK: Final = routing_pb2.ROUTE_SOURCE_CLASSIFIER_FALLBACK
CACHE: Final = routing_pb2.ROUTE_SOURCE_CACHE
ROUTING: Final = usage_pb2.MODEL_CALL_PURPOSE_ROUTING
REPAIR: Final = usage_pb2.MODEL_CALL_PURPOSE_REPAIR
ANSWER: Final = usage_pb2.MODEL_CALL_PURPOSE_ANSWER

ROUTES: Final = {
    "careful": RouteEntry(name="careful", mode=RoutingMode.PASSTHROUGH, description="What must be right."),
    "research": RouteEntry(name="research", mode=RoutingMode.REASONING, description="Many sources."),
}
CALLERS: Final = {
    name: CallerEntry(name=name, token_hash=hash_token(name), allowed_routes=routes)
    for name, routes in {
        "all": None,
        "plain": frozenset({"passthrough"}),
        "thinking": frozenset({"reasoning", "careful"}),
        "nothing": frozenset({"orchestration"}),
    }.items()
}
NO_CACHE: Final = ClassifierEntry(model="judge", timeout_seconds=60.0, cache_entries=0)


def write_choice(route: str) -> str:
    """Writes the answer of a classifier that chooses this route."""
    return json.dumps({"route": route})


def build_schema(*routes: str) -> dict[str, Any]:
    """Builds the whole schema that a provider receives for these routes."""
    return {
        "type": "object",
        "properties": {"route": {"type": "string", "enum": list(routes)}},
        "required": ["route"],
        "additionalProperties": False,
    }


def add_big_model(config: Config, upstream: FakeUpstream) -> Config:
    """Adds a model of its own for the route "careful" to a configuration."""
    careful = replace(ROUTES["careful"], model="big")
    models = {**config.models, "big": model_entry(upstream.api_base, "big")}
    return replace(config, models=models, routes={**ROUTES, "careful": careful})


async def classify(
    running: RunningServer, token: str = "all", *, rules_only: bool = False, metadata: Any = (), **fields: Any
) -> routing_pb2.RouteDecision:
    """Returns the decision of `Classify`."""
    stub: Any = running.stub
    request = classification_pb2.ClassifyRequest(request=a_wire_request(**fields), rules_only=rules_only)
    response = await stub.Classify(request, metadata=(("authorization", f"Bearer {token}"), *metadata))
    decision: routing_pb2.RouteDecision = response.route_decision
    return decision


async def collect_events(running: RunningServer, **fields: Any) -> list[events_pb2.StreamCompleteResponse]:
    """Returns all events of an answer, with those of its model calls."""
    stub: Any = running.stub
    include = completion_pb2.IncludeOptions(model_calls=True)
    return [event async for event in stub.StreamComplete(a_stream_request(include=include, **fields))]


def list_kinds(events: list[events_pb2.StreamCompleteResponse]) -> list[str]:
    """Returns the kinds of the events in order."""
    return [str(event.WhichOneof("kind")) for event in events]


def read_prompt(request: CapturedRequest) -> tuple[str, list[dict[str, str]]]:
    """Returns the instructions of the classifier, and the messages of the conversation that it was given."""
    system, user = request.body["messages"][:2]
    assert (system["role"], user["role"]) == ("system", "user")
    first, *lines, last = user["content"].splitlines()
    assert (first, last) == ("<conversation>", "</conversation>")
    return system["content"], [json.loads(line) for line in lines]
