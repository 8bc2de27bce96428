"""`EmbeddedEntry`: the embedded model as the table lists it."""

from typing import Final

from msgspec.structs import replace

from reasoning_grpc.config import Config
from reasoning_grpc.domain import (
    Caller,
    Capability,
    Deployment,
    ModelInfo,
    ModelSourceKind,
    ModelState,
    Prices,
    Sampling,
    Secret,
    Wire,
)
from reasoning_grpc.domain.errors import UpstreamRestarting
from reasoning_grpc.embedded import DEFAULT_SYSTEM_PROMPT, DEFAULT_TEMPERATURE, EmbeddedUpstream, name_model

_BUNDLED_DESCRIPTION: Final = "SmolLM2 135M Instruct, run by this server: small, often wrong, always there."
_OTHER_DESCRIPTION: Final = "A model that this server runs from weights of its operator's."
_UNKNOWN_MODEL: Final = "openai/embedded"
"""A model of which nothing is known. By a name such as gpt-oss-20b, weights would be taken for a hosted model."""
_CAPABILITIES: Final = frozenset({Capability.JSON_OBJECT, Capability.JSON_SCHEMA, Capability.LOGPROBS})
"""llama.cpp also accepts tools for this model, but ignores them, so TOOLS is not here."""
_DEFAULT_OUTPUT_TOKENS: Final = 512
"""The limit of requests that have none: without a limit an answer may fill the whole context window."""
_RETRY_SECONDS: Final = 1.0
"""The retry delay of a call that came during a restart; a start takes half of that."""


def find_embedded_name(config: Config) -> str | None:
    """Returns the name of the embedded model; None when this configuration does not run it."""
    settings = config.settings
    return name_model(settings.embedded_weights, settings.embedded_name) if config.runs_embedded else None


class EmbeddedEntry:
    """The embedded model, which costs nothing and may be restarting."""

    def __init__(self, model: EmbeddedUpstream, *, context_tokens: int, has_bundled_weights: bool = True) -> None:
        self._model = model
        self._name = model.name
        self._available = ModelInfo(
            name=model.name,
            source=ModelSourceKind.EMBEDDED,
            provider="openai",
            description=_BUNDLED_DESCRIPTION if has_bundled_weights else _OTHER_DESCRIPTION,
            state=ModelState.AVAILABLE,
            capabilities=_CAPABILITIES,
            missing_capabilities=frozenset(Capability) - _CAPABILITIES,
            context_window_tokens=context_tokens,
            system_prompt=DEFAULT_SYSTEM_PROMPT,
            default_output_tokens=_DEFAULT_OUTPUT_TOKENS,
            prices=Prices(input=0, output=0),
        )
        self._unavailable = replace(self._available, state=ModelState.UNAVAILABLE)

    def describe(self) -> ModelInfo:
        """See `ServedModel.describe`."""
        return self._unavailable if self._model.endpoint is None else self._available

    def find_deployment(self, caller: Caller) -> Deployment:  # noqa: ARG002
        """See `ServedModel.find_deployment`. It is the same for every caller."""
        endpoint = self._model.endpoint
        if endpoint is None:
            raise UpstreamRestarting(model=self._name, is_upstream_reached=False, retry_after_seconds=_RETRY_SECONDS)
        return Deployment(
            name=self._name,
            litellm_model=f"openai/{self._name}",
            base_model=_UNKNOWN_MODEL,
            wire=Wire.CHAT,
            api_base=endpoint.api_base,
            api_key=Secret(endpoint.api_key),
            system_prompt=DEFAULT_SYSTEM_PROMPT,
            sampling=Sampling(temperature=DEFAULT_TEMPERATURE, max_output_tokens=_DEFAULT_OUTPUT_TOKENS),
            # Its server closes connections at any time, although it promises to keep them.
            headers={"Connection": "close"},
        )
