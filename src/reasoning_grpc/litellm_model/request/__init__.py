"""Converts our `ModelCall` to the arguments of `litellm.acompletion`, in the OpenAI dialect.

Only what a call sets is passed on; litellm then converts it for the provider. What litellm would leave out or change
without a word is refused, or changed and reported.

preparation.py      refuses or changes what the provider takes otherwise, by its dialect
defaults.py         merges the defaults of a model into a call
dialects/           the dialects of providers
arguments.py        converts the prepared call to the arguments
openai_messages.py  adapts messages to providers that take less than OpenAI
wire_check.py       makes a body hold what was requested, by the rules of wire_rules.py
responses_api.py    refuses what litellm would leave out in OpenAI's Responses API
members.py          puts members into a body
model_names.py      names the model to litellm, and restores the provider's own name in what leaves
anthropic_body.py   writes the conversation in Anthropic's protocol
gemini_body.py      writes the conversation and the tools in Gemini's protocol
ollama_body.py      writes the body in Ollama's protocol
"""

from reasoning_grpc.litellm_model.request.arguments import build_arguments, build_own_members
from reasoning_grpc.litellm_model.request.dialects import can_forbid_calls, takes_json_object
from reasoning_grpc.litellm_model.request.fields import FIELD_OF_PARAMETER
from reasoning_grpc.litellm_model.request.members import join_members
from reasoning_grpc.litellm_model.request.model_names import (
    STAY_WITH_CHAT,
    choose_model,
    restore_address,
    restore_model,
)
from reasoning_grpc.litellm_model.request.preparation import PreparedCall, prepare_call
from reasoning_grpc.litellm_model.request.wire_check import WireCheck, copy_arguments
from reasoning_grpc.litellm_model.request.wire_rules import find_wire_rules

__all__ = [
    "FIELD_OF_PARAMETER",
    "STAY_WITH_CHAT",
    "PreparedCall",
    "WireCheck",
    "build_arguments",
    "build_own_members",
    "can_forbid_calls",
    "choose_model",
    "copy_arguments",
    "find_wire_rules",
    "join_members",
    "prepare_call",
    "restore_address",
    "restore_model",
    "takes_json_object",
]
