"""The dialect of Anthropic's Messages API, as litellm writes it."""

from dataclasses import replace
from typing import Final

from reasoning_grpc.domain import EffectiveSetting, EffectiveSettingCause, Message
from reasoning_grpc.litellm_model.request.dialects.dialect import Dialect
from reasoning_grpc.litellm_model.request.dialects.reasoning import leave_out_unsigned_reasoning
from reasoning_grpc.litellm_model.request.dialects.shared import refuse_json_object, refuse_strict_tools
from reasoning_grpc.litellm_model.request.dialects.tool_roots import refuse_tools_beyond_plain_objects
from reasoning_grpc.llm import ModelCall

MAX_CACHE_MARKS: Final = 4
"""The number of cache marks that the provider takes in a request; it refuses one with more.

Source: Anthropic's documentation of prompt caching, "up to 4 cache breakpoints".
"""


def limit_cache_marks(call: ModelCall, _model: str) -> tuple[ModelCall, EffectiveSetting | None]:
    """Keeps the last marks, because each of them caches all of the prompt before it."""
    count = sum(part.cache for message in call.messages for part in message.content)
    if count <= MAX_CACHE_MARKS:
        return call, None
    superfluous = count - MAX_CACHE_MARKS
    messages: list[Message] = []
    for message in call.messages:
        parts = []
        for part in message.content:
            if part.cache and superfluous:
                part, superfluous = replace(part, cache=False), superfluous - 1  # noqa: PLW2901
            parts.append(part)
        messages.append(replace(message, content=tuple(parts)))
    setting = EffectiveSetting(
        "messages.content.cache",
        str(count),
        str(MAX_CACHE_MARKS),
        EffectiveSettingCause.PROVIDER_LIMIT,
        "The provider takes no more cache marks, so the last ones are kept.",
    )
    return replace(call, messages=tuple(messages)), setting


ANTHROPIC: Final = Dialect(
    refusals=(refuse_json_object, refuse_strict_tools, refuse_tools_beyond_plain_objects),
    changes=(leave_out_unsigned_reasoning, limit_cache_marks),
)
