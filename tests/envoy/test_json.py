"""HTTP with JSON is converted by Envoy: answers, streams and requests of every size."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from reasoning_grpc.v1 import classification_pb2, completion_pb2, events_pb2, models_pb2
from tests.envoy.conftest import Fleet
from tests.support.envoy import Envoy, Settings, find_filter, running_envoy
from tests.support.factories import a_wire_request
from tests.support.health import SERVING, check_health
from tests.support.serving import RunningServer
from tests.support.upstream import FakeUpstream

pytestmark = [pytest.mark.envoy, pytest.mark.process]

REQUEST: dict[str, Any] = {"messages": [{"role": "ROLE_USER", "content": [{"text": "hi"}]}]}
TRANSCODER = "envoy.filters.http.grpc_json_transcoder"


async def post(envoy: Envoy, method: str, body: Any, **headers: str) -> tuple[int, str, str]:
    """Makes a call with JSON, and returns the HTTP status, the content type and the body."""
    text = body if isinstance(body, (str, bytes)) else json.dumps(body)
    data = BytesIO(text.encode() if isinstance(text, str) else text)
    types = {"content-type": "application/json"}
    async with envoy.session.post(envoy.url + method, data=data, headers={**types, **headers}) as response:
        return response.status, response.headers["content-type"], await response.text()


@pytest.mark.parametrize(
    ("method", "body", "kind"),
    [
        ("Complete", REQUEST, completion_pb2.CompleteResponse),
        ("Classify", {"request": REQUEST}, classification_pb2.ClassifyResponse),
        ("ListModels", {}, models_pb2.ListModelsResponse),
    ],
)
async def test_every_unary_method_answers_with_json(http_fleet: Fleet, method: str, body: Any, kind: Any) -> None:
    """The body is the response with the fields of the protos, by their own names."""
    status, content_type, text = await post(http_fleet.envoy, method, body)

    message = json_format.Parse(text, kind())  # fails on a field that is none
    assert (status, content_type) == (200, "application/json")
    assert json.loads(text) == json_format.MessageToDict(message, preserving_proto_field_name=True)
    assert json.loads(text)


async def test_an_answer_has_the_text_and_how_it_ended(http_fleet: Fleet) -> None:
    """The answer is that of the model."""
    _, _, text = await post(http_fleet.envoy, "Complete", REQUEST)

    answer = json.loads(text)
    assert answer["message"]["content"] == [{"text": "Hello world"}]
    assert answer["finish_reason"] == "FINISH_REASON_STOP"


@pytest.mark.parametrize("name", ["max_output_tokens", "maxOutputTokens"])
async def test_a_field_has_either_name(upstream: FakeUpstream, http_fleet: Fleet, name: str) -> None:
    """A request may name a field as the protos do, or as JSON is used to."""
    await post(http_fleet.envoy, "Complete", {**REQUEST, "sampling": {name: 7}})

    body = (await upstream.request()).body
    assert 7 in (body.get("max_tokens"), body.get("max_completion_tokens"))


async def test_a_stream_is_a_line_for_each_event(upstream: FakeUpstream, http_fleet: Fleet) -> None:
    """Each line is an event as JSON, and it arrives as it happens."""
    envoy = http_fleet.envoy
    gate = upstream.gated("a", "b")
    gate.open()

    async with envoy.session.post(envoy.url + "StreamComplete", json={"request": REQUEST}) as response:
        lines = [await response.content.readline() for _ in range(2)]
        gate.open_all()
        lines += [line async for line in response.content]

    events = [json_format.Parse(line, events_pb2.StreamCompleteResponse()) for line in lines]
    assert [event.WhichOneof("kind") for event in events] == ["started", "content_delta", "content_delta", "completed"]
    assert response.status == 200


@pytest.mark.parametrize(
    ("option", "beginning", "end"),
    [("stream_newline_delimited", "[{", "}]"), ("stream_sse_style_delimited", "data: {", "}\n\n")],
)
async def test_a_stream_has_other_forms_too(
    servers: list[RunningServer], tmp_path: Path, option: str, beginning: str, end: str
) -> None:
    """Without lines it is one JSON array; with Envoy's other option it has the form of server-sent events."""

    def choose_form(settings: Settings) -> None:
        """Chooses the other form."""
        options = find_filter(settings, TRANSCODER)["print_options"]
        del options["stream_newline_delimited"]
        if option == "stream_sse_style_delimited":
            options[option] = True

    addresses = [server.address for server in servers]
    async with running_envoy(tmp_path, addresses, name="http.yaml", change=choose_form) as envoy:
        _, _, text = await post(envoy, "StreamComplete", {"request": REQUEST})

    assert (text[: len(beginning)], text[-len(end) :]) == (beginning, end)


async def test_a_large_request_and_answer_pass(upstream: FakeUpstream, http_fleet: Fleet) -> None:
    """Both may be larger than Envoy's buffers, of a megabyte, and a request with escapes than what the server takes."""
    upstream.reply("b" * 5_000_000)
    request = '{"messages":[{"role":"ROLE_USER","content":[{"text":"' + "\\u0061" * 3_000_000 + '"}]}]}'

    status, _, text = await post(http_fleet.envoy, "Complete", request)

    assert status == 200
    assert len(json.loads(text)["message"]["content"][0]["text"]) == 5_000_000
    assert (await upstream.request()).body["messages"][0]["content"] == "a" * 3_000_000


async def test_a_draining_server_costs_no_call(http_fleet: Fleet) -> None:
    """While a server refuses calls, each goes to another one, as those of gRPC do."""
    stopping = http_fleet.servers[0].server.stop(grace_seconds=60)

    answers = [await post(http_fleet.envoy, "Complete", REQUEST) for _ in range(12)]

    assert {status for status, *_ in answers} == {200}
    assert await stopping == 0


async def test_grpc_works_on_the_same_port(http_fleet: Fleet) -> None:
    """Calls and checks of health of a gRPC client are passed on as they are."""
    answer = await http_fleet.stub.Complete(a_wire_request())

    assert answer.message.content[0].text == "Hello world"
    assert await check_health(http_fleet.channel, "readiness") == SERVING


async def test_health_for_a_load_balancer(http_fleet: Fleet) -> None:
    """The page is there while a server is healthy, and answers 503 when none is."""
    envoy = http_fleet.envoy
    page = f"http://{envoy.address}/healthz"
    async with envoy.session.get(page) as response:
        assert response.status == 200

    for server in http_fleet.servers:
        await server.server.stop(grace_seconds=0)
    await envoy.wait_for_servers(0)

    async with envoy.session.get(page) as response:
        assert response.status == 503
