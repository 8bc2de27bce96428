"""Converts what litellm lists of a model to our `ModelFacts`; any member may be missing, null or of another type.

litellm's price map and the `model_info` of a LiteLLM proxy have the same members.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

from reasoning_grpc.domain import Capability, Prices, ReasoningEffort, Wire
from reasoning_grpc.litellm_model.encodings import find_encoding
from reasoning_grpc.litellm_model.lenient import read_text
from reasoning_grpc.litellm_model.prices.efforts import read_efforts
from reasoning_grpc.litellm_model.prices.token_prices import read_number, read_prices

_CAPABILITIES: Final[Mapping[str, Capability]] = {
    "supports_function_calling": Capability.TOOLS,
    "supports_response_schema": Capability.JSON_SCHEMA,
    "supports_vision": Capability.IMAGE_INPUT,
    "supports_audio_input": Capability.AUDIO_INPUT,
    "supports_pdf_input": Capability.DOCUMENT_INPUT,
    "supports_reasoning": Capability.REASONING,
}
"""litellm's flags: true, false, or null where it does not know."""

_WIRES: Final[Mapping[str, Wire]] = {"/v1/chat/completions": Wire.CHAT, "/v1/responses": Wire.RESPONSES}
"""litellm's names of the endpoints."""
_CHAT_MODES: Final = frozenset({"chat", "completion", "responses"})
_PROVIDER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_TOKENS: Final = 2**31 - 1


class ModelFacts(Struct, frozen=True, kw_only=True):
    """The known facts about a model, whatever name it is served under."""

    provider: str = ""
    wires: frozenset[Wire] = frozenset()
    """The APIs of OpenAI's that serve it; empty when they are not known."""
    default_effort: str = ""
    """The effort of a call that names none, in the provider's own word; empty when it is not known."""
    capabilities: frozenset[Capability] = frozenset()
    missing_capabilities: frozenset[Capability] = frozenset()
    """The capabilities that it is known to lack; a capability in neither set is unknown."""
    efforts: frozenset[ReasoningEffort] | None = None
    """The reasoning efforts that it takes; see `read_efforts`. None where they are not known."""
    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    encoding: str = ""
    """Its tokenizer, as tiktoken names it; empty when it is not known."""
    prices: Prices = field(default_factory=Prices)


def read_facts(members: Mapping[str, Any], twin: Mapping[str, Any] | None = None) -> ModelFacts:
    """Returns the facts of a model; a member with a value that makes no sense counts as unknown.

    `twin` is what is listed of the model of the same name without the provider's prefix.
    """
    provider, key = members.get("litellm_provider"), members.get("key")
    return ModelFacts(
        provider=provider if isinstance(provider, str) and _PROVIDER.fullmatch(provider) else "",
        wires=_read_wires(members),
        default_effort=read_text(members.get("default_reasoning_effort")),
        capabilities=_read_flags(members, value=True),
        missing_capabilities=_read_flags(members, value=False),
        efforts=read_efforts(members, twin or {}),
        context_window_tokens=_read_limit(members.get("max_input_tokens")),
        max_output_tokens=_read_limit(members.get("max_output_tokens")),
        encoding=find_encoding(provider, key) if isinstance(provider, str) and isinstance(key, str) else "",
        prices=read_prices(members),
    )


def can_chat(members: Mapping[str, Any]) -> bool:
    """Whether a model can serve requests: one for embeddings, for example, cannot. One without a mode may."""
    mode = members.get("mode")
    return not isinstance(mode, str) or mode in _CHAT_MODES


def _read_wires(members: Mapping[str, Any]) -> frozenset[Wire]:
    """Returns the APIs that serve a model. The mode "responses" means that Chat Completions does not."""
    endpoints = members.get("supported_endpoints")
    listed = endpoints if isinstance(endpoints, list) else []
    wires = {wire for endpoint, wire in _WIRES.items() if endpoint in listed}
    return frozenset({Wire.RESPONSES} if members.get("mode") == "responses" else wires)


def _read_flags(members: Mapping[str, Any], *, value: bool) -> frozenset[Capability]:
    flagged = {capability for flag, capability in _CAPABILITIES.items() if members.get(flag) is value}
    # litellm has no flag for JSON objects; a model that takes a schema takes them too.
    return frozenset(flagged | {Capability.JSON_OBJECT} if value and Capability.JSON_SCHEMA in flagged else flagged)


def _read_limit(value: object) -> int | None:
    number = read_number(value)
    return int(number) if number is not None and 1 <= number <= _MOST_TOKENS else None
