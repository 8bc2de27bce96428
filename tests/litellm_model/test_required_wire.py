"""Refusals that say at which endpoint a provider takes the request."""

from typing import Final

import pytest

from reasoning_grpc.domain import Wire
from reasoning_grpc.domain.errors import UpstreamModelMissing, UpstreamWireRefused
from reasoning_grpc.litellm_model.failures import convert_failure
from reasoning_grpc.litellm_model.failures.required_wire import find_required_wire
from tests.support.failures import SERVERS_KEY, convert, http_failure

CHAT: Final = Wire.CHAT
RESPONSES: Final = Wire.RESPONSES
ONLY_RESPONSES: Final = "This model is only supported in v1/responses and not in v1/chat/completions."
REFUSALS: Final[dict[str, tuple[Wire, int, str, str]]] = {
    "model": (CHAT, 404, ONLY_RESPONSES, "responses"),
    "tools": (
        CHAT,
        400,
        "Function tools with reasoning_effort are not supported for gpt-5.6-luna in /v1/chat/completions. To use"
        " function tools, use /v1/responses or set reasoning_effort to 'none'.",
        "responses",
    ),
    "tools-of-an-older-model": (
        CHAT,
        400,
        "Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use"
        " /v1/responses instead.",
        "responses",
    ),
    "no-chat-model": (
        CHAT,
        404,
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use"
        " v1/completions?",
        "completions",
    ),
    "azure": (
        CHAT,
        400,
        "The chatCompletion operation does not work with the specified model, gpt-5-codex. Please choose different"
        " model and try again. You can learn more about which models can be used with each operation here:"
        " https://go.microsoft.com/fwlink/?linkid=2197993.",
        "responses",
    ),
    "azure-the-other-way": (
        RESPONSES,
        400,
        "The responses operation does not work with the specified model, gpt-4. Please choose different model and try"
        " again.",
        "chat",
    ),
    "copilot": (CHAT, 400, 'model "gpt-5.4" is not accessible via the /chat/completions endpoint', "responses"),
    "gateway": (
        CHAT,
        400,
        "Error: Chat Completions is not supported for this model, please use the Responses API.",
        "responses",
    ),
    "legacy": (
        CHAT,
        400,
        "Unsupported legacy protocol: /v1/chat/completions is not supported. Please use /v1/responses.",
        "responses",
    ),
    "perplexity": (CHAT, 403, "Sonar is now the Agent API. Use /v1/responses instead of /v1/sonar", "responses"),
    "audio-model": (
        RESPONSES,
        400,
        "The requested model 'gpt-audio' is not supported with the Responses API.",
        "chat",
    ),
    "the-other-way": (
        RESPONSES,
        404,
        "This model is only supported in v1/chat/completions and not in v1/responses.",
        "chat",
    ),
    "feature": (RESPONSES, 400, "Audio is not supported in /v1/responses. Use /v1/chat/completions instead.", "chat"),
    "realtime": (CHAT, 404, "This model is only supported in v1/realtime and not in v1/chat/completions.", "realtime"),
    "instead-of": (CHAT, 400, "Instead of /v1/chat/completions, use /v1/responses", "responses"),
    "not-the-other": (CHAT, 422, "Use the Responses API, not chat completions", "responses"),
    "within-a-stream": (CHAT, 0, ONLY_RESPONSES, "responses"),
    "doesn't": (
        CHAT,
        400,
        "The chat completions endpoint doesn't support function tools with reasoning; use the responses endpoint",
        "responses",
    ),
}
"""Refusals of providers and gateways, after those in public reports: wire, status, sentence, and what it says."""

OTHERS: Final[dict[str, tuple[Wire, int, str]]] = {
    "parameter": (
        CHAT,
        400,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    ),
    "moved-parameter": (
        RESPONSES,
        400,
        "Unsupported parameter: `messages`. In the Responses API, this parameter has moved to `input`.",
    ),
    "parameter-of-an-endpoint": (
        RESPONSES,
        400,
        "Unsupported parameter: 'n' is not supported in the Responses API for this model.",
    ),
    "verification": (
        RESPONSES,
        400,
        "To use 'reasoning.summary' with the Responses API, your organization must be verified.",
    ),
    "no-model": (CHAT, 404, "The model `gpt-9` does not exist or you do not have access to it."),
    "no-text-model": (CHAT, 400, "The model does not support Chat Completions API"),
    "guide": (CHAT, 400, "The order of messages is wrong. See the chat completions guide."),
    "failure": (CHAT, 500, ONLY_RESPONSES),
    "rate": (CHAT, 429, ONLY_RESPONSES),
}
"""Sentences that name an endpoint, or nearly so, and require none."""


@pytest.mark.parametrize(("wire", "status", "sentence", "required"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_names_the_endpoint(wire: Wire, status: int, sentence: str, required: str) -> None:
    """The endpoint that a provider requires is recognized by the words around the names of endpoints."""
    assert find_required_wire(status, (), sentence, wire) == required


@pytest.mark.parametrize(("wire", "status", "sentence"), OTHERS.values(), ids=OTHERS)
def test_other_sentences_name_none(wire: Wire, status: int, sentence: str) -> None:
    """A sentence that only mentions an endpoint requires none."""
    assert find_required_wire(status, (), sentence, wire) == ""


def test_a_code_says_that_a_model_is_refused() -> None:
    """A gateway's code makes a refusal of a sentence that does not mention the model."""
    sentence = "The /chat/completions endpoint is not supported"

    assert find_required_wire(400, ("unsupported_api_for_model",), sentence) == "responses"
    assert find_required_wire(400, (), sentence) == ""


def test_a_refused_endpoint_is_no_missing_model() -> None:
    """A 404 that names the other endpoint does not say that the model is missing, whatever its code."""
    error = {"message": ONLY_RESPONSES, "type": "invalid_request_error", "param": "model", "code": "model_not_found"}

    refused = convert_failure(http_failure(404, {"error": error}), SERVERS_KEY, is_upstream_reached=True)
    missing = convert(http_failure(404, {"error": error | {"message": "Not found."}}))

    assert type(refused) is UpstreamWireRefused
    assert refused.allows_fallback
    assert refused.metadata == {"model": "fake", "http_status": "404", "required_wire": "responses"}
    assert type(missing) is UpstreamModelMissing
