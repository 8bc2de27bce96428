"""What a LiteLLM proxy says of its models -> our ModelInfo; any member may be missing, null or of another type."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, TypeGuard, TypeVar

import msgspec

from reasoning_grpc.config import MODEL_NAME
from reasoning_grpc.litellm_model.answers import MalformedAnswer
from reasoning_grpc.types import Capability, ModelInfo, ModelSourceKind, Prices

R = TypeVar("R")

_CAPABILITIES: Final[Mapping[str, Capability]] = {
    "supports_function_calling": Capability.TOOLS,
    "supports_response_schema": Capability.JSON_SCHEMA,
    "supports_vision": Capability.IMAGE_INPUT,
    "supports_audio_input": Capability.AUDIO_INPUT,
    "supports_pdf_input": Capability.DOCUMENT_INPUT,
    "supports_reasoning": Capability.REASONING,
}
"""The flags of `model_info`: true, false, or null where LiteLLM does not know."""

_CHAT_MODES: Final = frozenset({"chat", "completion", "responses"})
"""Of the others, such as "embedding", nothing can be served here; a model without a mode may be anything."""
_PROVIDER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST_TOKENS: Final = 2**31 - 1
_NANO_PER_MILLION_TOKENS: Final = 10**15


class _Facts(msgspec.Struct):
    """What is read of a model: of `model_info`, or, less of it, of a row of the plain list."""

    mode: Any = None
    litellm_provider: Any = None
    max_input_tokens: Any = None
    max_output_tokens: Any = None
    input_cost_per_token: Any = None
    output_cost_per_token: Any = None
    cache_read_input_token_cost: Any = None
    cache_creation_input_token_cost: Any = None
    supports_function_calling: Any = None
    supports_response_schema: Any = None
    supports_vision: Any = None
    supports_audio_input: Any = None
    supports_pdf_input: Any = None
    supports_reasoning: Any = None


class _InfoRow(msgspec.Struct):
    model_name: str
    model_info: msgspec.Raw = msgspec.Raw(b"{}")


class _ListRow(_Facts, kw_only=True):
    id: str


class _Listing(msgspec.Struct):
    data: list[msgspec.Raw]


def models_of_info(body: bytes) -> dict[str, ModelInfo]:
    """The models of an answer to /model/info, by name. Raises MalformedAnswer."""
    rows = _rows(body, _InfoRow)
    return _by_name((row.model_name, _decoded(row.model_info, _Facts) or _Facts()) for row in rows)


def models_of_list(body: bytes) -> dict[str, ModelInfo]:
    """The models of an answer to /models, by name. Raises MalformedAnswer."""
    return _by_name((row.id, row) for row in _rows(body, _ListRow))


def _rows(body: bytes, kind: type[R]) -> list[R]:
    listing = _decoded(body, _Listing)
    rows = [row for raw in listing.data if (row := _decoded(raw, kind)) is not None] if listing else []
    if listing is None or (listing.data and not rows):
        raise MalformedAnswer("the list is not one of models")
    return rows


def _decoded(data: bytes | msgspec.Raw, kind: type[R]) -> R | None:
    """The JSON as this type; None when it is not."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError):
        return None


def _by_name(rows: Iterable[tuple[str, _Facts]]) -> dict[str, ModelInfo]:
    """One model a name; names that requests cannot have, wildcards among them, and models that do not chat are out."""
    infos: dict[str, ModelInfo] = {}
    for name, facts in rows:
        if not MODEL_NAME.fullmatch(name) or (isinstance(facts.mode, str) and facts.mode not in _CHAT_MODES):
            continue
        info = _model_info(name, facts)
        infos[name] = _merged(infos[name], info) if name in infos else info
    return infos


def _model_info(name: str, facts: _Facts) -> ModelInfo:
    provider = facts.litellm_provider
    return ModelInfo(
        name=name,
        source=ModelSourceKind.PROXY,
        provider=provider if isinstance(provider, str) and _PROVIDER.fullmatch(provider) else "litellm_proxy",
        capabilities=_flagged(facts, True),
        lacks=_flagged(facts, False),
        context_window_tokens=_tokens(facts.max_input_tokens),
        max_output_tokens=_tokens(facts.max_output_tokens),
        prices=Prices(
            input=_price(facts.input_cost_per_token),
            output=_price(facts.output_cost_per_token),
            cached_input=_price(facts.cache_read_input_token_cost),
            cache_write=_price(facts.cache_creation_input_token_cost),
        ),
    )


def _merged(one: ModelInfo, other: ModelInfo) -> ModelInfo:
    """Two deployments of one name, of which the proxy takes either: what holds for both."""
    same_prices = one.prices == other.prices
    return replace(
        one,
        provider=one.provider if one.provider == other.provider else "litellm_proxy",
        capabilities=one.capabilities & other.capabilities,
        lacks=one.lacks & other.lacks,
        context_window_tokens=_least(one.context_window_tokens, other.context_window_tokens),
        max_output_tokens=_least(one.max_output_tokens, other.max_output_tokens),
        prices=one.prices if same_prices else Prices(),
    )


def _flagged(facts: _Facts, value: bool) -> frozenset[Capability]:
    flagged = {capability for flag, capability in _CAPABILITIES.items() if getattr(facts, flag) is value}
    # LiteLLM has no flag for it; what takes a schema takes this too.
    return frozenset(flagged | {Capability.JSON_OBJECT} if value and Capability.JSON_SCHEMA in flagged else flagged)


def _tokens(value: object) -> int | None:
    if not _is_number(value) or not 1 <= value <= _MOST_TOKENS:
        return None
    return int(value)


def _price(value: object) -> int | None:
    """US dollars a token -> nano-dollars for a million; more than a dollar a token is no price."""
    if not _is_number(value) or not 0 <= value <= 1:
        return None
    return round(Decimal(str(value)) * _NANO_PER_MILLION_TOKENS)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _least(one: int | None, other: int | None) -> int | None:
    """The smaller one; None when one of the two is not known."""
    return None if one is None or other is None else min(one, other)
