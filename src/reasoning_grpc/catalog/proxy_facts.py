"""What a LiteLLM proxy says of its models -> our ModelInfo; any member may be missing, null or of another type."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import msgspec

from reasoning_grpc.config import MODEL_NAME
from reasoning_grpc.domain import ModelInfo, ModelSourceKind, Prices
from reasoning_grpc.litellm_model.answers import MalformedAnswer
from reasoning_grpc.litellm_model.prices.model_facts import can_chat, read_facts

R = TypeVar("R")

_UNKNOWN_PROVIDER: Final = "litellm_proxy"


class _InfoRow(msgspec.Struct):
    model_name: str
    model_info: msgspec.Raw = msgspec.Raw(b"{}")


class _ListRow(msgspec.Struct):
    id: str
    mode: Any = None
    max_input_tokens: Any = None
    max_output_tokens: Any = None


class _Listing(msgspec.Struct):
    data: list[msgspec.Raw]


def models_of_info(body: bytes) -> dict[str, ModelInfo]:
    """The models of an answer to /model/info, by name. Raises MalformedAnswer."""
    rows = _rows(body, _InfoRow)
    return _by_name((row.model_name, _decoded(row.model_info, dict[str, Any]) or {}) for row in rows)


def models_of_list(body: bytes) -> dict[str, ModelInfo]:
    """The models of an answer to /models, by name. Raises MalformedAnswer."""
    return _by_name((row.id, msgspec.structs.asdict(row)) for row in _rows(body, _ListRow))


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


def _by_name(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, ModelInfo]:
    """One model a name; names that requests cannot have, wildcards among them, and models that do not chat are out."""
    infos: dict[str, ModelInfo] = {}
    for name, members in rows:
        if not MODEL_NAME.fullmatch(name) or not can_chat(members):
            continue
        info = _model_info(name, members)
        infos[name] = _merged(infos[name], info) if name in infos else info
    return infos


def _model_info(name: str, members: Mapping[str, Any]) -> ModelInfo:
    facts = read_facts(members)
    return ModelInfo(
        name=name,
        source=ModelSourceKind.PROXY,
        provider=facts.provider or _UNKNOWN_PROVIDER,
        capabilities=facts.capabilities,
        lacks=facts.lacks,
        context_window_tokens=facts.context_window_tokens,
        max_output_tokens=facts.max_output_tokens,
        encoding=facts.encoding,
        prices=facts.prices,
    )


def _merged(one: ModelInfo, other: ModelInfo) -> ModelInfo:
    """Two deployments of one name, of which the proxy takes either: what holds for both."""
    same_prices = one.prices == other.prices
    return replace(
        one,
        provider=one.provider if one.provider == other.provider else _UNKNOWN_PROVIDER,
        capabilities=one.capabilities & other.capabilities,
        lacks=one.lacks & other.lacks,
        context_window_tokens=_least(one.context_window_tokens, other.context_window_tokens),
        max_output_tokens=_least(one.max_output_tokens, other.max_output_tokens),
        encoding=one.encoding if one.encoding == other.encoding else "",
        prices=one.prices if same_prices else Prices(),
    )


def _least(one: int | None, other: int | None) -> int | None:
    """The smaller one; None when one of the two is not known."""
    return None if one is None or other is None else min(one, other)
