"""The dialect of Bedrock, as litellm writes it: the Converse API, and Anthropic's own protocol for some models.

litellm signs a request when it has built it. Where `bodies.converse` changes the body after that, it is signed again.
"""

from typing import Final

from reasoning_grpc.litellm_model.request.dialects.claude.conversation import (
    leave_out_blanks,
    refuse_answer_first,
    refuse_empty_conversation,
    refuse_late_results,
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
from reasoning_grpc.litellm_model.request.dialects.claude.media import limit_cache_marks
from reasoning_grpc.litellm_model.request.dialects.claude.reasoning import (
    leave_room_for_answer,
    refuse_forced_tools,
    refuse_sampling,
)
from reasoning_grpc.litellm_model.request.dialects.claude.user import leave_out_personal_user
from reasoning_grpc.litellm_model.request.dialects.converse.changes import (
    change_for_claude,
    join_texts,
    leave_out_cache_marks,
    leave_out_end_user,
    leave_out_forbidden_tools,
    leave_out_lone_reasoning,
    leave_out_usual_choices,
)
from reasoning_grpc.litellm_model.request.dialects.converse.refusals import (
    of_claude,
    refuse_format_maps,
    refuse_lost_options,
    refuse_messages,
    refuse_parameters,
    refuse_tools,
)
from reasoning_grpc.litellm_model.request.dialects.converse.reports import (
    report_documents,
    report_open_tools,
    report_order,
)
from reasoning_grpc.litellm_model.request.dialects.dialect import Dialect
from reasoning_grpc.litellm_model.request.dialects.reasoning import leave_out_unsigned_reasoning
from reasoning_grpc.litellm_model.request.dialects.schemas.tool_roots import refuse_tools_beyond_plain_objects
from reasoning_grpc.litellm_model.request.dialects.shared import (
    refuse_json_object,
    refuse_media_addresses,
    report_each_name,
)

BEDROCK: Final = Dialect(
    refusals=(
        refuse_json_object,
        refuse_media_addresses,
        refuse_tools_beyond_plain_objects,
        refuse_empty_conversation,
        refuse_late_results,
        refuse_undefined_tools,
        refuse_answer_first,
        refuse_messages,
        refuse_tools,
        refuse_format_maps,
        refuse_lost_options,
        refuse_parameters,
        of_claude(refuse_prefill),
        of_claude(refuse_sampling),
        of_claude(refuse_forced_tools),
        refuse_schemas,
        refuse_schemas_as_tools,
    ),
    reports=(
        report_blanks,
        report_later_system,
        report_each_name,
        report_order,
        report_documents,
        report_open_tools,
        report_schemas,
    ),
    changes=(
        leave_out_lone_reasoning,
        leave_out_unsigned_reasoning,
        leave_out_blanks,
        join_texts,
        move_later_system,
        leave_out_cache_marks,
        limit_cache_marks,
        leave_out_forbidden_tools,
        leave_out_usual_choices,
        change_for_claude(leave_room_for_answer),
        leave_out_text_format,
        leave_out_end_user,
        leave_out_personal_user,
    ),
)
