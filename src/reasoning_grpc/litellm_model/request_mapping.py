"""`RequestMapper`: lets litellm map calls to requests, which we send and whose answers we read.

`litellm.acompletion` gets a client that only records what it is to send. In the OpenAI protocol, what litellm decides
depends on the model and on the shape of the parameters, so it is kept: only the first call of each shape goes through
litellm. Where our own code writes the conversation, litellm sees only parameters, and what it makes of them is kept.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
from cachetools import LRUCache

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.addresses import build_chat_address, build_litellm_address
from reasoning_grpc.litellm_model.request import (
    JSON_TOOL,
    STAY_WITH_CHAT,
    STREAMED,
    BodyPlan,
    WireCheck,
    build_arguments,
    build_own_members,
    choose_model,
    copy_arguments,
    find_wire_rules,
    join_members,
    restore_address,
    restore_model,
    writes_conversation,
)
from reasoning_grpc.litellm_model.transport.mapping_client import MappingClient, RecordedRequest
from reasoning_grpc.llm import ModelCall

_MOST_RECORDED: Final = 256
"""The most requests that are kept whole; those of Anthropic hold the schemas of tools."""


@dataclass(frozen=True, slots=True)
class MappedRequest:
    """A request that is ready to be sent."""

    url: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    has_callers_tools: bool = False
    """Whether the tools in the body are the caller's, whatever their names."""

    @property
    def answers_by_tool(self) -> bool:
        """Whether the model is made to write its answer as the arguments of a tool call."""
        tools = self.body.get("tools") or ()
        return not self.has_callers_tools and any(tool.get("function", tool).get("name") == JSON_TOOL for tool in tools)


@dataclass(frozen=True, slots=True)
class _Mapping:
    """What is kept of a request for the next call of its shape."""

    url: str
    headers: Mapping[str, str]
    plan: BodyPlan


class RequestMapper:
    """Maps calls to requests, and keeps what litellm has decided, for a bounded number of shapes."""

    def __init__(self, most_mappings: int = 4096) -> None:
        """At most `most_mappings` of each kind are kept; the one that was used least recently makes room."""
        self._mappings: LRUCache[Hashable, _Mapping] = LRUCache(most_mappings)
        self._recorded: LRUCache[Hashable, RecordedRequest] = LRUCache(min(most_mappings, _MOST_RECORDED))

    @property
    def mapping_count(self) -> int:
        """The mappings that are kept."""
        return len(self._mappings) + len(self._recorded)

    async def map_call(self, call: ModelCall, deployment: Deployment) -> MappedRequest:
        """Returns the request of a prepared call. Raises litellm's exceptions, and UpstreamParameterUnsupported."""
        requested = {**build_arguments(call, deployment), **STREAMED}
        own, rules = build_own_members(call, deployment), find_wire_rules(deployment.provider)
        if rules is None:  # litellm alone knows what the provider takes
            recorded = await self._map_parameters(requested, deployment)
            return _build_request(recorded, _restore_body(recorded, own, deployment), call, deployment)
        check = WireCheck(requested, own, rules, model=deployment.name)
        key = (_describe_deployment(deployment), check.describe_shape())
        if (known := self._mappings.get(key)) is not None:
            return MappedRequest(known.url, known.headers, check.write(known.plan), bool(call.tools))
        recorded = await _record(requested, deployment)
        body = _restore_body(recorded, own, deployment)
        request = _build_request(recorded, check.correct(body), call, deployment)
        if (plan := check.plan(body)) is not None:
            self._mappings[key] = _Mapping(request.url, request.headers, plan)
        return request

    async def _map_parameters(self, requested: Mapping[str, Any], deployment: Deployment) -> RecordedRequest:
        """Returns the request that litellm makes of these arguments. Raises litellm's exceptions."""
        if not writes_conversation(deployment.provider):
            return await _record(requested, deployment)
        key = (_describe_deployment(deployment), sha256(msgspec.json.encode(requested)).digest())
        recorded = self._recorded.get(key)
        if recorded is None:
            recorded = await _record(requested, deployment)
            self._recorded[key] = recorded
        return recorded


def _describe_deployment(deployment: Deployment) -> Hashable:
    """Returns what decides the address, the key and the model of a request; a key counts by its identity."""
    parameters = tuple(deployment.litellm_params.items())
    return (deployment.litellm_model, deployment.deciding_model, deployment.api_base, deployment.api_key, parameters)


async def _record(requested: Mapping[str, Any], deployment: Deployment) -> RecordedRequest:
    """Returns the request that litellm maps. Raises litellm's exceptions."""
    client_class = library.make_client_class(MappingClient, for_azure=deployment.provider == "azure")
    client: MappingClient = client_class()
    arguments = {**copy_arguments(requested), **build_litellm_address(deployment), **choose_model(deployment)}
    stream = await library.acompletion(**arguments, **STAY_WITH_CHAT, client=client)
    try:
        if client.recorded is None:  # litellm maps some requests when their answer is first read
            await anext(stream, None)
    except Exception:
        if client.recorded is None:
            raise
        # litellm cannot read the answer, because nobody wrote it.
    finally:
        if hasattr(stream, "aclose"):
            await stream.aclose()
    if client.recorded is None:
        raise RuntimeError("litellm has not used our client")
    return client.recorded


def _restore_body(recorded: RecordedRequest, own: Mapping[str, Any], deployment: Deployment) -> dict[str, Any]:
    """Returns the body that litellm has built, with our own members and the provider's own name of the model."""
    body = join_members(recorded.body, own)
    restore_model(body, deployment)
    return body


def _build_request(
    recorded: RecordedRequest, body: Mapping[str, Any], call: ModelCall, deployment: Deployment
) -> MappedRequest:
    if recorded.headers is None:
        url, headers = build_chat_address(deployment, recorded.query)
    else:
        url, headers = restore_address(recorded.url, deployment), recorded.headers
    return MappedRequest(url, headers, body, bool(call.tools))
