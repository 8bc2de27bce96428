"""The dialect of Google's Gemini API, as litellm writes it."""

import re
from collections.abc import Iterator
from typing import Final

from reasoning_grpc.domain.errors import FieldViolation
from reasoning_grpc.litellm_model.request.dialects.dialect import NOT_TAKEN, Dialect
from reasoning_grpc.litellm_model.request.dialects.shared import (
    refuse_media_addresses,
    refuse_single_tool_calls,
    refuse_strict_tools,
)
from reasoning_grpc.llm import ModelCall

_GEMINI_1_OR_2: Final = re.compile(r"/gemini-[12]\b")


def refuse_fields_unknown_to_gemini_3(call: ModelCall, model: str) -> Iterator[FieldViolation]:
    """Refuses the fields that the models from version 3 on do not take."""
    if _GEMINI_1_OR_2.search(model):
        return
    if call.sampling.presence_penalty is not None:
        yield FieldViolation("sampling.presence_penalty", NOT_TAKEN)
    if call.sampling.frequency_penalty is not None:
        yield FieldViolation("sampling.frequency_penalty", NOT_TAKEN)
    if call.reasoning.budget_tokens:
        yield FieldViolation("reasoning.budget_tokens", NOT_TAKEN)


GEMINI: Final = Dialect(
    refusals=(
        refuse_media_addresses,
        refuse_single_tool_calls,
        refuse_strict_tools,
        refuse_fields_unknown_to_gemini_3,
    )
)
