"""Converts requests for the list of models, and the list itself."""

from typing import Final

from reasoning_grpc.domain import ModelFilter, ModelInfo, ModelPage, ModelSource, Prices, TokenPrices
from reasoning_grpc.rpc.convert import enums
from reasoning_grpc.rpc.convert.checks import MAX_MODEL_NAME_CHARACTERS, Checks
from reasoning_grpc.rpc.convert.scalars import optional_token_count, timestamp, token_count
from reasoning_grpc.v1 import models_pb2

_DEFAULT_PAGE: Final = 100
_MAX_PAGE: Final = 1000
_MAX_FILTER_VALUES: Final = 64


def list_models_request(message: models_pb2.ListModelsRequest) -> tuple[ModelFilter, int, str]:
    """Returns the filter, the page size and the page token. Raises InvalidRequest."""
    checks = Checks()
    checks.check_number("page_size", message.page_size, 0)
    checks.check_text("page_token", message.page_token, 1024)
    checks.check_text("filter.name_contains", message.filter.name_contains, MAX_MODEL_NAME_CHARACTERS)
    if checks.check_count("filter.capabilities", len(message.filter.capabilities), _MAX_FILTER_VALUES):
        for index, number in enumerate(message.filter.capabilities):
            checks.check_enum(f"filter.capabilities[{index}]", number, enums.MODEL_CAPABILITY.from_proto)
    if checks.check_count("filter.states", len(message.filter.states), _MAX_FILTER_VALUES):
        for index, state in enumerate(message.filter.states):
            checks.check_enum(f"filter.states[{index}]", state, enums.MODEL_STATE.from_proto)
    checks.finish()
    model_filter = ModelFilter(
        message.filter.name_contains,
        frozenset(enums.MODEL_CAPABILITY.from_proto[number] for number in message.filter.capabilities),
        frozenset(enums.MODEL_STATE.from_proto[number] for number in message.filter.states),
    )
    return model_filter, min(message.page_size or _DEFAULT_PAGE, _MAX_PAGE), message.page_token


def list_models_response(page: ModelPage) -> models_pb2.ListModelsResponse:
    """Returns a page of models."""
    return models_pb2.ListModelsResponse(
        models=[_model(info) for info in page.models],
        next_page_token=page.next_page_token,
        sources=[_source(source) for source in page.sources],
    )


def _model(info: ModelInfo) -> models_pb2.Model:
    return models_pb2.Model(
        name=info.name,
        description=info.description,
        source=enums.MODEL_SOURCE_KIND.to_proto[info.source],
        provider=info.provider,
        is_default=info.is_default,
        state=enums.MODEL_STATE.to_proto[info.state],
        capabilities=sorted(enums.MODEL_CAPABILITY.to_proto[capability] for capability in info.capabilities),
        limits=models_pb2.ModelLimits(
            context_window_tokens=optional_token_count(info.context_window_tokens),
            max_output_tokens=optional_token_count(info.max_output_tokens),
        ),
        prices=_model_prices(info.prices),
        fallback_models=info.fallback_models,
        provider_options=sorted(info.provider_options),
    )


def _model_prices(prices: Prices) -> models_pb2.ModelPrices | None:
    if prices == Prices():
        return None
    tiers = [
        models_pb2.PriceTier(above_input_tokens=token_count(tier.above_input_tokens), prices=_token_prices(tier))
        for tier in prices.tiers
    ]
    return models_pb2.ModelPrices(base=_token_prices(prices), tiers=tiers)


def _token_prices(prices: TokenPrices) -> models_pb2.TokenPrices:
    """Returns the price of each kind of token; None leaves one unset."""
    return models_pb2.TokenPrices(
        input_nano_usd_per_million=prices.input,
        cached_input_nano_usd_per_million=prices.cached_input,
        cache_write_nano_usd_per_million=prices.cache_write,
        output_nano_usd_per_million=prices.output,
        reasoning_nano_usd_per_million=prices.reasoning,
        audio_input_nano_usd_per_million=prices.audio_input,
        long_cache_write_nano_usd_per_million=prices.long_cache_write,
    )


def _source(source: ModelSource) -> models_pb2.ModelSource:
    return models_pb2.ModelSource(
        kind=enums.MODEL_SOURCE_KIND.to_proto[source.kind],
        update_time=None if source.update_time is None else timestamp(source.update_time),
        stale=source.stale,
        failure=enums.error_reason(source.failure),
        model_count=source.model_count,
    )
