"""The dialect of OpenAI's Chat Completions API, as litellm writes it for OpenAI and all providers that copy it."""

from dataclasses import replace
from typing import Final

from reasoning_grpc.litellm_model.request.dialects.dialect import Dialect
from reasoning_grpc.litellm_model.request.dialects.tool_roots import refuse_combined_tools

OPENAI: Final = Dialect()
OPENAI_ITSELF: Final = replace(OPENAI, refusals=(*OPENAI.refusals, refuse_combined_tools))
"""The dialect of OpenAI's own models, which refuse what servers with the same protocol often take."""
