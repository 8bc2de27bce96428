"""The embedded model as the table lists it."""

from typing import Final

from reasoning_grpc.domain import (
    Capability,
    Deployment,
    ModelInfo,
    ModelSourceKind,
    ModelState,
    Prices,
    Sampling,
    Secret,
)
from reasoning_grpc.domain.errors import UpstreamRestarting
from reasoning_grpc.embedded.process import DEFAULT_SYSTEM_PROMPT, DEFAULT_TEMPERATURE, MODEL_NAME, EmbeddedModel

EMBEDDED_NAME: Final = MODEL_NAME
_CAPABILITIES: Final = frozenset({Capability.JSON_OBJECT, Capability.JSON_SCHEMA, Capability.LOGPROBS})
"""llama.cpp takes tools for it as well, and ignores them."""
_DEFAULT_OUTPUT_TOKENS: Final = 512
"""For requests that bring no limit: without one it may run on to the end of its context."""
_RETRY_SECONDS: Final = 1.0
"""When a call may try again after it met the model restarting; a start takes half of that."""


class EmbeddedEntry:
    """The embedded model: it costs nothing, and may be restarting."""

    def __init__(self, model: EmbeddedModel, *, context_tokens: int) -> None:
        self._model = model
        self._context_tokens = context_tokens

    def info(self) -> ModelInfo:
        """See `ServedModel.info`."""
        return ModelInfo(
            name=EMBEDDED_NAME,
            source=ModelSourceKind.EMBEDDED,
            provider="openai",
            description="SmolLM2 135M Instruct, run by this server: small, often wrong, always there.",
            state=ModelState.UNAVAILABLE if self._model.endpoint is None else ModelState.AVAILABLE,
            capabilities=_CAPABILITIES,
            lacks=frozenset(Capability) - _CAPABILITIES,
            context_window_tokens=self._context_tokens,
            system_prompt=DEFAULT_SYSTEM_PROMPT,
            default_output_tokens=_DEFAULT_OUTPUT_TOKENS,
            prices=Prices(input=0, output=0),
        )

    def deployment(self) -> Deployment:
        """See `ServedModel.deployment`."""
        endpoint = self._model.endpoint
        if endpoint is None:
            raise UpstreamRestarting(model=EMBEDDED_NAME, reached=False, retry_after_seconds=_RETRY_SECONDS)
        return Deployment(
            name=EMBEDDED_NAME,
            litellm_model=f"openai/{EMBEDDED_NAME}",
            api_base=endpoint.api_base,
            api_key=Secret(endpoint.api_key),
            system_prompt=DEFAULT_SYSTEM_PROMPT,
            sampling=Sampling(temperature=DEFAULT_TEMPERATURE, max_output_tokens=_DEFAULT_OUTPUT_TOKENS),
            # It closes connections at times of its own choosing, in spite of promising to keep them.
            headers={"Connection": "close"},
        )
