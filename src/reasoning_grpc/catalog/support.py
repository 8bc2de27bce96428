"""Finds the parts of a request that a model does not support."""

from collections.abc import Iterator
from typing import Final

from reasoning_grpc.domain import Capability, CompletionRequest, Media, ModelInfo
from reasoning_grpc.domain.errors import FieldViolation

_MEDIA: Final = {"image": Capability.IMAGE_INPUT, "audio": Capability.AUDIO_INPUT}


def find_unsupported(request: CompletionRequest, model: ModelInfo) -> Iterator[FieldViolation]:
    """Yields each provider option that the model's entry does not list, and each field that the model cannot serve."""
    for name in sorted(request.provider_options.keys() - model.provider_options):
        yield FieldViolation(f"provider_options[{name}]", f"The entry of {model.name} does not allow it.")
    for field, capability in _required_capabilities(request):
        if capability in model.missing_capabilities:
            yield FieldViolation(field, f"The model {model.name} does not support it.")


def _required_capabilities(request: CompletionRequest) -> Iterator[tuple[str, Capability]]:
    """Yields each field of a request that needs a capability, and that capability."""
    if request.tools:
        yield "tools", Capability.TOOLS
    if request.reasoning.effort is not None:
        yield "reasoning.effort", Capability.REASONING
    if request.reasoning.budget_tokens is not None:
        yield "reasoning.budget_tokens", Capability.REASONING
    if request.sampling.logprobs:
        yield "sampling.logprobs", Capability.LOGPROBS
    for row, message in enumerate(request.messages):
        for column, part in enumerate(message.content):
            if isinstance(part.content, Media):
                kind = part.content.mime_type.partition("/")[0]
                yield f"messages[{row}].content[{column}].media", _MEDIA.get(kind, Capability.DOCUMENT_INPUT)
