"""Converts our `ModelCall` to the arguments of `litellm.acompletion`, in the OpenAI dialect.

Only what a call sets is passed on; litellm then converts it for the provider. What litellm would leave out of the
request without an error is refused.
"""

from reasoning_grpc.litellm_model.request.arguments import FIELD_OF_PARAMETER, build_arguments, select_merged_options
from reasoning_grpc.litellm_model.request.refusals import find_refused_fields, takes_json_object

__all__ = [
    "FIELD_OF_PARAMETER",
    "build_arguments",
    "find_refused_fields",
    "select_merged_options",
    "takes_json_object",
]
