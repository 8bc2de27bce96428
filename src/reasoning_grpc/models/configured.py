"""Models from the configuration file."""

from typing import Final

from reasoning_grpc.config import ModelEntry
from reasoning_grpc.litellm_model import providers
from reasoning_grpc.types import Deployment, ModelInfo, ModelSourceKind


class ConfiguredModel:
    """A model that an entry of the configuration describes."""

    def __init__(self, entry: ModelEntry) -> None:
        self._info: Final = ModelInfo(
            name=entry.name,
            source=ModelSourceKind.CONFIGURATION,
            provider=entry.litellm_model.partition("/")[0],
            description=entry.description,
            capabilities=entry.capabilities,
            context_window_tokens=entry.context_window_tokens,
            max_output_tokens=entry.max_output_tokens,
            prices=entry.prices,
            fallback_models=entry.fallback_models,
            provider_options=entry.provider_options,
        )
        self._deployment: Final = Deployment(
            name=entry.name,
            litellm_model=entry.litellm_model,
            api_base=entry.api_base,
            api_key=entry.api_key,
            system_prompt=entry.system_prompt,
            sampling=entry.defaults,
            litellm_params=entry.litellm_params,
        )

    def info(self) -> ModelInfo:
        """See `ServedModel.info`."""
        return self._info

    def deployment(self) -> Deployment:
        """See `ServedModel.deployment`."""
        return self._deployment


def entry_problem(entry: ModelEntry) -> str:
    """Why this build cannot serve an entry; empty when it can."""
    provider = entry.litellm_model.partition("/")[0]
    if provider in providers.TEXT_COMPLETION:
        return f"models.{entry.name}.litellm_model: {provider} completes texts; only chat is served"
    if not entry.api_base and provider in providers.WITHOUT_ADDRESS:
        return f"models.{entry.name}.api_base: is missing; {provider} has no address of its own"
    return ""
