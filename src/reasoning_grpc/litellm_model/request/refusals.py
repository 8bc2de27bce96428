"""Finds the fields that litellm would leave out of a request without an error, or fetch by itself: they are refused.

litellm itself refuses most parameters that a model does not take. Those in the table below it does not refuse;
measured on litellm 1.106.2, where a test sends each parameter to each provider.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from reasoning_grpc.domain import Deployment, Media, ResponseFormatKind
from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.providers import SPEAKS_OPENAI
from reasoning_grpc.llm import ModelCall

_NOT_TAKEN: Final = "The model does not take it."
_NO_ADDRESSES: Final = "The model takes no address here; send the data itself."


def find_refused_fields(call: ModelCall, deployment: Deployment) -> tuple[FieldViolation, ...]:
    """Returns a violation for each field of the call that its provider would not get."""
    found = [FieldViolation(field, _NO_ADDRESSES) for field in _find_fetched_media(call, deployment.provider)]
    for find_fields in _LEFT_OUT.get(deployment.provider, ()):
        found += [FieldViolation(field, _NOT_TAKEN) for field in find_fields(call, deployment.litellm_model)]
    return tuple(found)


def takes_json_object(provider: str) -> bool:
    """Whether litellm passes on to a provider that the answer must be JSON, of whatever schema."""
    return _find_json_object not in _LEFT_OUT.get(provider, ())


def _find_fetched_media(call: ModelCall, provider: str) -> Iterator[str]:
    """Yields the media that litellm would fetch into this process, from any address that a caller names."""
    if provider in _PASSES_ADDRESSES:
        return
    for row, message in enumerate(call.messages):
        for column, part in enumerate(message.content):
            if isinstance(part.content, Media) and part.content.uri:
                yield f"messages[{row}].content[{column}].media.uri"


def _find_json_object(call: ModelCall, _model: str) -> Iterator[str]:
    if call.response_format is not None and call.response_format.kind is ResponseFormatKind.JSON_OBJECT:
        yield "response_format"


def _find_single_tool_calls(call: ModelCall, _model: str) -> Iterator[str]:
    if call.parallel_tool_calls is False:
        yield "parallel_tool_calls"


def _find_strict_tools(call: ModelCall, _model: str) -> Iterator[str]:
    return (f"tools[{index}].strict" for index, tool in enumerate(call.tools) if tool.strict)


def _find_fields_unknown_to_gemini_3(call: ModelCall, model: str) -> Iterator[str]:
    if _GEMINI_1_OR_2.search(model):
        return
    if call.sampling.presence_penalty is not None:
        yield "sampling.presence_penalty"
    if call.sampling.frequency_penalty is not None:
        yield "sampling.frequency_penalty"
    if call.reasoning.budget_tokens:
        yield "reasoning.budget_tokens"


_PASSES_ADDRESSES: Final = SPEAKS_OPENAI | {"anthropic"}
"""Providers to which litellm passes the https address of an image unchanged. Callers can send no other address."""
_GEMINI_1_OR_2: Final = re.compile(r"/gemini-[12]\b")

_LEFT_OUT: Final[Mapping[str, tuple[Callable[[ModelCall, str], Iterator[str]], ...]]] = {
    "anthropic": (_find_json_object, _find_strict_tools),
    "gemini": (_find_single_tool_calls, _find_strict_tools, _find_fields_unknown_to_gemini_3),
}
"""What litellm leaves out, by provider."""
