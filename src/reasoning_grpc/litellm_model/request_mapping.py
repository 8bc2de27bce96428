"""`RequestMapper`: lets litellm map calls to requests, which we send and whose answers we read.

`litellm.acompletion` gets a client that only records what it is to send. In the OpenAI protocol, what litellm decides
depends on the model and on the shape of the parameters, so it is kept: only the first call of each shape goes through
litellm. Of calls that differ in their messages alone, the bytes of everything else are kept, too. Where our own code
writes the conversation, litellm sees only parameters, and what it makes of them is kept.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
from cachetools import LRUCache
from msgspec import Struct

from reasoning_grpc.domain import Deployment
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.addresses import build_chat_address, build_litellm_address
from reasoning_grpc.litellm_model.request import (
    JSON_TOOL,
    STAY_WITH_CHAT,
    STREAMED,
    BodyFrame,
    BodyPlan,
    WireCheck,
    WireRules,
    build_arguments,
    build_own_members,
    choose_model,
    convert_conversation,
    copy_arguments,
    describe_messages,
    describe_parameters,
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
_MOST_KNOWN: Final = 512
"""The most requests whose bytes are kept: each end user has one of their own."""
_MOST_KNOWN_BYTES: Final = 2 * 1024 * 1024
"""The most bytes that are kept of them; the schemas of tools may be long."""


class MappedRequest(Struct, frozen=True):
    """A request that is ready to be sent."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    answers_by_tool: bool = False
    """Whether the model is made to write its answer as the arguments of a tool call."""


@dataclass(frozen=True, slots=True)
class _Mapping:
    """What is kept of a request for the next call of its shape."""

    url: str
    headers: Mapping[str, str]
    plan: BodyPlan


@dataclass(frozen=True, slots=True)
class _KnownRequest:
    """What is kept of a request for the next call that differs in its messages alone."""

    url: str
    headers: Mapping[str, str]
    frame: BodyFrame


class RequestMapper:
    """Maps calls to requests, and keeps what litellm has decided, for a bounded number of shapes."""

    def __init__(self, most_mappings: int = 4096, most_known_bytes: int = _MOST_KNOWN_BYTES) -> None:
        """At most `most_mappings` of each kind are kept; the one that was used least recently makes room.

        The bytes of requests are kept up to `most_known_bytes`; when there is no room, they are all dropped.
        """
        self._mappings: LRUCache[Hashable, _Mapping] = LRUCache(most_mappings)
        self._recorded: LRUCache[Hashable, RecordedRequest] = LRUCache(min(most_mappings, _MOST_RECORDED))
        self._known: dict[Hashable, _KnownRequest] = {}  # read by each call, and an LRU cache takes 1 us
        self._known_bytes = 0
        self._most_known = min(most_mappings, _MOST_KNOWN)
        self._most_known_bytes = most_known_bytes

    @property
    def mapping_count(self) -> int:
        """The mappings that are kept, without the bytes that are kept beside them."""
        return len(self._mappings) + len(self._recorded)

    @property
    def known_count(self) -> int:
        """The requests whose bytes are kept."""
        return len(self._known)

    async def map_call(self, call: ModelCall, deployment: Deployment) -> MappedRequest:
        """Returns the request of a prepared call. Raises litellm's exceptions, and UpstreamParameterUnsupported."""
        rules = find_wire_rules(deployment.provider)
        if rules is None:  # litellm alone knows what the provider takes
            requested, own = {**build_arguments(call, deployment), **STREAMED}, build_own_members(call, deployment)
            recorded = await self._map_parameters(requested, deployment)
            url, headers = _find_address(recorded, deployment)
            return _build_request(url, headers, _restore_body(recorded, own, deployment), call)
        messages = convert_conversation(call, deployment)
        key = (_describe_deployment(deployment), describe_parameters(call), describe_messages(messages))
        known = self._known.get(key)
        if known is not None:
            return MappedRequest(known.url, known.headers, known.frame.write(messages))
        return await self._map_anew(call, deployment, rules, key)

    async def _map_anew(
        self, call: ModelCall, deployment: Deployment, rules: WireRules, key: Hashable
    ) -> MappedRequest:
        """Returns the request of a call whose bytes are not kept, and keeps what holds for other calls."""
        requested, own = {**build_arguments(call, deployment), **STREAMED}, build_own_members(call, deployment)
        check = WireCheck(requested, own, rules, model=deployment.name)
        shape = (_describe_deployment(deployment), check.describe_shape())
        mapping = self._mappings.get(shape)
        if mapping is None:
            recorded = await _record(requested, deployment)
            body = _restore_body(recorded, own, deployment)
            url, headers = _find_address(recorded, deployment)
            corrected, plan = check.correct(body), check.plan(body)
            if plan is None:
                return _build_request(url, headers, corrected, call)
            mapping = self._mappings[shape] = _Mapping(url, headers, plan)
        written = check.write(mapping.plan)
        request = _build_request(mapping.url, mapping.headers, written, call)
        if written["messages"] is requested["messages"] and not request.answers_by_tool:
            self._keep(key, _KnownRequest(mapping.url, mapping.headers, BodyFrame.cut(written)))
        return request

    def _keep(self, key: Hashable, known: _KnownRequest) -> None:
        """Keeps the bytes of a request if they are not too many."""
        size = known.frame.size
        if size > self._most_known_bytes:
            return
        if len(self._known) >= self._most_known or self._known_bytes + size > self._most_known_bytes:
            self._known.clear()
            self._known_bytes = 0
        if key not in self._known:  # another call of the same shape may have come first
            self._known_bytes += size
        self._known[key] = known

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
    return (deployment.model_and_server, deployment.api_key, tuple(deployment.litellm_params.items()))


async def _record(requested: Mapping[str, Any], deployment: Deployment) -> RecordedRequest:
    """Returns the request that litellm maps. Raises litellm's exceptions."""
    client_class = library.make_client_class(MappingClient, for_azure=deployment.provider == "azure")
    client: MappingClient = client_class()
    arguments = {**copy_arguments(requested), **build_litellm_address(deployment), **choose_model(deployment)}
    beginning = library.acompletion(**arguments, **STAY_WITH_CHAT, client=client)
    stream = await library.leave_thread_first(beginning, lambda: True)
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


def _find_address(recorded: RecordedRequest, deployment: Deployment) -> tuple[str, Mapping[str, str]]:
    """Returns the URL and the headers of a request that litellm has mapped."""
    if recorded.headers is None:
        return build_chat_address(deployment, recorded.query)
    return restore_address(recorded.url, deployment), recorded.headers


def _build_request(url: str, headers: Mapping[str, str], body: Mapping[str, Any], call: ModelCall) -> MappedRequest:
    tools = () if call.tools else body.get("tools") or ()  # the caller's own may have any name
    answers_by_tool = any(tool.get("function", tool).get("name") == JSON_TOOL for tool in tools)
    return MappedRequest(url, headers, msgspec.json.encode(body), answers_by_tool)
