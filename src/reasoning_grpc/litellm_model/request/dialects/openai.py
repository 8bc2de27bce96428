"""The dialects of OpenAI's Chat Completions API: OpenAI's own, and those of the providers that copy it.

What a parameter is called, and whether a model takes it, litellm decides; `wire_check` refuses what litellm leaves out.
Here is what can only be seen in the call itself.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from reasoning_grpc.litellm_model.providers import SPEAKS_OPENAI
from reasoning_grpc.litellm_model.request.dialects.claude.reasoning import (
    leave_room_for_answer,
    refuse_forced_tools,
    refuse_sampling,
)
from reasoning_grpc.litellm_model.request.dialects.dialect import Dialect
from reasoning_grpc.litellm_model.request.dialects.openai_copies import (
    change_for_claude,
    leave_out_lax_tools,
    refuse_documents,
    refuse_for_claude,
    refuse_json_object_of_claude,
    refuse_media,
    refuse_parameters_of_series_o,
    refuse_penalties_while_reasoning,
    report_names_but_of_users,
    report_strict_schemas_by_tool,
)
from reasoning_grpc.litellm_model.request.dialects.schemas.tool_roots import refuse_combined_tools
from reasoning_grpc.litellm_model.request.dialects.shared import refuse_strict_tools, report_each_name

_PLAIN: Final = Dialect()
_ITSELF: Final = Dialect(refusals=(refuse_combined_tools, refuse_parameters_of_series_o))
"""OpenAI's own models refuse what servers with the same protocol often take."""
_WITHOUT_STRICT_TOOLS: Final = Dialect(refusals=(refuse_strict_tools,), changes=(leave_out_lax_tools,))

OPENAI: Final[Mapping[str, Dialect]] = {
    **dict.fromkeys(SPEAKS_OPENAI, _PLAIN),
    "azure": _ITSELF,
    "databricks": Dialect(
        refusals=(
            refuse_json_object_of_claude,
            *map(refuse_for_claude, (refuse_strict_tools, refuse_sampling, refuse_forced_tools)),
        ),
        reports=(report_names_but_of_users, report_strict_schemas_by_tool),
        changes=tuple(map(change_for_claude, (leave_out_lax_tools, leave_room_for_answer))),
    ),
    "deepseek": Dialect(refusals=(refuse_media,)),
    "fireworks_ai": replace(_WITHOUT_STRICT_TOOLS, refusals=(refuse_strict_tools, refuse_documents)),
    "groq": Dialect(reports=(report_strict_schemas_by_tool,)),
    "mistral": Dialect(reports=(report_each_name,)),
    "openai": _ITSELF,
    "xai": replace(
        _WITHOUT_STRICT_TOOLS,
        refusals=(refuse_strict_tools, refuse_penalties_while_reasoning),
        reports=(report_names_but_of_users,),
    ),
}
"""The dialects of all providers of the OpenAI protocol."""
