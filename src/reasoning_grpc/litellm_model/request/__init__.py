"""Converts our `ModelCall` to the arguments of `litellm.acompletion`, in the OpenAI dialect.

Only what a call sets is passed on; litellm then converts it for the provider. What litellm would leave out or change
without a word is refused, or changed and reported.

preparation.py    refuses or changes what the provider takes otherwise, by its dialect
defaults.py       merges the defaults of a model into a call
dialects/         the dialects of providers
arguments.py      converts the prepared call to the arguments
members.py        puts members into a body
model_names.py    names the model to litellm, and restores the provider's own name in what leaves
anthropic_body.py writes the conversation in Anthropic's protocol
gemini_body.py    writes the conversation and the tools in Gemini's protocol
ollama_body.py    writes the body in Ollama's protocol
"""

from reasoning_grpc.litellm_model.request.arguments import FIELD_OF_PARAMETER, build_arguments, build_own_members
from reasoning_grpc.litellm_model.request.dialects import can_forbid_calls, takes_json_object
from reasoning_grpc.litellm_model.request.members import join_members
from reasoning_grpc.litellm_model.request.model_names import choose_model, restore_address, restore_model
from reasoning_grpc.litellm_model.request.preparation import PreparedCall, prepare_call

__all__ = [
    "FIELD_OF_PARAMETER",
    "PreparedCall",
    "build_arguments",
    "build_own_members",
    "can_forbid_calls",
    "choose_model",
    "join_members",
    "prepare_call",
    "restore_address",
    "restore_model",
    "takes_json_object",
]
