"""Converts a LiteLLM proxy's lists of models to our ModelInfo; any member may be missing, null or of another type."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec.structs import replace

from reasoning_grpc.config import MODEL_NAME
from reasoning_grpc.domain import ModelInfo, ModelSourceKind, Prices
from reasoning_grpc.litellm_model import MalformedAnswer, can_chat, read_facts

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


def read_info_list(body: bytes) -> dict[str, ModelInfo]:
    """Returns the models of an answer to /model/info, by name. Raises MalformedAnswer."""
    rows = _read_rows(body, _InfoRow)
    return _collect_models((row.model_name, _decode(row.model_info, dict[str, Any]) or {}) for row in rows)


def read_plain_list(body: bytes) -> dict[str, ModelInfo]:
    """Returns the models of an answer to /models, by name. Raises MalformedAnswer."""
    return _collect_models((row.id, msgspec.structs.asdict(row)) for row in _read_rows(body, _ListRow))


def _read_rows(body: bytes, kind: type[R]) -> list[R]:
    listing = _decode(body, _Listing)
    rows = [row for raw in listing.data if (row := _decode(raw, kind)) is not None] if listing else []
    if listing is None or (listing.data and not rows):
        raise MalformedAnswer("the answer is not a list of models")
    return rows


def _decode(data: bytes | msgspec.Raw, kind: type[R]) -> R | None:
    """Returns the JSON as this type; None when it does not have this type."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError):
        return None


def _collect_models(rows: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, ModelInfo]:
    """Returns one model for each name, without models that do not chat and wildcards, which no request can name."""
    infos: dict[str, ModelInfo] = {}
    for name, members in rows:
        if not MODEL_NAME.fullmatch(name) or not can_chat(members):
            continue
        info = _convert_model(name, members)
        infos[name] = _merge(infos[name], info) if name in infos else info
    return infos


def _convert_model(name: str, members: Mapping[str, Any]) -> ModelInfo:
    facts = read_facts(members)
    return ModelInfo(
        name=name,
        source=ModelSourceKind.PROXY,
        provider=facts.provider or _UNKNOWN_PROVIDER,
        capabilities=facts.capabilities,
        missing_capabilities=facts.missing_capabilities,
        context_window_tokens=facts.context_window_tokens,
        max_output_tokens=facts.max_output_tokens,
        encoding=facts.encoding,
        prices=facts.prices,
    )


def _merge(one: ModelInfo, other: ModelInfo) -> ModelInfo:
    """Returns what holds for both deployments of one name, because the proxy may use either."""
    return replace(
        one,
        provider=one.provider if one.provider == other.provider else _UNKNOWN_PROVIDER,
        capabilities=one.capabilities & other.capabilities,
        missing_capabilities=one.missing_capabilities & other.missing_capabilities,
        context_window_tokens=_find_minimum(one.context_window_tokens, other.context_window_tokens),
        max_output_tokens=_find_minimum(one.max_output_tokens, other.max_output_tokens),
        encoding=one.encoding if one.encoding == other.encoding else "",
        prices=one.prices if one.prices == other.prices else Prices(),
    )


def _find_minimum(one: int | None, other: int | None) -> int | None:
    """Returns the smaller number; None when one of the two is not known."""
    return None if one is None or other is None else min(one, other)
