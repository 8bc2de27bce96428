"""Finds the parts of a request that a model does not support."""

from collections.abc import Iterator
from itertools import islice
from typing import Final

from reasoning_grpc.domain import (
    Capability,
    CompletionRequest,
    Media,
    ModelInfo,
    ModelSourceKind,
    ResponseFormat,
    ResponseFormatKind,
)
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.embedded import find_schema_problems

_MEDIA: Final = {"image": Capability.IMAGE_INPUT, "audio": Capability.AUDIO_INPUT}
_MAX_PROBLEMS: Final = 10


def find_unsupported(request: CompletionRequest, model: ModelInfo) -> list[FieldViolation]:
    """Returns each provider option that the model's entry does not list, and each field that the model cannot serve."""
    violations: list[FieldViolation] = []
    if request.provider_options:
        for name in sorted(request.provider_options.keys() - model.provider_options):
            sentence = f"The entry of {model.name} does not allow it."
            violations.append(FieldViolation(f"provider_options[{name}]", sentence))
    if model.missing_capabilities:
        for field, capability in _required_capabilities(request):
            if capability in model.missing_capabilities:
                violations.append(FieldViolation(field, f"The model {model.name} does not support it."))
    if model.source is ModelSourceKind.EMBEDDED and request.response_format is not None:
        violations += _find_lost_keywords(request.response_format)
    return violations


def _find_lost_keywords(response_format: ResponseFormat) -> Iterator[FieldViolation]:
    """Yields the parts of a schema to which the embedded model is not held, if it must be, and those it refuses."""
    if response_format.kind is not ResponseFormatKind.JSON_SCHEMA:
        return
    problems = find_schema_problems(response_format.schema)
    for problem in islice((each for each in problems if response_format.strict or each.is_unusable), _MAX_PROBLEMS):
        yield FieldViolation("response_format.json_schema.schema", str(problem))


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
