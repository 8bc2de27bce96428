"""Our requests to OpenAI's Responses API beside those of litellm: of `litellm.aresponses`, and of litellm's bridge.

litellm's own requests go to a server that keeps them; ours are kept instead of being sent. Each difference has a
reason here.
"""

import logging
import warnings
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Final

import pytest
from openai.types.responses import ResponseInputItemParam
from openai.types.responses.response_create_params import ResponseCreateParamsBase, ResponseCreateParamsStreaming
from pydantic import TypeAdapter

from reasoning_grpc.domain import (
    Deployment,
    Media,
    Message,
    Part,
    Reasoning,
    ReasoningEffort,
    ReasoningOptions,
    Refusal,
    ResponseFormat,
    ResponseFormatKind,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Wire,
)
from reasoning_grpc.litellm_model import library
from reasoning_grpc.litellm_model.request import build_arguments
from tests.support.differential.capturing import Captured, CapturingUpstream
from tests.support.unsent import a_deployment, a_model_call, build_request

Json = dict[str, Any]

MARK: Final = {"X-Client-Request-Id": "litellm"}
KEYS: Final = frozenset({"api-key", "authorization"})
CONVERSATION: Final = (
    Message(Role.SYSTEM, (Part(Text("be brief")),)),
    Message(
        Role.USER,
        (
            Part(Text("hi")),
            Part(Media("image/png", data=b"abc")),
            Part(Media("application/pdf", data=b"abc", filename="a.pdf")),
        ),
    ),
    Message(Role.ASSISTANT, (Part(Text("wait")), Part(ToolCall("call_1", "f", '{"a":1}')))),
    Message(Role.TOOL, (Part(ToolResult("call_1", "found")),)),
    Message(Role.ASSISTANT, (Part(Refusal("no")),)),
    Message(Role.USER, (Part(Text("and now?")),)),
)
REASONED: Final = Message(
    Role.ASSISTANT,
    (
        Part(Reasoning("why"), signature='{"id":"rs_1","encrypted_content":"gAAA"}'),
        Part(Text("so"), signature='{"phase":"final_answer"}'),
    ),
)
FIELDS: Final[Mapping[str, Any]] = {
    "tools": (Tool("f", "a tool", '{"type":"object","properties":{}}'), Tool("g", strict=True)),
    "tool_choice": ToolChoice(tool="f"),
    "parallel_tool_calls": False,
    "reasoning": ReasoningOptions(effort=ReasoningEffort.HIGH),
    "include_reasoning": True,
    "sampling": Sampling(max_output_tokens=20),
    "end_user": "u1",
    "response_format": ResponseFormat(
        ResponseFormatKind.JSON_SCHEMA, name="n", description="d", schema='{"type":"object"}', strict=True
    ),
}


@pytest.fixture(autouse=True, scope="module")
def _without_the_log_of_litellm() -> Iterator[None]:
    """Keeps litellm from logging, after a call has ended, that its own record of the answer has other types."""
    logger = logging.getLogger("LiteLLM")
    logger.disabled = True
    yield
    logger.disabled = False


@pytest.fixture
async def server() -> AsyncIterator[CapturingUpstream]:
    """The server to which litellm sends its requests."""
    await library.load()
    async with CapturingUpstream() as upstream:
        yield upstream


async def call_litellm(function: str, server: CapturingUpstream, deployment: Deployment, arguments: Json) -> Captured:
    """Returns the request that a function of litellm sends for a deployment."""
    address = {"api_base": deployment.api_base, "api_key": "key", **deployment.litellm_params}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # litellm's models do not fit its own values
        answer = await getattr(library.import_litellm(), function)(
            model=deployment.litellm_model, **address, **arguments, extra_headers=MARK, max_retries=0
        )
        async for _ in answer:
            pass
    (captured,) = server.take(MARK["X-Client-Request-Id"])
    return captured


def find_differences(ours: Json, theirs: Json) -> dict[str, tuple[Any, Any]]:
    """Returns the members that differ: ours, and litellm's."""
    names = sorted(ours.keys() | theirs.keys())
    return {name: (ours.get(name), theirs.get(name)) for name in names if ours.get(name) != theirs.get(name)}


SAME_ADDRESS: Final = ("", "")
NO_VERSION: Final = "Azure's address with v1 needs no version; litellm asks there for the preview"
OLD_VERSION: Final = "this version is older than the API, and litellm would not find it there"
STREAMED: Final = "litellm does not stream a model that its list does not have, and pretends to"


@pytest.mark.parametrize(
    ("model", "path", "version", "ours", "theirs", "reason"),
    [
        ("openai/gpt-5.6", "/v1", "", *SAME_ADDRESS, ""),
        ("litellm_proxy/team", "/v1", "", *SAME_ADDRESS, ""),
        ("hosted_vllm/qwen", "/v1", "", *SAME_ADDRESS, ""),
        ("azure/gpt-5.6", "", "preview", *SAME_ADDRESS, ""),
        ("azure/gpt-5.6", "", "2025-04-01-preview", *SAME_ADDRESS, ""),
        ("azure/gpt-5.6", "", "", "/openai/v1/responses", "/openai/v1/responses?api-version=preview", NO_VERSION),
        ("azure/gpt-5.6", "", "v1", "/openai/v1/responses", "/openai/v1/responses?api-version=v1", NO_VERSION),
        (
            "azure/gpt-5.6",
            "",
            "2024-10-21",
            "/openai/v1/responses",
            "/openai/responses?api-version=2024-10-21",
            OLD_VERSION,
        ),
        (
            "azure/gpt-5.6",
            "/openai/v1",
            "",
            "/openai/v1/responses",
            "/openai/v1/openai/responses?api-version=preview",
            "litellm does not notice that the address ends with /openai/v1",
        ),
    ],
)
async def test_our_request_is_that_of_litellm(
    server: CapturingUpstream, model: str, path: str, version: str, ours: str, theirs: str, reason: str
) -> None:
    """litellm sends our body as it is, with the same key, to the same address but where ours is a better one."""
    base = f"http://127.0.0.1:{server.port}"
    params = {"api_version": version} if version else {}
    deployment = a_deployment(model, api_base=f"{base}{path}", wire=Wire.RESPONSES, litellm_params=params)
    request = await build_request(deployment, a_model_call(*CONVERSATION, REASONED, **FIELDS))

    arguments = {name: value for name, value in request.body.items() if name != "model"}
    captured = await call_litellm("aresponses", server, deployment, arguments)

    differences = find_differences(request.body, captured.body)
    assert differences.keys() <= {"stream"}, STREAMED
    query = f"?{captured.query}" if captured.query else ""
    if not reason:
        assert request.url == f"{base}{captured.path}{query}"
    else:
        assert (request.url, f"{base}{captured.path}{query}") == (f"{base}{ours}", f"{base}{theirs}")
    keys = {name.lower(): value for name, value in captured.headers.items() if name.lower() in KEYS}
    bearer = {"authorization": "Bearer key"}
    own_keys = {name.lower(): value for name, value in request.headers.items()}
    # Azure takes a key in both headers where the address ends with /v1, as OpenAI's own clients send it.
    assert own_keys == (bearer if path == "/openai/v1" else keys)


BRIDGE: Final[Mapping[str, str]] = {
    "include": "the bridge asks for no encrypted reasoning, so it is lost in the next turn",
    "input": "the bridge moves the system prompt to the instructions, and loses the words of a refusal",
    "instructions": "a message of the system has its place among the others",
    "reasoning": "the bridge asks for no summary, so no reasoning can be included",
    "store": "without the word, OpenAI keeps the answer",
    "stream": STREAMED,
    "text": "the bridge loses the description of the format",
    "tools": "an API in which tools are strict by default must hear that one is not",
}
"""The members that differ from those of litellm's bridge, with the reasons."""


async def test_the_bridge_of_litellm_loses_what_we_send(server: CapturingUpstream) -> None:
    """What litellm's bridge makes of the same call differs in these members, for these reasons, and in no other."""
    deployment = a_deployment("openai/gpt-5-pro", api_base=f"http://127.0.0.1:{server.port}/v1")
    call = a_model_call(*CONVERSATION, **FIELDS)
    request = await build_request(deployment, call)

    arguments = {**build_arguments(call, deployment), "stream": True}
    captured = await call_litellm("acompletion", server, deployment, arguments)

    assert captured.path == "/v1/responses"
    differences = find_differences(request.body, captured.body)
    assert differences.keys() == BRIDGE.keys()
    assert differences["store"] == (False, None)
    assert differences["include"] == (["reasoning.encrypted_content"], None)
    assert differences["reasoning"] == ({"effort": "high", "summary": "auto"}, {"effort": "high"})
    assert differences["instructions"] == (None, "be brief")
    ours, theirs = differences["input"]
    assert ours[0]["role"] == "system"
    assert list(map(name_item, ours[1:])) == list(map(name_item, theirs))
    assert ours[5]["content"] == [{"type": "refusal", "refusal": "no"}]
    assert theirs[4]["content"] == [{"type": "output_text", "text": ""}]
    assert (ours[2], ours[3]["arguments"]) == (theirs[1], theirs[2]["arguments"])


def name_item(item: Json) -> tuple[Any, Any]:
    """Returns the type and the role of an item."""
    return item["type"], item.get("role")


@pytest.mark.parametrize("model", ["openai/gpt-5.6", "azure/gpt-5.6", "litellm_proxy/team", "hosted_vllm/qwen"])
async def test_the_body_fits_the_types_of_the_sdk(model: str) -> None:
    """The body has the members and the types of OpenAI's SDK, by which some servers check requests.

    OpenAI itself takes earlier answers in parts without the labels that the types demand.
    """
    deployment = a_deployment(model, wire=Wire.RESPONSES)
    call = a_model_call(*CONVERSATION, REASONED, **FIELDS)

    body = (await build_request(deployment, call)).body

    items = [item for item in body["input"] if not is_labelled_by_openai(deployment, item)]
    TypeAdapter(list[ResponseInputItemParam]).validate_python(items)
    TypeAdapter(ResponseCreateParamsStreaming).validate_python(body | {"input": items})
    assert body.keys() <= {"stream", *ResponseCreateParamsBase.__annotations__}


def is_labelled_by_openai(deployment: Deployment, item: Json) -> bool:
    """Whether an item is an earlier answer that OpenAI, or Azure, takes without its labels."""
    return deployment.provider in {"azure", "openai"} and item.get("role") == "assistant"


async def test_texts_of_answers_for_other_servers() -> None:
    """Servers that are not OpenAI's get each text of an earlier answer as a message of its own."""
    call = a_model_call(Message(Role.ASSISTANT, (Part(Text("a")), Part(Text("b")), Part(Refusal("c")))))

    body = (await build_request(a_deployment("litellm_proxy/team", wire=Wire.RESPONSES), call)).body

    assert body["input"] == [{"type": "message", "role": "assistant", "content": text} for text in "abc"]
