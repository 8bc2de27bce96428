"""What litellm says of a model -> our ModelFacts; any member may be missing, null or of another type.

litellm's price map and the `model_info` of a LiteLLM proxy have the same members.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from reasoning_grpc.domain import Capability, Prices
from reasoning_grpc.litellm_model.encodings import encoding_of
from reasoning_grpc.litellm_model.prices.token_prices import number_in, prices_in

_CAPABILITIES: Final[Mapping[str, Capability]] = {
    "supports_function_calling": Capability.TOOLS,
    "supports_response_schema": Capability.JSON_SCHEMA,
    "supports_vision": Capability.IMAGE_INPUT,
    "supports_audio_input": Capability.AUDIO_INPUT,
    "supports_pdf_input": Capability.DOCUMENT_INPUT,
    "supports_reasoning": Capability.REASONING,
}
"""litellm's flags: true, false, or null where it does not know."""

_CHAT_MODES: Final = frozenset({"chat", "completion", "responses"})
_PROVIDER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_TOKENS: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known of a model, whatever the name it is served under."""

    provider: str = ""
    by_responses_api: bool = False
    """Whether litellm asks for it by OpenAI's Responses API."""
    capabilities: frozenset[Capability] = frozenset()
    lacks: frozenset[Capability] = frozenset()
    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    encoding: str = ""
    """Its tokenizer, as tiktoken names it; empty: not known."""
    prices: Prices = field(default_factory=Prices)


def facts_in(members: Mapping[str, Any]) -> ModelFacts:
    """The facts that are what they should be; others are not known."""
    provider, key = members.get("litellm_provider"), members.get("key")
    return ModelFacts(
        provider=provider if isinstance(provider, str) and _PROVIDER.fullmatch(provider) else "",
        by_responses_api=members.get("mode") == "responses",
        capabilities=_flagged(members, True),
        lacks=_flagged(members, False),
        context_window_tokens=_tokens(members.get("max_input_tokens")),
        max_output_tokens=_tokens(members.get("max_output_tokens")),
        encoding=encoding_of(provider, key) if isinstance(provider, str) and isinstance(key, str) else "",
        prices=prices_in(members),
    )


def may_chat(members: Mapping[str, Any]) -> bool:
    """Whether requests can be served: not with a model for embeddings; one without a mode may be anything."""
    mode = members.get("mode")
    return not isinstance(mode, str) or mode in _CHAT_MODES


def _flagged(members: Mapping[str, Any], value: bool) -> frozenset[Capability]:
    flagged = {capability for flag, capability in _CAPABILITIES.items() if members.get(flag) is value}
    # litellm has no flag for it; what takes a schema takes this too.
    return frozenset(flagged | {Capability.JSON_OBJECT} if value and Capability.JSON_SCHEMA in flagged else flagged)


def _tokens(value: object) -> int | None:
    number = number_in(value)
    return int(number) if number is not None and 1 <= number <= _MOST_TOKENS else None
