"""A real Phoenix shows our calls as agents, steps, model calls and tools, and words only where they were requested."""

import asyncio
import json
import os
import subprocess
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import pytest

from bench.services import find_free_port
from reasoning_grpc.config import Config
from reasoning_grpc.engine.captured_content import SESSION_LABEL
from reasoning_grpc.v1 import classification_pb2, completion_pb2, models_pb2
from scripts.check_phoenix import PHOENIX
from tests.support.agent import agent_config, collect_events, plan_call, reasoning_request, write_plan
from tests.support.factories import a_wire_request
from tests.support.serving import RunningServer, config_for, model_entry
from tests.support.spans import ANSWER, CHAT, COMPLETE, PROMPT, SERVICE_PATH, STREAM_COMPLETE, serving_traced
from tests.support.upstream import FakeToolCall, FakeUpstream

pytestmark = [pytest.mark.phoenix, pytest.mark.process, pytest.mark.timeout(400)]

_START_SECONDS: Final = 300.0
"""The first start of a new installation compiles all its modules."""
_PATIENCE_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.2
Spans = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Phoenix:
    """A running Phoenix."""

    http_port: int
    otlp_port: int

    async def read_spans(self, project: str, count: int) -> Spans:
        """Waits until the project has as many spans, and returns them, the oldest first."""
        spans: Spans = []
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while len(spans) < count:
                    await asyncio.sleep(_POLL_SECONDS)
                    spans = await self._list_spans(project)
        except TimeoutError as exc:
            raise AssertionError(f"Phoenix has {[span['name'] for span in spans]}, not {count} spans") from exc
        return sorted(spans, key=lambda span: str(span["start_time"]))

    async def query(self, query: str, **variables: Any) -> Any:
        """Returns the data that answers a query of GraphQL."""
        body = {"query": query, "variables": variables}
        async with aiohttp.ClientSession() as session, session.post(f"{self._url}/graphql", json=body) as response:
            answer = await response.json()
        assert "errors" not in answer
        return answer["data"]

    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            with urllib.request.urlopen(f"{self._url}/healthz", timeout=_POLL_SECONDS * 10) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    async def _list_spans(self, project: str) -> Spans:
        url = f"{self._url}/v1/projects/{project}/spans?limit=1000"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return (await response.json())["data"] if response.status == 200 else []  # the first span makes the project

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"


@pytest.fixture(scope="module")
def phoenix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Phoenix]:
    """Provides a Phoenix, in which each test has a project of its own."""
    running = Phoenix(find_free_port(), find_free_port())
    environment = {
        **os.environ,
        "PHOENIX_WORKING_DIR": str(tmp_path_factory.mktemp("phoenix")),
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(running.http_port),
        "PHOENIX_GRPC_PORT": str(running.otlp_port),
        "PHOENIX_TELEMETRY_ENABLED": "false",
        "PHOENIX_ALLOW_EXTERNAL_RESOURCES": "false",
    }
    process = subprocess.Popen(
        [PHOENIX, "serve"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        give_up = time.monotonic() + _START_SECONDS
        while not running.is_ready():
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(_POLL_SECONDS)
        yield running
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def traced_server(
    config: Config, phoenix: Phoenix, monkeypatch: pytest.MonkeyPatch, project: str, *, content: str = ""
) -> AsyncIterator[RunningServer]:
    """Runs a server that exports its spans to Phoenix, as the page on telemetry describes."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"http://127.0.0.1:{phoenix.otlp_port}")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", f"openinference.project.name={project}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", content)
    async with serving_traced(config) as running:
        yield running


async def test_an_agent_is_shown_with_its_steps_and_tools(
    phoenix: Phoenix, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phoenix has the tree of the call with a kind for each span, adds up its tokens, and lists its session."""
    upstream.reply(write_plan(plan_call("weather", city="Oslo"), thought="I need the weather."))
    upstream.reply(write_plan())
    upstream.reply(ANSWER)
    request = reasoning_request(PROMPT)
    request.labels[SESSION_LABEL] = "session-1"
    async with traced_server(agent_config(upstream), phoenix, monkeypatch, "agent", content="true") as running:
        await collect_events(running, request)
        spans = await phoenix.read_spans("agent", 7)

    names = {span["context"]["span_id"]: span["name"] for span in spans}
    tree = [(span["name"], span["span_kind"], names.get(span["parent_id"])) for span in spans]
    assert tree == [
        (STREAM_COMPLETE, "AGENT", None),
        ("step 1", "CHAIN", STREAM_COMPLETE),
        (CHAT, "LLM", "step 1"),
        ("execute_tool weather", "TOOL", "step 1"),
        ("step 2", "CHAIN", STREAM_COMPLETE),
        (CHAT, "LLM", "step 2"),
        (CHAT, "LLM", STREAM_COMPLETE),
    ]
    call, step, chat, tool = (span["attributes"] for span in spans[:4])
    assert (call["input.value"], call["output.value"]) == (PROMPT, ANSWER)
    assert json.loads(step["output.value"])["thought"] == "I need the weather."
    assert (tool["tool.name"], json.loads(tool["input.value"])) == ("weather", {"city": "Oslo"})
    assert chat["llm.model_name"] == "fake"
    assert chat["llm.token_count.prompt"] == 11
    assert "I need the weather." in json.dumps(select(chat, "llm.output_messages"))

    data = await phoenix.query(_TOTALS)
    (project,) = [edge["node"] for edge in data["projects"]["edges"] if edge["node"]["name"] == "agent"]
    assert [edge["node"]["sessionId"] for edge in project["sessions"]["edges"]] == ["session-1"]
    (root,) = [edge["node"] for edge in project["spans"]["edges"]]
    assert root["cumulativeTokenCountTotal"] == 3 * 18


async def test_nothing_is_unknown_and_no_words_are_shown(
    phoenix: Phoenix, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the variable for content every span has a kind, and Phoenix has no word of caller or model."""
    stub: Any
    async with traced_server(config_for(model_entry(upstream.api_base)), phoenix, monkeypatch, "wordless") as running:
        stub = running.stub
        upstream.reply(ANSWER)
        await running.client().complete(a_wire_request(PROMPT, end_user=PROMPT, labels={SESSION_LABEL: PROMPT}))
        await stub.Classify(classification_pb2.ClassifyRequest(request=a_wire_request(PROMPT)))
        await stub.ListModels(models_pb2.ListModelsRequest())
        spans = await phoenix.read_spans("wordless", 4)

    assert {span["name"]: span["span_kind"] for span in spans} == {
        COMPLETE: "CHAIN",
        CHAT: "LLM",
        SERVICE_PATH + "Classify": "CHAIN",
        SERVICE_PATH + "ListModels": "CHAIN",
    }
    assert PROMPT not in json.dumps(spans)
    assert ANSWER not in json.dumps(spans)


async def test_tool_calls_of_a_model_are_shown(
    phoenix: Phoenix, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phoenix shows the tools that a caller offers, and the calls that the model answers with."""
    upstream.reply(tool_calls=[FakeToolCall("call_1", "weather", '{"city": "Oslo"}')])
    tool = completion_pb2.Tool(name="weather", description="Weather.", parameters_schema='{"type": "object"}')
    config = config_for(model_entry(upstream.api_base))
    async with traced_server(config, phoenix, monkeypatch, "tool-calls", content="true") as running:
        await running.client().complete(a_wire_request(PROMPT, tools=[tool]))
        spans = await phoenix.read_spans("tool-calls", 2)

    (chat,) = [span["attributes"] for span in spans if span["name"] == CHAT]
    tools, messages = json.dumps(select(chat, "llm.tools")), json.dumps(select(chat, "llm.output_messages"))
    assert "Weather." in tools
    assert "call_1" in messages
    assert "Oslo" in messages
    assert PROMPT in json.dumps(select(chat, "llm.input_messages"))


def select(attributes: Mapping[str, Any], prefix: str) -> Mapping[str, Any]:
    """Returns the attributes with this beginning."""
    return {name: value for name, value in attributes.items() if name.startswith(prefix)}


_TOTALS: Final = """
{
  projects {
    edges {
      node {
        name
        sessions(first: 10) { edges { node { sessionId } } }
        spans(first: 10, filterCondition: "span_kind == 'AGENT'") {
          edges { node { name cumulativeTokenCountTotal } }
        }
      }
    }
  }
}
"""
