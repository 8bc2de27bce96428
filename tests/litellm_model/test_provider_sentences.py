"""The sentences in which providers refuse a request, as callers and operators get them."""

import json
from typing import Any, Final

import pytest

from reasoning_grpc.domain import ANONYMOUS, CallContext, Message, Part, Role, Secret, Text, Tool
from reasoning_grpc.litellm_model.failures import convert_failure
from reasoning_grpc.llm import ModelCall
from tests.support.factories import a_deployment
from tests.support.failures import http_failure

Json = dict[str, Any]

DEPLOYMENT: Final = a_deployment(name="smart", litellm_model="openai/gpt-5.6-luna", api_key=Secret("k-1"))
WEATHER: Final = Tool(
    "get_weather",
    "Tells the weather.",
    json.dumps({"type": "object", "properties": {"city": {"type": "string", "description": "Where it is."}}}),
)
CALL: Final = ModelCall(
    model="smart", messages=(Message(Role.USER, (Part(Text("What is the capital of Peru?")),)),), tools=(WEATHER,)
)


CONTEXT: Final = CallContext(caller=ANONYMOUS, request_id="request-of-mine", arrival_time=0.0)


def openai(message: str, param: str | None = None, code: str | None = None) -> Json:
    """Returns an error of OpenAI's."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def anthropic(message: str) -> Json:
    """Returns an error of Anthropic's."""
    error = {"type": "invalid_request_error", "message": message}
    return {"type": "error", "error": error, "request_id": "req_011CXs6hk18SX5aBxD3jchRc"}


def google(message: str, *violations: Json) -> Json:
    """Returns an error of Google's."""
    details = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": list(violations)}]
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT", "details": details}}


def proxied(message: str) -> Json:
    """Returns an error of a LiteLLM proxy."""
    additions = ". Received Model Group=gpt-luna\nAvailable Model Group Fallbacks=None"
    return {"error": {"message": message + additions, "type": None, "param": None, "code": "400"}}


SENTENCES: Final[dict[str, tuple[Json | list[Json] | bytes, str]]] = {
    "openai-value": (
        openai(
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is"
            " supported.",
            "temperature",
        ),
        "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is"
        " supported.",
    ),
    "openai-name-of-a-tool": (
        openai(
            "Invalid schema for function 'get_weather': In context=('properties', 'city'), 'minLength' is not"
            " permitted."
        ),
        "Invalid schema for function 'get_weather': In context=('properties', 'city'), 'minLength' is not permitted.",
    ),
    "openai-call-id": (
        openai(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each"
            " 'tool_call_id'. The following tool_call_ids did not have response messages: call_Qx81Zk"
        ),
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
        " The following tool_call_ids did not have response messages: [...]",
    ),
    "openai-item-id": (
        openai("Item 'rs_68f0c2' of type 'reasoning' was provided without its required following item."),
        "Item '[...]' of type 'reasoning' was provided without its required following item.",
    ),
    "openai-organization": (
        openai(
            "Your organization must be verified to stream this model. Please go to:"
            " https://platform.openai.com/settings/organization/general and click on Verify Organization."
        ),
        "Your organization must be verified to stream this model. Please go to: [...] and click on Verify"
        " Organization.",
    ),
    "openai-model": (
        openai("The requested reasoning effort is not supported with gpt-5.6-luna in organization acme."),
        "The requested reasoning effort is not supported with [...] in organization [...].",
    ),
    "azure-filter": (
        openai(
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please"
            " modify your prompt and retry. To learn more, read https://go.microsoft.com/fwlink/?linkid=2198766",
            "prompt",
            "content_filter",
        ),
        "The response was filtered due to the prompt triggering [...] content management policy. Please modify your"
        " prompt and retry. To learn more, read [...]",
    ),
    "anthropic-path": (
        anthropic("messages.1.content.0.text: cache_control cannot be set for empty text blocks"),
        "messages.1.content.0.text: cache_control cannot be set for empty text blocks",
    ),
    "anthropic-link": (
        anthropic(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at"
            " https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens"
        ),
        "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at [...]",
    ),
    "anthropic-ids": (
        anthropic(
            "messages.5: `tool_use` ids were found without `tool_result` blocks immediately after:"
            " toolu_01SWBkC2GPGhoSfEqTZ6y91b, toolu_01HoLGa45JzuhsCXAKYZHNnc. Each `tool_use` block must have a"
            " corresponding `tool_result` block in the next message."
        ),
        "messages.5: `tool_use` ids were found without `tool_result` blocks immediately after: [...]. Each `tool_use`"
        " block must have a corresponding `tool_result` block in the next message.",
    ),
    "gemini-path": (
        google(
            "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties: should be non-empty for"
            " OBJECT type\n"
        ),
        "* GenerateContentRequest.tools[0].function_declarations[0].parameters.properties: should be non-empty for"
        " OBJECT type",
    ),
    "gemini-violation": (
        google(
            "Request contains an invalid argument.",
            {"field": "generation_config.top_k", "description": "The value must be positive."},
        ),
        "generation_config.top_k: The value must be positive.",
    ),
    "gemini-in-a-list": ([google("Unable to process input image.")], "Unable to process input image."),
    "bedrock-pointer": (
        {
            "message": "The model returned the following errors: Malformed input request:"
            " #/toolConfig/tools/1/toolSpec/inputSchema/json: extraneous key [$defs] is not permitted, please reformat"
            " your input and try again."
        },
        "The model returned the following errors: Malformed input request:"
        " #/toolConfig/tools/1/toolSpec/inputSchema/json: extraneous key [$defs] is not permitted, please reformat"
        " your input and try again.",
    ),
    "fastapi-list": (
        {"detail": [{"type": "missing", "loc": ["body", "messages", 0, "content"], "msg": "Field required"}]},
        "messages.0.content: Field required",
    ),
    "vllm-printed-list": (
        {
            "object": "error",
            "message": "[{'type': 'missing', 'loc': ('body', 'messages'), 'msg': 'Field required', 'input': {'model':"
            " 'm', 'message': [{'role': 'user', 'content': 'What is the capital of Peru?'}]}}]",
            "type": "BadRequestError",
            "code": 400,
        },
        "messages: Field required",
    ),
    "vllm-length": (
        {"message": "top_p must be in (0, 1], got 1.5.", "type": "BadRequestError", "code": 400},
        "top_p must be in (0, 1], got 1.5.",
    ),
    "vllm-roles": (
        {"message": "Conversation roles must alternate user/assistant/user/assistant/...", "code": 400},
        "Conversation roles must alternate user/assistant/user/assistant/...",
    ),
    "vllm-validation": (
        {
            "message": "1 validation error for ChatCompletionRequest\ntemperature\n  Input should be less than 2"
            " [type=less_than, input_value='What is the capital of Peru?']\n    For further information visit"
            " https://errors.pydantic.dev/2.9/v/less_than",
            "code": 400,
        },
        "1 validation error for ChatCompletionRequest temperature Input should be less than 2 [type=less_than,"
        " input_value='[...]'] For further information visit [...]",
    ),
    "mistral-detail-in-a-message": (
        {"object": "error", "message": {"detail": [{"loc": ["body", "top_p"], "msg": "Input should be less than 1"}]}},
        "top_p: Input should be less than 1",
    ),
    "proxy": (
        proxied(
            "litellm.BadRequestError: OpenAIException - Unsupported value: 'messages[0].role' does not support"
            " 'developer' with this model."
        ),
        "Unsupported value: 'messages[0].role' does not support 'developer' with this model.",
    ),
    "proxy-with-a-body": (
        proxied(
            'litellm.BadRequestError: AnthropicException - {"type":"error","error":{"type":"invalid_request_error",'
            '"message":"messages: text content blocks must be non-empty"},"request_id":"req_011CX"}'
        ),
        "messages: text content blocks must be non-empty",
    ),
    "proxy-with-printed-bytes": (
        proxied(
            'litellm.BadRequestError: VertexAIException BadRequestError - b\'{\\n  "error": {\\n    "code": 400,\\n   '
            ' "message": "The number of function response parts is not equal to the number of function call parts."'
            "\\n  }\\n}\\n'"
        ),
        "The number of function response parts is not equal to the number of function call parts.",
    ),
    "proxy-with-a-message-in-an-object": (
        {"error": {"message": {"error": "The tool choice is not valid."}, "code": "400"}},
        "The tool choice is not valid.",
    ),
    "openrouter": (
        {
            "error": {
                "message": "Provider returned error",
                "code": 400,
                "metadata": {
                    "raw": json.dumps(openai("Input messages must contain the word 'json' in some form.")),
                    "provider_name": "Lumo",
                },
            },
            "user_id": "user_32JOLjcY9IrzKtcAXEeFwyJiY8K",
        },
        "Input messages must contain the word 'json' in some form.",
    ),
    "openai-python": (
        openai("Error code: 400 - {'error': {'message': \"Invalid 'input[2].id': 'item_x9'.\", 'type': 'x'}}"),
        "Invalid 'input[2].id': '[...]'.",
    ),
    "rust-server": (
        b"Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`, expected"
        b" `text` at line 1 column 318",
        "Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`, expected"
        " `text` at line 1 column 318",
    ),
    "dashscope": (
        {"code": "InvalidParameter", "message": "Range of top_p should be (0.0, 1.0)", "request_id": "7a1c"},
        "Range of top_p should be (0.0, 1.0)",
    ),
    "baidu": (
        {"error_code": 336003, "error_msg": "The last message must be from user."},
        "The last message must be from user.",
    ),
    "text-generation-inference": (
        {"error": "Input validation error: `top_p` must be > 0.0 and < 1.0", "error_type": "validation"},
        "Input validation error: `top_p` must be > 0.0 and < 1.0",
    ),
    "problem-details": (
        {"type": "about:blank", "status": 400, "title": "Bad Request", "detail": "The temperature is too high."},
        "The temperature is too high.",
    ),
    "databricks": (
        {"error_code": "BAD_REQUEST", "message": json.dumps(openai("The temperature is too high."))},
        "The temperature is too high.",
    ),
    "openrouter-with-an-object": (
        {"error": {"message": "Provider returned error", "metadata": {"raw": openai("The temperature is too high.")}}},
        "The temperature is too high.",
    ),
    "printed-detail": (
        openai("Error code: 400 - {'detail': 'The temperature is too high.'}"),
        "The temperature is too high.",
    ),
    "request-id-of-the-caller": (
        openai("The value in request-of-mine is not valid."),
        "The value in [...] is not valid.",
    ),
    "a-page": (b"<html><body>Bad request, please try again.</body></html>", ""),
    "another-alphabet": (openai("\u53c2\u6570\u9519\u8bef\uff0c\u8bf7\u68c0\u67e5\u6587\u6863\u3002"), ""),
    "nothing": ({}, ""),
}
"""Bodies of refusals, after those in public documentation and reports, and the sentence that may be shown."""


def sentence_of(body: Any, status: int = 400, call: ModelCall = CALL) -> str:
    """Returns the sentence that the error of a refusal carries."""
    error: Any = convert_failure(
        http_failure(status, body), DEPLOYMENT, is_upstream_reached=True, call=call, context=CONTEXT
    )
    return str(error.upstream_message)


@pytest.mark.parametrize(("body", "sentence"), SENTENCES.values(), ids=SENTENCES)
@pytest.mark.parametrize("status", [400, 422])
def test_the_sentence_of_a_refusal(status: int, body: Any, sentence: str) -> None:
    """The sentence of a provider is found in its body, and stays as it is but for what may be private."""
    assert sentence_of(body, status) == sentence


def test_a_sentence_is_short() -> None:
    """A long sentence ends after a whole word, within the limit."""
    sentence = sentence_of(openai("The value of the parameter is not valid. " * 50))

    assert 280 < len(sentence) <= 300
    assert sentence.endswith((" ...", ". ..."))
    assert sentence.removesuffix(" ...").split()[-1] in {
        "The",
        "value",
        "of",
        "the",
        "parameter",
        "is",
        "not",
        "valid.",
    }


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_other_failures_carry_no_sentence(status: int) -> None:
    """The sentence of a failure that is no refusal of the request is dropped."""
    assert sentence_of(openai("The value of the parameter is not valid."), status) == ""


def test_no_sentence_without_the_call() -> None:
    """Where the call is not known, nothing says what the sentence repeats, so there is none."""
    failure = http_failure(400, openai("The value of the parameter is not valid."))
    error: Any = convert_failure(failure, DEPLOYMENT, is_upstream_reached=True, context=CONTEXT)

    assert error.upstream_message == ""


def test_no_sentence_about_a_call_with_too_much_text() -> None:
    """A call that is too long to be compared with the sentence gets none."""
    messages = (Message(Role.USER, (Part(Text("a b " * 600_000)),)),)
    call = ModelCall(model="smart", messages=messages)

    assert sentence_of(openai("The value of the parameter is not valid."), call=call) == ""
