"""Converts litellm's own exceptions, where nothing more certain is known, to errors of ours."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from reasoning_grpc.domain import Deployment
from reasoning_grpc.domain.errors import (
    ContentPolicyViolated,
    ContextWindowExceeded,
    UpstreamCredentialsRejected,
    UpstreamError,
    UpstreamFailed,
    UpstreamMalformedResponse,
    UpstreamModelMissing,
    UpstreamOverloaded,
    UpstreamParameterUnsupported,
    UpstreamQuotaExhausted,
    UpstreamRateLimited,
    UpstreamRejectedRequest,
    UpstreamTimeout,
)
from reasoning_grpc.litellm_model.failures.http_errors import blame_key, classify_status, find_violations
from reasoning_grpc.litellm_model.lenient import read_label

BY_LITELLM_CLASS: Final[Mapping[str, type[UpstreamError] | None]] = {
    "UnsupportedParamsError": UpstreamParameterUnsupported,
    "ContextWindowExceededError": ContextWindowExceeded,
    "ContentPolicyViolationError": ContentPolicyViolated,
    "RejectedRequestError": ContentPolicyViolated,
    "GuardrailRaisedException": ContentPolicyViolated,
    "BlockedPiiEntityError": ContentPolicyViolated,
    "ModifyResponseException": ContentPolicyViolated,
    "SensitiveDataRouteException": ContentPolicyViolated,
    "BudgetExceededError": UpstreamQuotaExhausted,
    "PaymentRequiredError": UpstreamQuotaExhausted,
    "AuthenticationError": UpstreamCredentialsRejected,
    "PermissionDeniedError": UpstreamCredentialsRejected,
    "NotFoundError": UpstreamModelMissing,
    "ModelNotMappedError": UpstreamModelMissing,
    "LiteLLMUnknownProvider": UpstreamModelMissing,
    "Timeout": UpstreamTimeout,
    "RateLimitError": UpstreamRateLimited,
    "ServiceUnavailableError": UpstreamOverloaded,
    "BadGatewayError": UpstreamFailed,
    "ImageFetchError": UpstreamRejectedRequest,
    "VectorStoreSearchError": UpstreamRejectedRequest,
    "UnprocessableEntityError": UpstreamRejectedRequest,
    "BadRequestError": UpstreamRejectedRequest,
    "InvalidRequestError": UpstreamRejectedRequest,
    "JSONSchemaValidationError": UpstreamMalformedResponse,
    "APIResponseValidationError": UpstreamMalformedResponse,
    # These classes do not say what happened: the status decides, and without a status they are failures.
    "MidStreamFallbackError": None,
    "InternalServerError": None,
    "APIError": None,
    "APIConnectionError": None,
    "OpenAIError": None,
    "MockException": None,
}
"""The error of each of litellm's exceptions, by name; a class that is not listed takes the row of its nearest base."""

_NAMED_PARAMETERS: Final = re.compile(r"'(\w+)'|\b(\w+)=")
"""The forms in which litellm's texts name the parameters that a model does not take."""


def convert_litellm_error(
    chain: Sequence[BaseException], deployment: Deployment, *, is_upstream_reached: bool
) -> UpstreamError | None:
    """Converts a chain of exceptions by litellm's classes; None when it holds an exception that nobody expects.

    Such an exception is a fault of ours or of litellm's, which litellm presents as an error of the upstream.
    """
    for link in chain:
        error_class = _classify(type(link))
        if error_class is not None:
            names = _NAMED_PARAMETERS.findall(str(getattr(link, "message", ""))[:2000])
            violations = find_violations(error_class, [quoted or assigned for quoted, assigned in names])
            error_class = blame_key(error_class, deployment)
            return error_class(model=deployment.name, is_upstream_reached=is_upstream_reached, violations=violations)
    if not all(is_expected(link) for link in chain):
        return None
    status = next((status for link in chain if (status := _find_status(link))), 0)
    if status:
        return blame_key(classify_status(status), deployment)(
            model=deployment.name, http_status=status, is_upstream_reached=is_upstream_reached
        )
    return UpstreamFailed(model=deployment.name, is_upstream_reached=is_upstream_reached)


def _classify(exception_class: type[BaseException]) -> type[UpstreamError] | None:
    for base in exception_class.__mro__:
        if _top_package(base) in {"litellm", "openai"} and base.__name__ in BY_LITELLM_CLASS:
            return BY_LITELLM_CLASS[base.__name__]
    return None


def is_expected(exc: BaseException) -> bool:
    """Whether an exception can come from an upstream: it is litellm's, its HTTP client's, or the network's."""
    expected = {"litellm", "openai", "httpx", "httpcore"}
    return _top_package(type(exc)) in expected or isinstance(exc, OSError)


def _top_package(exception_class: type[BaseException]) -> str:
    return exception_class.__module__.partition(".")[0]


def _find_status(exc: BaseException) -> int:
    """Returns the `status_code` of an exception; 0 where it is absent or no status of a failure."""
    status = read_label(getattr(exc, "status_code", None))
    return status if status is not None and 300 <= status < 600 else 0
