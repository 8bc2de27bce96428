"""`find_upstream_message`: the provider's own sentence about a refused request, where it is safe to show."""

from typing import Final

from reasoning_grpc.domain import CallContext, Deployment
from reasoning_grpc.domain.errors import UpstreamError
from reasoning_grpc.litellm_model.failures.sentences import PrivateTexts, redact_sentence
from reasoning_grpc.llm import ModelCall

_STATUSES: Final = frozenset({400, 422})
"""The statuses of refusals; a provider that refuses within an answer may name none."""


def has_upstream_message(error: UpstreamError) -> bool:
    """Whether an error is a refusal, whose sentence is about the request or about the model's entry."""
    return error.is_upstream_reached and (error.is_about_request or error.http_status in _STATUSES)


def find_upstream_message(sentence: str, call: ModelCall, context: CallContext, deployment: Deployment) -> str:
    """Returns what of a provider's sentence may be shown; empty when that is nothing."""
    if not sentence:
        return ""
    names = (context.request_id, context.trace_id, context.caller.name, *context.report.labels.values())
    return redact_sentence(sentence, PrivateTexts.collect(call, deployment, names))
