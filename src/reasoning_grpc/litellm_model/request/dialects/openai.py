"""The dialect of OpenAI's Chat Completions API, as litellm writes it for OpenAI and all providers that copy it."""

from typing import Final

from reasoning_grpc.litellm_model.request.dialects.dialect import Dialect

OPENAI: Final = Dialect()
