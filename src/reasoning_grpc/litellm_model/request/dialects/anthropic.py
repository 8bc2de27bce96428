"""The dialect of Anthropic's Messages API: litellm writes the parameters, and `bodies.anthropic` the conversation."""

from typing import Final

from reasoning_grpc.litellm_model.request.dialects.claude.conversation import (
    leave_out_blanks,
    refuse_answer_first,
    refuse_empty_conversation,
    refuse_late_results,
    refuse_names_of_calls,
    refuse_prefill,
    refuse_undefined_tools,
    report_blanks,
)
from reasoning_grpc.litellm_model.request.dialects.claude.formats import (
    leave_out_text_format,
    refuse_schemas,
    refuse_schemas_as_tools,
    report_schemas,
)
from reasoning_grpc.litellm_model.request.dialects.claude.later_system import move_later_system, report_later_system
from reasoning_grpc.litellm_model.request.dialects.claude.media import limit_cache_marks, refuse_media_types
from reasoning_grpc.litellm_model.request.dialects.claude.reasoning import (
    leave_room_for_answer,
    refuse_forced_tools,
    refuse_sampling,
)
from reasoning_grpc.litellm_model.request.dialects.claude.user import leave_out_personal_user
from reasoning_grpc.litellm_model.request.dialects.dialect import Dialect
from reasoning_grpc.litellm_model.request.dialects.reasoning import leave_out_unsigned_reasoning
from reasoning_grpc.litellm_model.request.dialects.schemas.tool_roots import refuse_tools_beyond_plain_objects
from reasoning_grpc.litellm_model.request.dialects.shared import (
    refuse_json_object,
    refuse_strict_tools,
    report_each_name,
)

ANTHROPIC: Final = Dialect(
    refusals=(
        refuse_json_object,
        refuse_strict_tools,
        refuse_tools_beyond_plain_objects,
        refuse_empty_conversation,
        refuse_answer_first,
        refuse_late_results,
        refuse_undefined_tools,
        refuse_names_of_calls,
        refuse_prefill,
        refuse_media_types,
        refuse_sampling,
        refuse_forced_tools,
        refuse_schemas,
        refuse_schemas_as_tools,
    ),
    reports=(report_blanks, report_later_system, report_each_name, report_schemas),
    changes=(
        leave_out_unsigned_reasoning,
        leave_out_blanks,
        move_later_system,
        limit_cache_marks,
        leave_room_for_answer,
        leave_out_text_format,
        leave_out_personal_user,
    ),
)
