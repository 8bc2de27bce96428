"""The dialects of providers: what each takes otherwise than our requests say it, measured on litellm 1.106.2.

litellm refuses most parameters that a model does not take. What it would leave out, change or invent in silence is
refused here, or changed here and reported. A test compares what was requested with what left, for each provider that
the documentation promises.
"""

from collections.abc import Mapping
from typing import Final

from reasoning_grpc.domain import ResponseFormat, ResponseFormatKind, Wire
from reasoning_grpc.litellm_model.request.dialects.anthropic import ANTHROPIC
from reasoning_grpc.litellm_model.request.dialects.bedrock import BEDROCK
from reasoning_grpc.litellm_model.request.dialects.converse.models import describe_bedrock
from reasoning_grpc.litellm_model.request.dialects.dialect import Dialect
from reasoning_grpc.litellm_model.request.dialects.gemini import GEMINI
from reasoning_grpc.litellm_model.request.dialects.ollama import OLLAMA
from reasoning_grpc.litellm_model.request.dialects.openai import OPENAI
from reasoning_grpc.litellm_model.request.dialects.openai_copies import refuse_json_object_of_claude
from reasoning_grpc.litellm_model.request.dialects.responses import (
    RESPONSES,
    RESPONSES_OF_OTHERS,
    is_item_signature,
    needs_chat,
)
from reasoning_grpc.litellm_model.request.dialects.schemas.tool_roots import (
    refuse_tools_beyond_plain_objects_for_claude,
)
from reasoning_grpc.litellm_model.request.dialects.shared import refuse_json_object, refuse_media_addresses
from reasoning_grpc.llm import ModelCall

__all__ = ["Dialect", "can_forbid_calls", "find_dialect", "is_item_signature", "needs_chat", "takes_json_object"]

_OTHER: Final = Dialect(refusals=(refuse_media_addresses,))
"""The dialect of providers that no other entry of the table covers."""
_HOST_OF_CLAUDE: Final = Dialect(refusals=(*_OTHER.refusals, refuse_tools_beyond_plain_objects_for_claude))
_OF_PROVIDER: Final[Mapping[str, Dialect]] = {
    **OPENAI,
    "anthropic": ANTHROPIC,
    "bedrock": BEDROCK,
    "azure_ai": _HOST_OF_CLAUDE,
    "vertex_ai": _HOST_OF_CLAUDE,
    "gemini": GEMINI,
    "ollama_chat": OLLAMA,
}

_REFUSE_JSON_OBJECT: Final = (refuse_json_object, refuse_json_object_of_claude)


def find_dialect(provider: str, wire: Wire = Wire.CHAT) -> Dialect:
    """Returns the dialect of a provider's requests in one of its APIs."""
    if wire is Wire.RESPONSES:
        return RESPONSES if provider in {"azure", "openai"} else RESPONSES_OF_OTHERS
    return _OF_PROVIDER.get(provider, _OTHER)


def can_forbid_calls(litellm_model: str) -> bool:
    """Whether a model takes a conversation with tool calls in which it must not call another tool.

    Bedrock's Converse API has no form for that.
    """
    return not (litellm_model.startswith("bedrock/") and describe_bedrock(litellm_model).by_converse)


def takes_json_object(model: str) -> bool:
    """Whether a model, by the name that decides, learns that its answer must be JSON, of whatever schema."""
    call = ModelCall(model="", messages=(), response_format=ResponseFormat(ResponseFormatKind.JSON_OBJECT))
    refusals = find_dialect(model.partition("/")[0]).refusals
    return not any(refuse in refusals and any(refuse(call, model)) for refuse in _REFUSE_JSON_OBJECT)
