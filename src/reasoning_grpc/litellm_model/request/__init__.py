"""Converts our `ModelCall` to the arguments of `litellm.acompletion`, and makes what leaves hold what was requested.

Only what a call sets is passed on; litellm then converts it for the provider. What litellm would leave out or change
without a word is refused, or changed and reported, or written by us.

preparation.py      refuses or changes what the provider takes otherwise
dialects/           what the providers take otherwise, one module a dialect
defaults.py         merges the defaults of a model into a call
arguments.py        converts the prepared call to the arguments; messages.py, content.py and tool_schemas.py help it
openai_messages.py  adapts messages to providers that take less than OpenAI
reasoning_forms.py  writes the reasoning of earlier answers where the provider takes it back
wire_choice.py      decides through which of OpenAI's APIs a call goes; openai_models.py has the facts about models,
                    and openai_options.py the options that only one of them has
bodies/             writes bodies without litellm, and checks the bodies that litellm has written
hosts.py            finds the provider behind an address
model_names.py      names the model to litellm, and restores the provider's own name in what leaves
fields.py           names the request field of each parameter
"""

from reasoning_grpc.litellm_model.request.arguments import (
    STREAMED,
    build_arguments,
    build_own_members,
    convert_conversation,
    writes_conversation,
)
from reasoning_grpc.litellm_model.request.bodies.body_frame import BodyFrame, describe_parameters
from reasoning_grpc.litellm_model.request.bodies.body_plan import BodyPlan, describe_messages
from reasoning_grpc.litellm_model.request.bodies.converse import find_correction
from reasoning_grpc.litellm_model.request.bodies.members import join_members
from reasoning_grpc.litellm_model.request.bodies.responses import write_responses_body
from reasoning_grpc.litellm_model.request.bodies.wire_check import WireCheck, copy_arguments
from reasoning_grpc.litellm_model.request.bodies.wire_rules import JSON_TOOL, WireRules, find_wire_rules
from reasoning_grpc.litellm_model.request.dialects import can_forbid_calls, takes_json_object
from reasoning_grpc.litellm_model.request.fields import FIELD_OF_PARAMETER
from reasoning_grpc.litellm_model.request.model_names import (
    STAY_WITH_CHAT,
    choose_model,
    restore_address,
    restore_model,
)
from reasoning_grpc.litellm_model.request.openai_models import find_known_name
from reasoning_grpc.litellm_model.request.preparation import PreparedCall, prepare_call
from reasoning_grpc.litellm_model.request.wire_choice import (
    WireChoice,
    can_store,
    choose_wire,
    choose_wire_of_model,
    explain_wire,
    find_name_problem,
    find_wire_problem,
)

__all__ = [
    "FIELD_OF_PARAMETER",
    "JSON_TOOL",
    "STAY_WITH_CHAT",
    "STREAMED",
    "BodyFrame",
    "BodyPlan",
    "PreparedCall",
    "WireCheck",
    "WireChoice",
    "WireRules",
    "build_arguments",
    "build_own_members",
    "can_forbid_calls",
    "can_store",
    "choose_model",
    "choose_wire",
    "choose_wire_of_model",
    "convert_conversation",
    "copy_arguments",
    "describe_messages",
    "describe_parameters",
    "explain_wire",
    "find_correction",
    "find_known_name",
    "find_name_problem",
    "find_wire_problem",
    "find_wire_rules",
    "join_members",
    "prepare_call",
    "restore_address",
    "restore_model",
    "takes_json_object",
    "write_responses_body",
    "writes_conversation",
]
